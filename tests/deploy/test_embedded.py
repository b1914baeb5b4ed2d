"""The embedded file: the SQLite it needs, its permissions, and the one process that serves it."""

import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from myaccount.cli import entry as cli
from myaccount.database.database import open_database
from myaccount.database.embedded_file import OLDEST_SQLITE, acquire_lock, release_lock
from myaccount.migrations.startup import prepare_schema
from myaccount.settings.schema import Config
from myaccount.system.private_files import keep_made

from ..helpers.deployments import GUNICORN, IMPATIENT_GUNICORN, roll, workers_of
from ..helpers.servers import START_SECONDS, free_port, wait_until
from ..helpers.services import ListenerAlone, Service, Start, run_command


@pytest.fixture
def backend() -> Mapping[str, Any]:
    return {}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration file with an embedded file that does not exist yet."""
    file = tmp_path / "config.yaml"
    settings = {"port": free_port(), "sqlite_file": str(tmp_path / "data" / "money.db")}
    file.write_text(yaml.safe_dump(settings | {"log_folder": str(tmp_path / "logs")}), encoding="utf-8")
    return file


@pytest.mark.parametrize("command", ["serve", "listen", "check", "events", "verify", "migrate"])
def test_an_sqlite_that_is_too_old_is_refused_in_one_line_and_no_file_is_made(
    file: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 2))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.37.2")
    assert cli.main([command, "-c", str(file)]) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert "SQLite 3.37.2" in line
    assert "needs 3.38 or later" in line
    assert "section mysql" in line
    assert not (file.parent / "data").exists()


async def test_the_oldest_supported_sqlite_is_accepted(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", OLDEST_SQLITE)
    async with open_database(config, Path(config["sqlite_file"])) as database:
        await prepare_schema(database)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_can_read_the_file_and_those_beside_it(start: Start, tmp_path: Path) -> None:
    money = tmp_path / "some" / "where" / "money.db"
    start("python3", "myaccount", sqlite_file=str(money))
    assert {path.name: _mode(path) for path in money.parent.iterdir()} == dict.fromkeys(
        ("money.db", "money.db-wal", "money.db-shm", "money.db.lock"), 0o600
    )
    assert [_mode(folder) for folder in (money.parent, money.parent.parent)] == [0o700, 0o700]


def test_a_file_of_an_earlier_version_becomes_private_and_its_folder_is_unchanged(
    start: Start, tmp_path: Path
) -> None:
    money = tmp_path / "data" / "money.db"
    service = start("python3", "myaccount", sqlite_file=str(money))
    # Killed, so that the files that SQLite puts beside it stay.
    service.process.kill()
    service.process.wait()
    files = (money, money.with_name("money.db-wal"), money.with_name("money.db-shm"))
    for path in files:
        path.chmod(0o644)
    money.parent.chmod(0o755)
    service = start("python3", "myaccount", sqlite_file=str(money))
    assert [_mode(path) for path in files] == [0o600] * 3
    assert _mode(money.parent) == 0o755
    assert f"{money} has card numbers and was readable by other users." in service.output.read_text("utf-8")


@pytest.mark.parametrize(
    ("spoiled", "reason"),
    [
        ({"host": "192.0.2.1"}, "access: others can reach 192.0.2.1, so say who may use the service"),
        ({"host": "192.0.2.1", "access": "open"}, "host: 192.0.2.1"),
        ({"port": "none"}, "port: expected"),
        ({"sqlite_file": "/proc/nothing/money.db"}, "/proc/nothing"),
        ({"log_folder": "/proc/nothing"}, "/proc/nothing"),
        ({"mysql": {"host": "127.0.0.1", "port": 1, "db": "bus", "user": "u", "password": "p"}}, "cannot be used"),
    ],
)
def test_a_start_that_fails_leaves_nothing_behind(tmp_path: Path, spoiled: dict[str, object], reason: str) -> None:
    file = tmp_path / "config.yaml"
    settings = {
        "port": free_port(),
        "sqlite_file": f"{tmp_path}/data/deep/money.db",
        "log_folder": f"{tmp_path}/logs",
    }
    file.write_text(yaml.safe_dump(settings | spoiled), encoding="utf-8")
    refused = run_command("python3", "myaccount", "-c", str(file))
    assert refused.returncode == 1
    assert reason in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize("section", ["service", "metrics"])
def test_a_start_on_a_port_in_use_leaves_nothing_behind(tmp_path: Path, section: str) -> None:
    file = tmp_path / "config.yaml"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ports = {"port": port} if section == "service" else {"port": free_port(), "metrics": {"port": port}}
        settings = {"sqlite_file": f"{tmp_path}/data/money.db", "log_folder": f"{tmp_path}/logs", **ports}
        file.write_text(yaml.safe_dump(settings), encoding="utf-8")
        refused = run_command("python3", "myaccount", "-c", str(file))
    assert refused.returncode == 1
    assert f"port: 127.0.0.1:{port}: address already in use" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_only_the_first_start_says_where_it_makes_a_ledger(start: Start, tmp_path: Path) -> None:
    said = f"There was no ledger in {tmp_path}/money.db: a new, empty one is made there."
    service = start("python3", "myaccount")
    assert said in service.output.read_text("utf-8")
    assert service.end(signal.SIGTERM) == 0
    assert said not in start("python3", "myaccount").output.read_text("utf-8")


def test_a_start_on_a_file_that_is_no_database_does_not_change_it(tmp_path: Path) -> None:
    file, notes = tmp_path / "config.yaml", tmp_path / "notes.txt"
    notes.write_text("Not a database, and everyone may read it.\n" * 20)
    notes.chmod(0o644)
    settings = {"port": free_port(), "sqlite_file": str(notes), "log_folder": ""}
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    refused = run_command("python3", "myaccount", "-c", str(file))
    assert refused.returncode == 1
    assert "not a database" in refused.stderr
    assert _mode(notes) == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "notes.txt"]


def test_an_empty_file_becomes_a_private_ledger(start: Start, tmp_path: Path) -> None:
    (tmp_path / "money.db").touch(0o644)
    assert start("python3", "myaccount").answers()
    assert _mode(tmp_path / "money.db") == 0o600


@pytest.mark.parametrize("failing", [True, False])
def test_a_start_removes_only_a_lock_file_that_it_made(tmp_path: Path, failing: bool) -> None:
    """A start that fails removes the lock file that it made, and no other."""
    file, lock = tmp_path / "money.db", tmp_path / "money.db.lock"
    acquire_lock(file)
    if not failing:
        keep_made()
    release_lock(file)
    assert lock.exists() is not failing
    acquire_lock(file)
    keep_made()
    # Another process has made nothing, so it removes nothing.
    script = "import sys, pathlib; from myaccount.database import embedded_file as file"
    script += "; file.acquire_lock(pathlib.Path(sys.argv[1]), 0)"
    other = subprocess.run([sys.executable, "-c", script, str(file)], capture_output=True, text=True)
    assert "another process serves" in other.stderr
    assert lock.exists()
    release_lock(file)


@pytest.mark.parametrize("command", ["events", "verify", "check"])
def test_commands_that_only_read_make_no_ledger(
    file: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = cli.main([command, "-c", str(file)])
    printed = capsys.readouterr()
    if command == "check":
        assert status == 0
        assert f"A new, empty ledger would be made in {file.parent}/data/money.db." in printed.out
    else:
        assert status in (1, 2)
        assert f"there is no ledger in {file.parent}/data/money.db." in printed.err
    assert [path.name for path in file.parent.iterdir()] == ["config.yaml"]


def _command(service: Service, *words: str) -> "subprocess.CompletedProcess[str]":
    return run_command("myaccount", *words, "-c", str(service.configuration))


def _on_another_port(service: Service) -> Path:
    """Return a configuration file that names the same embedded file."""
    file = service.configuration.with_name("another.yaml")
    settings = yaml.safe_load(service.configuration.read_text("utf-8")) | {"port": free_port()}
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return file


@pytest.mark.parametrize("command", [("python3", "myaccount"), IMPATIENT_GUNICORN], ids=" ".join)
@pytest.mark.parametrize("serving", [("python3", "myaccount"), GUNICORN], ids=" ".join)
def test_a_second_process_on_the_file_is_refused_in_one_line(
    start: Start, serving: tuple[str, ...], command: tuple[str, ...]
) -> None:
    service = start(*serving, by_environment=True)
    file = _on_another_port(service)
    refused = run_command(*command, environment={"MYACCOUNT_CONFIG": str(file)})
    assert refused.returncode == 1
    (line,) = [line for line in refused.stderr.splitlines() if "Starting gunicorn" not in line]
    assert "another process serves" in line
    assert "money.db already. End that one first" in line
    assert service.answers()


def test_the_commands_work_beside_a_service(start: Start, tmp_path: Path) -> None:
    service = start("python3", "myaccount")
    for words in (["events"], ["verify"], ["check"], ["migrate"], ["migrate", "--status"], ["migrate", "--sql"]):
        done = _command(service, *words)
        assert done.returncode == 0, done
    assert _command(service, "backup", str(tmp_path / "copy.db")).returncode == 0
    with ListenerAlone(service) as listener:
        wait_until(lambda: "MyAccount listens" in listener.output.read_text("utf-8"), 30)


def test_the_schema_is_not_changed_while_a_service_runs(start: Start, tmp_path: Path) -> None:
    service = start("python3", "myaccount")
    with closing(sqlite3.connect(tmp_path / "money.db")) as connection:
        # As if the service were of an earlier version, which made no lock file.
        connection.execute("ALTER TABLE alembic_version RENAME TO elsewhere")
    for words in (["migrate"], ["events"], ["verify"], ["check"]):
        refused = _command(service, *words)
        assert refused.returncode in (1, 2)
        assert "another process serves" in refused.stderr
    assert service.end(signal.SIGTERM) == 0
    with closing(sqlite3.connect(tmp_path / "money.db")) as connection:
        connection.execute("ALTER TABLE elsewhere RENAME TO alembic_version")
    assert _command(service, "migrate").returncode == 0


@pytest.mark.parametrize("serving", [("python3", "myaccount"), GUNICORN], ids=" ".join)
def test_the_file_of_a_killed_service_can_be_served_again(start: Start, serving: tuple[str, ...]) -> None:
    """gunicorn's workers outlive their master by seconds, and the next master waits for them."""
    service = start(*serving, by_environment=True)
    service.process.kill()
    service.process.wait()
    again = start(*serving, by_environment=True)
    assert again.answers()


