"""`myaccount check`, and the errors of commands: what is missing, where, and what to do."""

import socket
import sqlite3
import subprocess
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from myaccount.settings.paths import own_version

from ..conftest import Section
from ..helpers.deployments import port_of
from ..helpers.servers import Redis, free_port
from ..helpers.services import Start, run_command

READY = "A service can start on this configuration."


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    return {
        "port": free_port(),
        "metrics": {"port": free_port()},
        "sqlite_file": str(tmp_path / "money.db"),
        "log_folder": str(tmp_path),
    }


def _run(tmp_path: Path, settings: dict[str, Any], *words: str) -> "subprocess.CompletedProcess[str]":
    file = tmp_path / "check.yaml"
    file.write_text(yaml.safe_dump(settings))
    return run_command("python3", "-m", "myaccount", *words, "-c", str(file))


def _checked(tmp_path: Path, settings: dict[str, Any]) -> list[str]:
    """Return the lines of a check that finds that a service can start."""
    done = _run(tmp_path, settings, "check")
    assert (done.returncode, done.stderr) == (0, "")
    # Without the log's lines, and the line about a new ledger.
    return [line for line in done.stdout.splitlines() if not line.startswith(("20", "A new, empty ledger "))]


def test_a_complete_set_up_has_no_warnings(
    tmp_path: Path, settings: dict[str, Any], redis_section: Section, mysql_section: Section, start: Start
) -> None:
    receiver = start("python3", "myaccount")
    settings |= {"redis": redis_section, "mysql": mysql_section, "callbacks": [{"url": receiver.address}]}
    assert _checked(tmp_path, settings) == [READY]


def test_ports_in_use_are_warnings(tmp_path: Path, settings: dict[str, Any], start: Start) -> None:
    port = free_port()
    service = start("python3", "myaccount", metrics={"port": port})
    taken = {"port": port_of(service), "metrics": {"port": port}}
    # It cannot start now, so the last line says when it can.
    lines = _checked(tmp_path, settings | taken)
    advice = "address already in use: end the program that has it, or name another port"
    assert lines == [
        f"Warning: port: 127.0.0.1:{port_of(service)}: {advice}",
        f"Warning: metrics.port: 127.0.0.1:{port}: {advice}",
        "A service can start on this configuration once it can use each port, which a running service may have.",
    ]


def test_a_time_that_is_ahead_is_a_warning_where_there_are_keys(tmp_path: Path, settings: dict[str, Any]) -> None:
    assert _run(tmp_path, settings, "migrate").returncode == 0
    with closing(sqlite3.connect(settings["sqlite_file"])) as file, file:
        file.execute("UPDATE signing_key SET seen_at = '2099-01-01 00:00:00.000000'")
    assert _checked(tmp_path, settings) == [READY]
    warning, ready = _checked(tmp_path, settings | {"access": "keys"})
    assert warning.startswith("Warning: the time: the highest that was seen is ")
    assert ready == READY


@pytest.mark.parametrize("section", ["", "metrics."])
def test_an_address_that_can_never_be_used_is_a_fault(
    tmp_path: Path, settings: dict[str, Any], section: str
) -> None:
    # The address is another machine's (RFC 5737).
    elsewhere = {"host": "192.0.2.1"}
    settings |= {"access": "open"} | ({"metrics": settings["metrics"] | elsewhere} if section else elsewhere)
    done = _run(tmp_path, settings, "check")
    assert done.returncode == 1
    assert READY not in done.stdout
    assert done.stderr.startswith(f"myaccount cannot start: {section}host: 192.0.2.1:")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("name", "fault"), [("folder", "is a folder"), ("file/x/money.db", "cannot be made: ")])
