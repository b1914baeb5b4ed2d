"""`myaccount keys`: a shop gets its key, and loses it in every process within a second."""

import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import yaml

from myaccount.access.scopes import SCOPES
from myaccount.cli import entry as cli

from ..conftest import Section
from ..helpers.servers import START_SECONDS, free_port, wait_until
from ..helpers.services import ListenerAlone, Service, Start, run_command

KEY = "mak_[a-z0-9]{12}_[0-9a-f]{64}"

Keys = Callable[..., tuple[int, str, str]]


@pytest.fixture
def file(backend: Section, tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    settings = {"sqlite_file": str(tmp_path / "m.db"), "log_folder": str(tmp_path), "access": "keys"}
    file.write_text(yaml.safe_dump(settings | backend))
    # The embedded file.
    assert cli.main(["migrate", "-c", str(file)]) == 0
    return file


@pytest.fixture
def keys(file: Path, capsys: pytest.CaptureFixture[str]) -> Keys:
    """Run `myaccount keys` with these words; return its status and what it printed."""

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main(["keys", *words, "-c", str(file)])
        return status, *capsys.readouterr()

    return run


def test_a_key_is_printed_once_and_then_only_described(keys: Keys) -> None:
    status, printed, _ = keys("create", "--name", "shop", "--scopes", "orders:read,money:move", "--rate", "100/s")
    assert status == 0
    key = printed.removesuffix("\n")
    assert re.fullmatch(KEY, key)
    for words in ((), ("list",)):
        status, printed, _ = keys(*words)
        assert status == 0
        assert re.fullmatch(rf"shop {key[4:16]} of \S{{20}}, works, 100/s: orders:read,money:move\n", printed), (
            printed
        )
        assert key[17:] not in printed


def test_a_key_is_rotated_and_revoked_by_its_name(keys: Keys) -> None:
    _, old, _ = keys("create", "--name", "shop", "--scopes", "cards", "--expires", "90d")
    status, new, _ = keys("rotate", "shop", "--overlap", "24h")
    assert status == 0
    assert re.fullmatch(f"{KEY}\n", new)
    assert new != old
    listed = keys("list")[1].splitlines()
    assert [re.sub("at .*:", "at :", line.partition(", ")[2]) for line in listed] == ["expires at : cards"] * 2
    assert keys("revoke", "shop") == (0, "No key by the name shop works any more.\n", "")
    assert all(", revoked at " in line for line in keys("list")[1].splitlines())


def _time(line: str, word: str) -> datetime:
    """Return the time after the word, in a line of the list."""
    found = re.search(rf" {word} (\S{{20}})", line)
    assert found, line
    return datetime.fromisoformat(found[1])


def test_times_are_minutes_hours_or_days_and_an_overlap_is_a_day_unless_it_is_given(keys: Keys) -> None:
    for number, (words, overlap) in enumerate(
        (
            (("--overlap", "90m"), timedelta(minutes=90)),
            (("--overlap", "12h"), timedelta(hours=12)),
            (("--overlap", "2d"), timedelta(days=2)),
            ((), timedelta(days=1)),
        )
    ):
        keys("create", "--name", f"shop{number}", "--scopes", "cards", "--expires", "90d")
        keys("rotate", f"shop{number}", *words)
        old, new = keys("list")[1].splitlines()[-2:]
        assert _time(old, "expires at") - _time(new, "of") == overlap
        assert _time(new, "expires at") - _time(new, "of") == timedelta(days=90)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("create", "--name", "shop", "--scopes", "cards"),
            "cannot create a key: there is a key by the name shop",
        ),
        (("rotate", "nobody"), "cannot rotate a key: no key by the name nobody works"),
        (("revoke", "nobody"), "cannot revoke a key: there is no key by the name nobody"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(keys: Keys, words: tuple[str, ...], line: str) -> None:
    keys("create", "--name", "shop", "--scopes", "cards")
    status, printed, errors = keys(*words)
    assert (status, printed) == (1, "")
    assert line in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("create", "--scopes", "cards"), "required: --name"),
        (("create", "--name", "shop"), "required: --scopes"),
        (("create", "--name", "a b", "--scopes", "cards"), "expected 1 to 45 letters"),
        (("create", "--name", "shop", "--scopes", "card"), f"no scope 'card'. The scopes are {', '.join(SCOPES)}"),
        (("create", "--name", "shop", "--scopes", "own"), "no scope 'own'"),
        (("create", "--name", "shop", "--scopes", ""), "no scope ''"),
        (("create", "--name", "shop", "--scopes", "cards", "--expires", "0d"), "such as 30m, 24h or 90d"),
        (("create", "--name", "shop", "--scopes", "cards", "--rate", "100"), "such as 100/s"),
        (("rotate", "shop", "--overlap", "soon"), "such as 30m, 24h or 90d"),
    ],
)
def test_a_wrong_command_line_is_explained(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], expected: str
) -> None:
    with pytest.raises(SystemExit) as raised:
        cli.main(["keys", *words])
    assert raised.value.code == 2
    assert expected in capsys.readouterr().err