def test_gunicorn_keeps_the_file_while_it_replaces_its_worker(start: Start) -> None:
    service = start(*GUNICORN, by_environment=True)
    for _ in range(2):
        roll(service)
        assert service.answers()
    (worker,) = workers_of(service)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: workers_of(service) not in ({worker}, set()), 30)
    assert service.answers()
    assert run_command("python3", "myaccount", "-c", str(_on_another_port(service))).returncode == 1
    assert service.end(signal.SIGTERM) == 0, service.output.read_text("utf-8")


def test_after_a_worker_s_last_request_another_worker_serves_the_file(start: Start) -> None:
    service = start(*GUNICORN, "--max-requests", "20", "--max-requests-jitter", "0", by_environment=True)
    (first,) = workers_of(service)
    wait_until(lambda: service.answers() and workers_of(service) not in ({first}, set()), 60)
    assert service.answers()


def _name(service: Service, **settings: object) -> None:
    """Change settings in the service's configuration file."""
    found = yaml.safe_load(service.configuration.read_text("utf-8"))
    service.configuration.write_text(yaml.safe_dump(found | settings), encoding="utf-8")


def _reload_is_refused(service: Service, reason: str) -> None:
    worker = workers_of(service)
    refusal = f"The configuration was not reloaded, and the service goes on as it was: {reason}"
    before = service.output.read_text("utf-8").count(refusal)
    service.process.send_signal(signal.SIGHUP)
    wait_until(lambda: service.output.read_text("utf-8").count(refusal) > before, START_SECONDS)
    assert workers_of(service) == worker
    assert service.answers()


