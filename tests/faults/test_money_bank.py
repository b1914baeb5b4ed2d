"""The bank test of the whole life of money: every kind of order, holds that expire, freezes, processes killed."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import func, select

from myaccount.database.database import Database, open_database
from myaccount.database.times import utc_now
from myaccount.journal.verification import verify_books
from myaccount.model.ledger import hold
from myaccount.model.outbox import event
from myaccount.settings.loading import load_configuration

from ..conftest import Section, eventually
from ..helpers.failpoints import POINTS
from ..helpers.money_bank import MoneyBank
from ..helpers.money_checker import check_money
from ..helpers.money_history import DECLINES, REFUSALS
from ..helpers.money_tables import read_tables
from ..helpers.servers import STOP_SECONDS
from ..helpers.services import Start

# `make soak` runs it for long.
STEPS = int(os.environ.get("SOAK_ORDERS", "20"))
CLIENTS = 30
KILLED_AT_BATCH = "10"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


@pytest.mark.parametrize("fault", ["none", "killed anywhere", *POINTS])
async def test_all_money_is_where_the_replies_say(
    start: Start, session: aiohttp.ClientSession, backend: Section, fault: str
) -> None:
    sound = await asyncio.to_thread(start, "python3", "myaccount", **backend)
    other = await asyncio.to_thread(
        start, "python3", "tests/helpers/failpoints.py", fault, KILLED_AT_BATCH, **backend
    )
    bank = MoneyBank(session, [sound.address, other.address], seed=1)
    await bank.open()
    running = asyncio.ensure_future(bank.run(CLIENTS, STEPS))
    if fault == "killed anywhere":
        await eventually(lambda: len(bank.history.sent) > CLIENTS * STEPS // 3)
        other.process.kill()
    await running
    if fault == "none":
        assert other.process.poll() is None
    else:
        assert await asyncio.to_thread(other.process.wait, STOP_SECONDS) == -signal.SIGKILL
    await bank.replay(CLIENTS)
    await _assert_tables_match_replies(bank, sound.configuration)
    # All happened that can happen.
    assert bank.codes.keys() >= DECLINES | REFUSALS | {"posted", "order_mismatch"}


async def _assert_tables_match_replies(bank: MoneyBank, configuration: Path) -> None:
    config = load_configuration(configuration, {})
    async with open_database(config, Path(config["sqlite_file"])) as database:
        await eventually(lambda: _all_is_over(database))
        async with database.snapshot() as connection:
            assert check_money(bank.history, await read_tables(connection)) == []
        assert bank.wrong == []
        assert [difference async for difference in verify_books(database, lambda done, count: None)] == []


async def _all_is_over(database: Database) -> bool:
    """Whether all short holds have ended, touched or not, and all events are dispatched."""
    soon = utc_now() + timedelta(minutes=1)
    short = select(func.count()).where(hold.c.status == "held", hold.c.expires_at < soon)
    async with database.snapshot() as connection:
        return not await connection.scalar(short) and not await connection.scalar(select(func.count(event.c.id)))