@pytest.mark.parametrize("command", ["serve", "check", "migrate"])
def test_an_impossible_sqlite_file_is_refused_in_one_line(
    tmp_path: Path, settings: dict[str, Any], command: str, name: str, fault: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    done = _run(tmp_path, settings | {"sqlite_file": str(tmp_path / name)}, command)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"sqlite_file: {tmp_path / name}" in line
    assert fault in line
    assert not (tmp_path / "folder.lock").exists()


def test_a_redis_that_is_away_or_takes_no_writes_is_a_warning(
    tmp_path: Path, settings: dict[str, Any], redis_section: Section, redis_server: Redis
) -> None:
    port = free_port()
    warning, ready = _checked(tmp_path, settings | {"redis": {"host": "127.0.0.1", "port": port}})
    assert warning.startswith(f"Warning: redis: 127.0.0.1:{port}: connection refused. ")
    assert ready == READY
    with redis_server.client() as client:
        client.config_set("maxmemory", "1")
        try:
            warning, ready = _checked(tmp_path, settings | {"redis": redis_section})
        finally:
            client.config_set("maxmemory", "0")
        assert client.keys() == []
    assert "maxmemory" in warning
    assert ready == READY


def test_an_unreachable_receiver_is_a_warning_without_its_secrets(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    port = free_port()
    urls = [f"http://shop:secret1@127.0.0.1:{port}/secret2?t=secret3", "https://nowhere.invalid/secret4"]
    *warnings, ready = _checked(tmp_path, settings | {"callbacks": [{"url": url} for url in urls]})
    assert warnings[0] == (
        f"Warning: callbacks[0].url: 127.0.0.1:{port}: connection refused."
        " Its callbacks are kept and retried until it answers"
    )
    assert warnings[1].startswith("Warning: callbacks[1].url: nowhere.invalid:443: ")
    assert ready == READY
    assert "secret" not in "".join(warnings)


def test_a_receiver_or_redis_that_does_not_accept_in_time_is_a_warning(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        with ExitStack() as clients:
            # Until its backlog is full.
            with suppress(TimeoutError):
                for _ in range(10):
                    clients.enter_context(socket.create_connection(("127.0.0.1", port), timeout=0.5))
            settings |= {
                "redis": {"host": "127.0.0.1", "port": port},
                "callbacks": [{"url": f"http://127.0.0.1:{port}"}],
            }
            *warnings, ready = _checked(tmp_path, settings)
    assert [warning.partition(". ")[0] for warning in warnings] == [
        f"Warning: redis: 127.0.0.1:{port}: no answer within 3 seconds",
        f"Warning: callbacks[0].url: 127.0.0.1:{port}: no answer within 3 seconds",
    ]
    assert ready == READY


def test_a_database_that_is_away_is_named_with_host_port_and_cause(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    port = free_port()
    mysql = {"host": "127.0.0.1", "port": port, "db": "bus", "user": "u", "password": "hunter2"}
    done = _run(tmp_path, settings | {"mysql": mysql}, "check")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"myaccount cannot start: the database bus at 127.0.0.1:{port} cannot be used: ")
    assert "Connection refused" in line
    assert "hunter2" not in line


def test_a_database_whose_host_has_no_address_says_so(tmp_path: Path, settings: dict[str, Any]) -> None:
    mysql = {"host": "nowhere.invalid", "db": "bus", "user": "u", "password": "hunter2"}
    (line,) = _run(tmp_path, settings | {"mysql": mysql}, "check").stderr.splitlines()
    assert "the database bus at nowhere.invalid:3306 cannot be used: " in line
    assert "Name or service not known" in line or "name resolution" in line


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("serve",), "myaccount cannot serve: "),
        (("listen",), "myaccount cannot listen: "),
        (("migrate",), "myaccount cannot migrate: "),
        (("events",), "myaccount cannot show the events: "),
        (("events", "--resend", "all"), "myaccount cannot send events again: "),
        (("events", "resend", "all"), "myaccount cannot send events again: "),
        (("events", "--drop", "delivery-1"), "myaccount cannot drop events: "),
        (("backup", "copy.db"), "myaccount cannot back up the database: "),
        (("check",), "myaccount cannot start: "),
        (("verify",), "myaccount cannot verify the books: "),
        (("--print-config-vars",), "myaccount cannot serve: "),
    ],
)
def test_each_command_that_fails_prints_one_sentence(
    tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    file = tmp_path / "check.yaml"
    file.write_text("port: [\n")
    done = run_command("python3", "-m", "myaccount", *words, "-c", str(file))
    assert done.returncode == (2 if words == ("verify",) else 1)
    assert done.stderr.startswith(f"{sentence}{file}:2: expected YAML")
    assert len(done.stderr.splitlines()) == 1


def test_the_version_is_printed(tmp_path: Path) -> None:
    done = _run(tmp_path, {}, "--version")
    assert (done.returncode, done.stdout) == (0, f"MyAccount {own_version()}\n")
