"""The ways to start the service, and to stop it."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ..conftest import Section
from ..helpers.servers import START_SECONDS, MariaDB, Redis, wait_until
from ..helpers.services import CHECKOUT, Service, Start, run_command
from ..unit.test_configuration import DEMO


def _use(service: Service, prefix: str = "") -> None:
    for n in "12":
        service.post(
            "/openacc",
            userId=prefix + n,
            userName="N",
            sex="F",
            cardNum="6222999999",
            accountId=prefix + n,
            accountType="01",
        )
    service.post("/recharge", orderId=f"{prefix}r", userId=f"{prefix}1", amount="10")
    assert service.post(
        "/transfer", orderId=f"{prefix}t", fromuserId=f"{prefix}1", touserId=f"{prefix}2", amount="4"
    ) == {"result": 1}
    assert "MyAccount" in service.get("/")
    assert "--" in service.get("/static/style.css")


def _ended_cleanly(service: Service, number: signal.Signals) -> None:
    assert service.end(number) == 0, service.output.read_text()
    assert "Traceback" not in service.output.read_text()
    assert "6222999999" not in service.output.read_text()


GUNICORN = (
    "gunicorn",
    "myaccount",
    "--bind",
    "127.0.0.1:{port}",
    "--worker-class",
    "aiohttp.GunicornWebWorker",
)


# The signals are handled alike, however it was started.
@pytest.mark.parametrize(
    ("command", "number"),
    [
        (("python3", "myaccount"), signal.SIGTERM),
        (("python3", "-m", "myaccount"), signal.SIGINT),
        (("python3", "myaccount/main.py"), signal.SIGTERM),
        (("myaccount",), signal.SIGINT),
    ],
)
def test_each_way_from_a_checkout_serves_and_ends_cleanly(
    start: Start, command: tuple[str, ...], number: signal.Signals
) -> None:
    service = start(*command, fresh=True)
    _use(service)
    _ended_cleanly(service, number)


@pytest.mark.parametrize("file", ["myaccount", "myaccount/main.py"])
def test_a_python_without_the_libraries_says_in_a_line_what_to_run(file: str) -> None:
    # -S leaves the libraries out.
    done = run_command("python3", "-S", file)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert " has no library " in line
    assert "Run  .venv/bin/python myaccount  " in line


def test_the_folder_may_be_started_from_anywhere(start: Start, tmp_path: Path) -> None:
    service = start("python3", str(CHECKOUT / "myaccount"), folder=tmp_path)
    _use(service)
    _ended_cleanly(service, signal.SIGTERM)
    _use(start("python3", str(CHECKOUT / "myaccount" / "main.py"), folder=tmp_path), "second")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_gunicorn_serves_and_ends_cleanly(start: Start, number: signal.Signals) -> None:
    service = start(*GUNICORN, by_environment=True, fresh=True)
    _use(service)
    _ended_cleanly(service, number)


def test_several_gunicorn_workers_share_mariadb_and_redis(
    start: Start, mysql_section: Section, redis_section: Section
) -> None:
    service = start(*GUNICORN, "--workers", "3", by_environment=True, mysql=mysql_section, redis=redis_section)
    for n in range(10):
        _use(service, f"u{n}-")
    _ended_cleanly(service, signal.SIGTERM)


def test_the_command_line_serves_on_mariadb_and_redis(
    start: Start, mysql_section: Section, redis_section: Section
) -> None:
    service = start("python3", "myaccount", mysql=mysql_section, redis=redis_section)
    _use(service)
    assert "secret" not in service.output.read_text()
    _ended_cleanly(service, signal.SIGTERM)


def test_the_demo_s_file_with_other_ports_and_password_serves_after_the_script(
    start: Start, mariadb: MariaDB, redis_server: Redis
) -> None:
    with mariadb.connect("root", "") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE bus")
        cursor.execute("CREATE USER linqt IDENTIFIED BY 'secret'")
        cursor.execute("GRANT ALL ON bus.* TO linqt")
    mariadb.run_script("bus", CHECKOUT / "sql" / "sql.sql")
    changed = (("3306", str(mariadb.port)), ("7000", str(redis_server.port)), ("123qwe", "secret"))
    text = DEMO
    for old, new in changed:
        text = text.replace(old, new)
    service = start("python3", "myaccount", text=text)
    _use(service)
    _ended_cleanly(service, signal.SIGTERM)


def test_an_installed_wheel_serves_from_any_folder_with_its_own_files(start: Start, tmp_path: Path) -> None:
    wheels, target, elsewhere = tmp_path / "wheels", tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(CHECKOUT)],
        check=True,
    )
    (wheel,) = wheels.iterdir()
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True)
    for name in ("config/config.yaml", "sql/sql.sql", "sql/migrations/env.py", "templates/form.html"):
        assert (target / "myaccount" / name).is_file()
    # The installed package must come before the checkout, which is on the path of the test runner's Python.
    program = (
        f"import sys; sys.path.insert(0, {str(target)!r}); from myaccount.cli.entry import main; sys.exit(main())"
    )
    service = start("python3", "-c", program, folder=elsewhere)
    _use(service)
    assert f"{tmp_path}/money.db" in service.output.read_text()
    _ended_cleanly(service, signal.SIGTERM)


def test_it_prints_its_address_its_data_and_commands_to_try(start: Start, tmp_path: Path) -> None:
    service = start("python3", "myaccount")
    wait_until(lambda: "Ctrl-C" in service.output.read_text(), START_SECONDS)
    printed = service.output.read_text()
    assert f"MyAccount serves on {service.address}" in printed
    assert f"{tmp_path}/money.db" in printed
    # The printed commands work.
    for command in re.findall(r"^  (curl .*)$", printed, re.MULTILINE):
        answer = subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout  # noqa: S602
        assert '"result": 1' in answer or '"BALANCE": "100.00"' in answer


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"port": "none"}, "config.yaml:2: port: expected a whole number from 1 to 65535"),
        (
            {"mysql": {"host": "127.0.0.1", "port": 1, "db": "bus", "user": "u", "password": "hunter2"}},
            "cannot be used",
        ),
        ({"sqlite_file": "/proc/nothing/money.db"}, "/proc/nothing"),
        ({"log_folder": "/proc/nothing"}, "/proc/nothing"),
        ({"sqlite_file": "a\0b"}, "sqlite_file: expected text on one line"),
        ({"host": "0.0.0.0"}, "access: others can reach 0.0.0.0, so say who may use the service"),
    ],
)
def test_what_cannot_work_is_refused_without_a_traceback(
    tmp_path: Path, settings: dict[str, object], words: str
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"log_folder": str(tmp_path), **settings}))
    refused = run_command("python3", "myaccount", "-c", str(file))
    assert refused.returncode == 1
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "hunter2" not in refused.stderr


def test_a_port_that_is_taken_is_refused_with_words(start: Start, tmp_path: Path) -> None:
    service = start("python3", "myaccount")
    (file,) = tmp_path.glob("config-*.yaml")
    refused = run_command("python3", "myaccount", "-c", str(file))
    assert refused.returncode == 1
    assert "address already in use" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert service.answers()


def test_the_embedded_service_keeps_what_it_acknowledged_when_killed(start: Start) -> None:
    service = start("python3", "myaccount")
    _use(service)
    service.process.kill()
    service.process.wait()
    again = start("python3", "myaccount")
    assert '"6.00"' in json.dumps(again.post("/queryacc", userId="1"))


def test_an_idle_service_needs_little_memory(start: Start) -> None:
    service = start("python3", "myaccount", fresh=True)
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    resident = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert resident is not None
    assert int(resident[1]) < 88 * 1024
