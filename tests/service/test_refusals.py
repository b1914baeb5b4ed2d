"""The log has each cause of 503s once, with the request ids that the clients received."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing

import pytest

from myaccount.appkeys import refusals_key
from myaccount.journal import blocked
from myaccount.observability import refusal_log as refusals_module
from myaccount.observability.log_setup import request_id
from myaccount.observability.refusal_log import CAUSES_LIMIT, IDS_LIMIT, Refusals
from myaccount.settings.schema import Config

from ..conftest import Client, eventually
from ..helpers.servers import MariaDB

PERSON = {"userName": "N", "sex": "F", "cardNum": "6222999999", "accountType": "01"}
IDS = [f"client-{n}" for n in range(5)]


@pytest.fixture(autouse=True)
def _all_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def _errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@asynccontextmanager
async def _nobody_opens_accounts(config: Config, request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Let another program lock what an opening needs."""
    if "mysql" in config:
        mariadb: MariaDB = request.getfixturevalue("mariadb")
        with mariadb.connect(database=config["mysql"]["db"]) as other, other.cursor() as cursor:
            # Not in the event loop: the service may be using the table, and must be able to finish.
            await asyncio.to_thread(cursor.execute, "LOCK TABLES user WRITE")
            yield
            cursor.execute("UNLOCK TABLES")
        return
    with closing(
        sqlite3.connect(config["sqlite_file"], isolation_level=None, check_same_thread=False)
    ) as other_file:
        await asyncio.to_thread(other_file.execute, "BEGIN IMMEDIATE")
        yield
        other_file.execute("ROLLBACK")


async def test_a_cause_is_logged_once_with_the_ids_of_the_refused_requests(
    client: Client,
    config: Config,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The service is to give up.
    monkeypatch.setattr(blocked, "WAIT_SECONDS", 1)

    async def open_account(id_: str) -> int:
        data = {"userId": id_, "accountId": id_, **PERSON}
        async with client.post("/openacc", data=data, headers={"X-Request-ID": id_}) as response:
            return response.status

    async with _nobody_opens_accounts(config, request):
        assert set(await asyncio.gather(*map(open_account, IDS))) == {503}
    await eventually(lambda: all(any(id_ in line for line in _errors(caplog)) for id_ in IDS))
    # They waited for the database, or for another program.
    assert len(_errors(caplog)) <= 3
    place = (
        f"{config['mysql']['db']} at 127.0.0.1:{config['mysql']['port']}" if "mysql" in config else "myaccount.db"
    )
    for line in _errors(caplog):
        assert line.startswith("Refused with a 503: ")
        assert place in line or "Another transaction holds a row" in line
        assert "6222999999" not in line
    for id_ in IDS:
        assert sum(id_ in line for line in _errors(caplog)) == 1
    # Retries are not logged as warnings.
    assert {record.levelno for record in caplog.records if "attempt" in record.getMessage()} <= {logging.INFO}
    assert await open_account("u1") == 200


async def test_a_full_queue_is_logged_the_same_way(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    async with client.post("/queryacc", data={"userId": "u1"}, headers={"X-Request-ID": "well"}) as response:
        assert response.status == 200
    client.app[refusals_key].note("Too many orders are waiting. Send the same order again in a moment.", "r-1")
    client.app[refusals_key].close()
    assert _errors(caplog) == [
        "Refused with a 503: Too many orders are waiting. Send the same order again in a moment. Request ids: r-1"
    ]


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> Iterator[Refusals]:
    monkeypatch.setattr(refusals_module, "GATHERING_SECONDS", 0.01)
    yield Refusals()
    assert request_id.get() == "-"


async def test_each_cause_has_its_own_line_and_is_logged_again_when_it_recurs(
    refusals: Refusals, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(3):
        refusals.note("the database is away", f"a{n}")
    refusals.note("it hangs", "b0")
    await eventually(lambda: len(_errors(caplog)) == 2)
    assert _errors(caplog) == [
        "Refused with a 503: the database is away. Request ids: a0, a1, a2",
        "Refused with a 503: it hangs. Request ids: b0",
    ]
    refusals.note("it hangs", "b1")
    await eventually(lambda: _errors(caplog)[2:] == ["Refused with a 503: it hangs. Request ids: b1"])


async def test_the_kept_ids_and_causes_are_limited(refusals: Refusals, caplog: pytest.LogCaptureFixture) -> None:
    for n in range(10 * IDS_LIMIT):
        refusals.note("the database is away", f"a{n}")
    for n in range(10 * CAUSES_LIMIT):
        refusals.note(f"row {n} is locked", f"b{n}")
    refusals.close()
    lines = _errors(caplog)
    assert lines[0].endswith(f", a{IDS_LIMIT - 1} and {9 * IDS_LIMIT} more")
    assert len(lines) == CAUSES_LIMIT + 1
    assert "several other causes" in lines[-1]
