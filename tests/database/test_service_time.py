"""The time by which keys end is the database's, is kept through restarts, and never goes back."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.access import authentication as authentication_module
from myaccount.access import signing, snapshots
from myaccount.access.authentication import Authenticator
from myaccount.access.clock import Clock
from myaccount.access.rates import Rates
from myaccount.access.signing import find_time_fault, follow_time, read_signing, service_time
from myaccount.database.database import Database
from myaccount.database.times import utc_now
from myaccount.errors import Unavailable
from myaccount.model.access import signing_key

from ..conftest import eventually
from ..helpers.services import CHECKOUT

NOW = utc_now()
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
YEARS = timedelta(days=9999)


@pytest.fixture
async def authenticator(database: Database) -> AsyncIterator[Authenticator]:
    authenticator = Authenticator(database, Rates())
    yield authenticator
    await authenticator.close()


async def _set_seen(database: Database, time: datetime) -> None:
    await database.write(lambda connection: connection.execute(update(signing_key).values(seen_at=time)))


async def _seen(database: Database) -> datetime:
    query = select(signing_key.c.seen_at)
    seen: datetime = (await database.read(lambda connection: connection.execute(query))).scalar_one()
    return seen


def _set_database_s_clock(monkeypatch: pytest.MonkeyPatch, time: datetime) -> None:
    read_times = signing._times

    async def times(connection: AsyncConnection) -> tuple[datetime, datetime]:
        return (await read_times(connection))[0], time

    monkeypatch.setattr(signing, "_times", times)


def _set_own_clock(monkeypatch: pytest.MonkeyPatch, time: datetime) -> None:
    monkeypatch.setattr(signing, "utc_now", lambda: time)


async def test_it_is_the_database_s_time(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert abs(await service_time(database) - utc_now()) < HOUR / 4
    _set_own_clock(monkeypatch, NOW + YEARS)
    assert abs(await service_time(database) - NOW) < HOUR
    _set_database_s_clock(monkeypatch, NOW + HOUR)
    assert timedelta() <= await service_time(database) - (NOW + HOUR) < HOUR / 4


async def test_a_database_s_clock_that_is_set_back_does_not_set_it_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = (await database.read(read_signing)).clock
    await follow_time(database, clock)
    before = clock.now()
    _set_database_s_clock(monkeypatch, NOW - HOUR)
    await follow_time(database, clock)
    assert clock.now() > before
    # After a restart.
    assert await service_time(database) > before
    # Meanwhile time passes, and is stored.
    clock._begin += 3 * HOUR
    await follow_time(database, clock)
    assert await _seen(database) > before + 2 * HOUR


async def test_a_process_learns_the_time_that_others_have_seen(database: Database) -> None:
    clock = Clock(NOW - HOUR)
    await follow_time(database, clock)
    assert clock.now() > NOW - SECOND
    await _set_seen(database, NOW + HOUR)
    await follow_time(database, clock)
    assert clock.now() > NOW + HOUR - SECOND


async def test_the_highest_time_is_stored(database: Database) -> None:
    await _set_seen(database, NOW - YEARS)
    await follow_time(database, Clock(NOW - YEARS))
    assert abs(await _seen(database) - utc_now()) < HOUR / 4


async def test_a_machine_whose_clock_is_years_ahead_ends_no_key(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_own_clock(monkeypatch, NOW + YEARS)
    clock = (await database.read(read_signing)).clock
    assert "clock and the database's differ by" in await follow_time(database, clock)
    assert abs(clock.now() - utc_now()) < HOUR / 4
    assert abs(await _seen(database) - utc_now()) < HOUR / 4


async def test_what_is_wrong_with_the_time_is_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await database.read(find_time_fault) == ""
    for ahead in (2 * HOUR, -2 * HOUR):
        with monkeypatch.context() as patch:
            _set_own_clock(patch, NOW + ahead)
            assert "differ by" in await database.read(find_time_fault)
    await _set_seen(database, NOW + 30 * SECOND)
    assert await database.read(find_time_fault) == ""
    await _set_seen(database, utc_now() + YEARS)
    assert "the highest that was seen is 9998 days, 23:59:" in await database.read(find_time_fault)


async def test_a_service_follows_the_time_and_warns_once(
    database: Database,
    authenticator: Authenticator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(authentication_module, "KEEP_SECONDS", 0.01)
    await _set_seen(database, NOW + HOUR)
    clock = (await authenticator.signing()).clock
    authenticator.keep_time()
    await _set_seen(database, NOW + 2 * HOUR)

    async def follows() -> bool:
        return clock.now() > NOW + 2 * HOUR

    await eventually(follows)

    async def stores() -> bool:
        return await _seen(database) > NOW + 2 * HOUR

    await eventually(stores)
    assert (await authenticator.signing()).clock is clock
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.startswith("About the time: the highest that was seen is ")


async def test_while_the_database_is_away_requests_wait_for_one_read(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []

    async def fail(*work: object, **options: object) -> None:
        reads.append(work)
        await asyncio.sleep(0)
        raise Unavailable("The database is away.")

    monkeypatch.setattr(database, "read", fail)
    # The error is remembered for as long as the test takes.
    monkeypatch.setattr(snapshots, "PAUSE_SECONDS", 60)
    authenticator = Authenticator(database, Rates())
    tokens = await asyncio.gather(*[authenticator.owner_of_token("a") for _ in range(99)], return_exceptions=True)
    keys = await asyncio.gather(*[authenticator.owner_of_key("a") for _ in range(99)], return_exceptions=True)
    assert {type(error) for error in [*tokens, *keys]} == {Unavailable}
    assert len(reads) == 1
    await authenticator.close()


async def test_the_documented_statement_forgets_a_time_that_was_ahead(database: Database) -> None:
    text = (CHECKOUT / "docs" / "operations.rst").read_text("utf-8")
    server, embedded = re.findall(r"secret = LOWER\(HEX\(RANDOM.*, seen_at = .*\)", text)
    statement = f"UPDATE signing_key SET {embedded if database.name.endswith('.db') else server}"
    before = await database.read(read_signing)
    await _set_seen(database, NOW + YEARS)
    await database.write(lambda connection: connection.exec_driver_sql(statement))
    after = await database.read(read_signing)
    assert abs(after.clock.now() - utc_now()) < HOUR / 4
    assert re.fullmatch("[0-9a-f]{64}", after.secret)
    assert after.secret != before.secret
