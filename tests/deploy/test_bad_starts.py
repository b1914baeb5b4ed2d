"""A start that cannot work is refused in one line that says what to do, and is not retried."""

import errno
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from myaccount.system.addresses import listening_fault

from ..conftest import Section
from ..helpers.deployments import GUNICORN, IMPATIENT_GUNICORN
from ..helpers.monitoring import ask
from ..helpers.servers import START_SECONDS, STOP_SECONDS, MariaDB, free_port, wait_until
from ..helpers.services import CHECKOUT, ENVIRONMENT, Start, begin, run_command

NOBODY = {"host": "127.0.0.1", "port": 1, "db": "bus", "user": "u", "password": "hunter2"}


def _refusal(file: Path, settings: Mapping[str, Any], *words: str, command: Sequence[str] = GUNICORN) -> str:
    """Return the only line that a failed start prints."""
    file.write_text(yaml.safe_dump({"port": free_port(), **settings}))
    refused = run_command(*command, *words, environment={"MYACCOUNT_CONFIG": str(file)})
    assert refused.returncode == 1, refused
    others = ("Starting gunicorn", "Waiting up to")
    lines = [
        line for line in (refused.stdout + refused.stderr).splitlines() if not any(map(line.__contains__, others))
    ]
    assert len(lines) == 1, refused
    assert "hunter2" not in lines[0]
    return lines[0]


@pytest.mark.parametrize(
    ("settings", "words", "line"),
    [
        ({"port": "none"}, (), "config.yaml:1: port: expected a whole number from 1 to 65535"),
        (
            {"host": "0.0.0.0"},
            (),
            "config.yaml:1: access: others can reach 0.0.0.0, so say who may use the service",
        ),
        ({}, ("--bind", "0.0.0.0:80"), "config.yaml: access: others can reach 0.0.0.0:80, so say who may use"),
        ({}, ("--bind", "[::]:80"), "config.yaml: access: others can reach [::]:80, so say who may use"),
        ({}, ("--bind", ":80"), "config.yaml: access: others can reach :80, so say who may use"),
        ({}, ("--bind", "unix:/nowhere/socket"), "access: others can reach /nowhere/socket, so say who may use"),
        ({}, ("--bind", "127.0.0.1:80", "--bind", "10.0.0.1:80"), "access: others can reach 10.0.0.1:80, so say"),
        ({}, ("--workers", "2"), "the embedded file has one writer, so --workers must be 1, not 2"),
        ({}, ("--workers", "0"), "--workers must be 1 or more"),
        ({}, ("--preload",), "leave out --preload, since workers would share their request ids"),
        ({}, ("--worker-class", "sync"), "--worker-class must be aiohttp.GunicornWebWorker"),
        ({"mysql": NOBODY}, (), "cannot be used"),
        ({"sqlite_file": "/proc/nothing/money.db"}, (), "/proc/nothing"),
        ({"port": 9180, "metrics": {}}, (), "metrics.port: expected another port than the service's"),
        ({"log_file": "/proc/nothing/log.txt"}, (), "/proc/nothing"),
    ],
)
def test_gunicorn_refuses_what_cannot_work(
    tmp_path: Path, settings: dict[str, object], words: tuple[str, ...], line: str
) -> None:
    settings = {"sqlite_file": str(tmp_path / "money.db"), **settings}
    assert line in _refusal(tmp_path / "config.yaml", settings, *words)


def test_gunicorn_refuses_systemd_s_sockets_unless_it_is_said_who_may_use_them(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"sqlite_file": str(tmp_path / "money.db")}))
    environment = {"MYACCOUNT_CONFIG": str(file), "LISTEN_FDS": "1"}
    refused = run_command(*GUNICORN, environment=environment)
    assert refused.returncode == 1
    assert "access: others can reach systemd's sockets, so say who may use" in refused.stderr


