"""`myaccount check` and what the command line says: what is missing, where, and what to do."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from myaccount.resources import own_version

from .conftest import Section
from .deployments import port_of
from .servers import Redis, free_port
from .services import CHECKOUT, ENVIRONMENT, Start

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
    command = ["python3", "-m", "myaccount", *words, "-c", str(file)]
    return subprocess.run(command, cwd=CHECKOUT, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)


def _checked(tmp_path: Path, settings: dict[str, Any]) -> list[str]:
    """Return the lines of a check that finds that a service can start."""
    done = _run(tmp_path, settings, "check")
    assert (done.returncode, done.stderr) == (0, "")
    # Without those of the log.
    return [line for line in done.stdout.splitlines() if not line.startswith("20")]


def test_where_all_is_in_place_there_is_no_warning(
    tmp_path: Path, settings: dict[str, Any], redis_section: Section, mysql_section: Section, start: Start
) -> None:
    receiver = start("python3", "myaccount")
    settings |= {"redis": redis_section, "mysql": mysql_section, "callbacks": [{"url": receiver.address}]}
    assert _checked(tmp_path, settings) == [READY]


def test_ports_that_are_taken_are_warnings(tmp_path: Path, settings: dict[str, Any], start: Start) -> None:
    port = free_port()
    service = start("python3", "myaccount", metrics={"port": port})
    taken = {"port": port_of(service), "metrics": {"port": port}}
    lines = _checked(tmp_path, settings | taken)
    advice = "address already in use: end the program that has it, or name another port"
    assert lines == [
        f"Warning: port: 127.0.0.1:{port_of(service)}: {advice}",
        f"Warning: metrics.port: 127.0.0.1:{port}: {advice}",
        READY,
    ]


def test_a_redis_that_is_away_or_takes_no_writes_is_a_warning(
    tmp_path: Path, settings: dict[str, Any], redis_section: Section, redis_server: Redis
) -> None:
    port = free_port()
    warning, ready = _checked(tmp_path, settings | {"redis": {"host": "127.0.0.1", "port": port}})
    assert warning.startswith(f"Warning: redis: 127.0.0.1:{port}: ")
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


def test_a_receiver_that_is_not_there_is_a_warning_without_its_secrets(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    port = free_port()
    urls = [f"http://shop:secret1@127.0.0.1:{port}/secret2?t=secret3", "https://nowhere.invalid/secret4"]
    *warnings, ready = _checked(tmp_path, settings | {"callbacks": [{"url": url} for url in urls]})
    assert warnings[0].startswith(f"Warning: callbacks[0].url: 127.0.0.1:{port}: ")
    assert warnings[1].startswith("Warning: callbacks[1].url: nowhere.invalid:443: ")
    assert ready == READY
    assert "secret" not in "".join(warnings)


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
        (("events", "--drop", "delivery-1"), "myaccount cannot drop events: "),
        (("backup", "copy.db"), "myaccount cannot back up the database: "),
        (("check",), "myaccount cannot start: "),
        (("verify",), "myaccount cannot verify the books: "),
        (("--print-config-vars",), "myaccount cannot serve: "),
    ],
)
def test_each_command_that_fails_says_so_in_a_sentence(
    tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    file = tmp_path / "check.yaml"
    file.write_text("port: [\n")
    done = subprocess.run(
        ["python3", "-m", "myaccount", *words, "-c", str(file)],
        cwd=CHECKOUT, env=ENVIRONMENT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == (2 if words == ("verify",) else 1)
    assert done.stderr.startswith(f"{sentence}{file}:2: expected YAML")
    assert len(done.stderr.splitlines()) == 1


def test_the_version_is_told(tmp_path: Path) -> None:
    done = _run(tmp_path, {}, "--version")
    assert (done.returncode, done.stdout) == (0, f"MyAccount {own_version()}\n")