def test_a_reload_to_a_file_that_another_process_serves_is_refused_and_the_service_goes_on(
    start: Start, tmp_path: Path
) -> None:
    other = start("python3", "myaccount", sqlite_file=str(tmp_path / "other.db"))
    service = start(*GUNICORN, by_environment=True)
    _name(service, sqlite_file=str(tmp_path / "other.db"))
    _reload_is_refused(service, f"another process serves {tmp_path}/other.db already.")
    assert other.answers()
    _name(service, sqlite_file=str(tmp_path / "money.db"))
    roll(service)
    assert service.answers()


def test_a_reload_to_another_file_releases_the_first(start: Start, tmp_path: Path) -> None:
    service = start(*GUNICORN, by_environment=True)
    _name(service, sqlite_file=str(tmp_path / "new.db"))
    roll(service)
    assert service.answers()
    assert run_command("python3", "myaccount", "-c", str(_on_another_port(service))).returncode == 1
    assert start("python3", "myaccount", sqlite_file=str(tmp_path / "money.db")).answers()


def test_a_reload_that_cannot_work_is_refused_and_the_service_goes_on(start: Start) -> None:
    service = start(*GUNICORN, by_environment=True)
    kept = service.configuration.read_text("utf-8")
    service.configuration.write_text(f"{kept}\nport: none\n", encoding="utf-8")
    _reload_is_refused(service, f"{service.configuration}:")
    service.configuration.write_text(kept, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        _name(service, port=port)
        _reload_is_refused(service, f"port: 127.0.0.1:{port}: address already in use")
    service.configuration.write_text(kept, encoding="utf-8")
    _name(service, host="0.0.0.0")
    _reload_is_refused(service, f"{service.configuration}:")
    service.configuration.write_text(kept, encoding="utf-8")
    roll(service)
    assert service.answers()


def test_a_reload_never_leaves_unsaid_who_may_use_an_address_of_the_command_line(start: Start) -> None:
    service = start(*GUNICORN, "--bind", "0.0.0.0:{port}", by_environment=True, access="open")
    settings = yaml.safe_load(service.configuration.read_text("utf-8"))
    del settings["access"]
    service.configuration.write_text(yaml.safe_dump(settings), encoding="utf-8")
    _reload_is_refused(service, f"{service.configuration}: access: others can reach 0.0.0.0:")
    _name(service, access="open")
    roll(service)
    assert service.answers()