def test_a_unix_socket_answers_a_proxy_by_the_names_in_hosts(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "socket"
    bind = ("--bind", "127.0.0.1:{port}", "--bind", f"unix:{path}")
    start(*GUNICORN, *bind, by_environment=True, access="open", hosts=["pay.example.com"])
    for host, status in (("pay.example.com", b"200"), ("127.0.0.1", b"200"), ("evil.example", b"403")):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            assert connection.recv(12) == b"HTTP/1.1 " + status, host


def test_gunicorn_refuses_a_wrong_password(tmp_path: Path, mysql_section: Section) -> None:
    line = _refusal(tmp_path / "config.yaml", {"mysql": {**mysql_section, "password": "hunter2"}})
    assert "Access denied" in line


@pytest.mark.parametrize("section", ["service", "metrics"])
def test_gunicorn_refuses_a_port_that_is_taken(tmp_path: Path, section: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ports = {"port": port} if section == "service" else {"metrics": {"port": port}}
        settings = {"sqlite_file": str(tmp_path / "money.db"), **ports}
        line = _refusal(tmp_path / "config.yaml", settings, command=IMPATIENT_GUNICORN)
    key = "port" if section == "service" else "metrics.port"
    fault = "address already in use: end the program that has it, or name another port"
    assert line == f"gunicorn cannot serve: {key}: 127.0.0.1:{port}: {fault}"


@pytest.mark.parametrize(
    ("host", "number", "fault"),
    [
        (
            "::",
            errno.EADDRINUSE,
            "[::]:80: address already in use: end the program that has it, or name another port",
        ),
        ("::1", errno.EACCES, "[::1]:80: permission denied"),
        ("127.0.0.1", errno.EADDRNOTAVAIL, "127.0.0.1:80: cannot assign requested address"),
    ],
)
def test_a_fault_of_an_address_is_reported_in_the_system_s_words(host: str, number: int, fault: str) -> None:
    error = OSError(number, f"{os.strerror(number)} (while attempting to bind on address ({host!r}, 80))")
    assert listening_fault(host, 80, error) == fault


def _serves(port: int) -> bool:
    try:
        return ask(port, "/healthz").status == 200
    except OSError:
        return False


@pytest.mark.parametrize("section", ["service", "metrics"])
def test_gunicorn_reports_at_once_a_port_in_use_and_serves_when_it_is_free(tmp_path: Path, section: str) -> None:
    file, output = tmp_path / "config.yaml", tmp_path / "output.txt"
    with socket.create_server(("127.0.0.1", 0)) as other, output.open("w") as written:
        port = other.getsockname()[1]
        service_port = port if section == "service" else free_port()
        ports = {"port": service_port} | ({"metrics": {"port": port}} if section == "metrics" else {})
        file.write_text(yaml.safe_dump({"sqlite_file": str(tmp_path / "money.db"), **ports}))
        environment = {**ENVIRONMENT, "MYACCOUNT_CONFIG": str(file)}
        process = begin(GUNICORN, environment=environment, output=written.fileno())
        key = "port" if section == "service" else "metrics.port"
        words = f"{key}: 127.0.0.1:{port} is in use. Waiting up to 15 seconds until it is free."
        try:
            wait_until(lambda: words in output.read_text(), START_SECONDS)
            # Ports are checked before the database is made, so this was at once.
            assert not (tmp_path / "money.db").exists()
            other.close()
            wait_until(lambda: _serves(service_port), START_SECONDS)
        finally:
            process.terminate()
            status = process.wait(STOP_SECONDS)
    assert status == 0, output.read_text()


def test_gunicorn_in_another_folder_refuses_and_prints_a_command_that_works(tmp_path: Path, start: Start) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    bind = ("--bind", f"127.0.0.1:{free_port()}")
    refused = subprocess.run(
        [*GUNICORN, *bind],
        cwd=elsewhere,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=2 * START_SECONDS,
    )
    assert refused.returncode != 0
    (line,) = [line for line in refused.stderr.splitlines() if "cannot serve" in line]
    assert line.startswith("gunicorn cannot serve: it has not read MyAccount's settings")
    assert "Traceback" not in refused.stderr
    command = line.partition("Run:  ")[2].split()
    assert start(*command, folder=elsewhere, by_environment=True).answers()


def test_gunicorn_in_another_folder_serves_with_the_right_worker(tmp_path: Path, start: Start) -> None:
    """The command line may have all settings instead."""
    worker = ("--worker-class", "aiohttp.GunicornWebWorker")
    assert start(*GUNICORN, *worker, "--bind", "127.0.0.1:{port}", folder=tmp_path, by_environment=True).answers()


def test_gunicorn_refuses_a_database_without_its_schema(tmp_path: Path, mariadb: MariaDB) -> None:
    section = {"host": "127.0.0.1", "port": mariadb.port, "user": mariadb.user, "password": mariadb.password}
    line = _refusal(tmp_path / "config.yaml", {"mysql": section | {"db": mariadb.new_database()}})
    assert "has no schema yet" in line
    assert "myaccount migrate" in line


def test_gunicorn_starts_with_what_can_work(tmp_path: Path) -> None:
    """`--check-config` loads the file and starts nothing."""
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"port": free_port()}))
    environment = {**ENVIRONMENT, "MYACCOUNT_CONFIG": str(file)}
    subprocess.run([*GUNICORN, "--check-config"], cwd=CHECKOUT, env=environment, check=True, timeout=60)
