"""The log: one line a request, an id shared with the reply, and never a card number or a password."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from myaccount.configuration import CONFIGURATION
from myaccount.logsetup import RequestIdFilter, set_up_logging
from myaccount.store.database import Database

from .actions import send
from .conftest import Client
from .test_accounts import ALICE


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    caplog.handler.addFilter(RequestIdFilter())
    caplog.handler.setFormatter(logging.Formatter("%(levelname)s %(name)s [%(request_id)s] %(message)s"))
    return caplog


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    """The file of today, with the logging of the service, at its most talkative, in place of the tests'."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    config = CONFIGURATION.check({"log_level": "DEBUG", "log_folder": str(tmp_path / "logs")})
    set_up_logging(config, alone=True)
    # SQLAlchemy tells its statements only if it is asked by name.
    logging.getLogger("sqlalchemy.engine").setLevel(logging.INFO)
    yield tmp_path / "logs" / "myaccount.log"
    logging.getLogger("sqlalchemy.engine").setLevel(logging.NOTSET)
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.level = handlers, level


async def test_each_request_has_one_line_and_shares_its_id_with_the_reply(
    client: Client, log: pytest.LogCaptureFixture
) -> None:
    for path in ("/queryacc?userId=u1&secret=x", "/nothing", "/%0Ainjected"):
        log.clear()
        async with client.post(path, data={"userId": "u1"}) as response:
            id_ = response.headers["X-Request-ID"]
        (line,) = [line for line in log.text.splitlines() if "myaccount.access" in line]
        told = f"INFO myaccount.access [{id_}] POST {path.partition('?')[0]} {response.status} "
        assert re.fullmatch(re.escape(told) + r"\d+\.\d ms", line), line


async def test_an_id_given_by_the_client_is_kept_if_it_is_one(
    client: Client, log: pytest.LogCaptureFixture
) -> None:
    for given, kept in [
        ("order-17.a_B", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("a b", False),
        ("é", False),
    ]:
        async with client.get("/nothing", headers={"X-Request-ID": given}) as response:
            assert (response.headers["X-Request-ID"] == given) == kept
            assert (await response.json(content_type=None))["request_id"] == response.headers["X-Request-ID"]


async def test_every_other_line_of_a_request_has_its_id_too(
    client: Client, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(self: Database, work: object) -> None:
        raise RuntimeError("the handler is broken")

    monkeypatch.setattr(Database, "read", failing)
    async with client.post("/queryacc", data={"userId": "u1"}, headers={"X-Request-ID": "r-1"}) as response:
        problem = await response.json(content_type=None)
    assert (response.status, problem["code"]) == (500, "internal_error")
    assert "broken" not in str(problem)
    assert "ERROR myaccount.middlewares [r-1] The handler of /queryacc failed." in log.text


async def test_no_card_number_or_password_reaches_the_log(
    log_file: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = "6222777777"
    await send(client, "/openacc", **ALICE | {"cardNum": card})
    await send(client, "/openacc", **ALICE | {"cardNum": card})
    await send(client, "/openacc", **ALICE | {"cardNum": card * 5})
    monkeypatch.setattr("myaccount.store.accounts._INSERT_ACCOUNT", text("INSERT INTO nowhere VALUES (:user_id)"))
    status, _, _ = await send(client, "/openacc", **ALICE | {"userId": "u9", "accountId": "a9", "cardNum": card})
    assert status >= 500
    log = log_file.read_text("utf-8")
    assert "INSERT INTO user" in log
    assert "nowhere" in log
    assert card not in log
    assert "secret" not in log


def test_one_process_logs_to_a_file_a_day_too(log_file: Path) -> None:
    logging.getLogger("test").info("账本")
    logging.getLogger("aiosqlite").debug("a statement with its parameters")
    (handler,) = [handler for handler in logging.getLogger().handlers if hasattr(handler, "when")]
    assert (handler.when, handler.backupCount) == ("MIDNIGHT", 30)  # type: ignore[attr-defined]
    assert re.fullmatch(r".* INFO test \[-\] 账本\n", log_file.read_text("utf-8"))