def _answers(service: Service, key: str, expected: int) -> bool:
    """Whether a query of an order with this key has this status."""
    return _replies(service.address + "/querorder", expected, key, b"orderId=o1")


def _replies(address: str, expected: int, key: str = "", body: bytes | None = None) -> bool:
    request = urllib.request.Request(address, body, {"Authorization": f"Bearer {key}"})  # noqa: S310 - our own
    try:
        with urllib.request.urlopen(request, timeout=START_SECONDS) as response:  # noqa: S310
            return bool(response.status == expected)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code == expected
    except OSError:
        return False


@pytest.mark.parametrize("command", ["serve", "listen"])
def test_metrics_want_a_key_with_the_scope_operate(start: Start, command: str) -> None:
    port = free_port()
    service = start("python3", "myaccount", access="keys", metrics={"port": port})
    keys = ["python3", "-m", "myaccount", "keys", "-c", str(service.configuration), "create", "--scopes"]
    right, wrong = (run_command(*keys, scope, "--name", scope).stdout.strip() for scope in ("operate", "admin"))
    if command == "listen":
        settings = yaml.safe_load(service.configuration.read_text())
        port = settings["metrics"]["port"] = free_port()
        service.configuration.write_text(yaml.safe_dump(settings))
    with ListenerAlone(service) if command == "listen" else nullcontext():
        wait_until(partial(_replies, f"http://127.0.0.1:{port}/healthz", 200), START_SECONDS)
        address = f"http://127.0.0.1:{port}/metrics"
        for key, status in (("", 401), (wrong, 403), (right, 200)):
            assert _replies(address, status, key), status


def test_a_key_works_in_each_process_and_is_revoked_in_each_within_a_second(
    start: Start, mysql_section: Section
) -> None:
    services = [start("python3", "myaccount", mysql=mysql_section, access="keys") for _ in range(2)]
    command = ["python3", "-m", "myaccount", "keys", "-c", str(services[0].configuration)]
    # They know that there is no key.
    assert all(_answers(service, "", 401) for service in services)
    key = run_command(*command, "create", "--name", "shop", "--scopes", "orders:read").stdout.strip()
    for service in services:
        wait_until(partial(_answers, service, key, 404), START_SECONDS)
    assert run_command(*command, "revoke", "shop").returncode == 0
    revoked_at = time.monotonic()
    for service in services:
        while True:
            sent_at = time.monotonic()
            if _answers(service, key, 401):
                break
            assert sent_at < revoked_at + 1


def test_gunicorn_s_workers_share_a_rate_while_redis_is_away_from_the_start(
    start: Start, mysql_section: Section
) -> None:
    service = start(
        *("gunicorn", "myaccount", "--bind", "127.0.0.1:{port}", "--workers", "3"),
        by_environment=True,
        mysql=mysql_section,
        redis={"host": "127.0.0.1", "port": free_port()},
        access="keys",
    )
    create = ("keys", "-c", str(service.configuration), "create", "--name", "shop")
    done = run_command("python3", "-m", "myaccount", *create, "--scopes", "orders:read", "--rate", "3/s")
    key = done.stdout.strip()
    wait_until(lambda: _answers(service, key, 404), START_SECONDS)
    began = time.monotonic()
    allowed = asked = 0
    # Until another second has begun: in this one, the key may have been used already.
    while asked < 100 or time.monotonic() < began + 1.1:
        allowed += _answers(service, key, 404)
        asked += 1
    assert 0 < allowed <= 3 * (int(time.monotonic() - began) + 2)
