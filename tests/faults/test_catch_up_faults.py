"""A process is killed while it writes the messages that inboxes lack: none is lost, and none is there twice."""

import asyncio
import json
import signal
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import select

from myaccount.database.database import Database, open_database
from myaccount.model.inbox import counter
from myaccount.model.ledger import account, decline, entry
from myaccount.settings.loading import load_configuration

from ..conftest import Section
from ..helpers.bank import COLD, HOT, BankOf, assert_tables_match_replies
from ..helpers.failpoints import CATCH_UP_POINTS
from ..helpers.inboxes import read_inboxes, rows_of, until_dispatched
from ..helpers.services import Service, Start

CLIENTS = 10
KILLED_AT = "5"


@pytest.mark.parametrize("point", CATCH_UP_POINTS)
async def test_a_process_that_is_killed_while_inboxes_catch_up_loses_and_doubles_no_message(
    start: Start, bank_of: BankOf, backend: Section, point: str
) -> None:
    sound = await asyncio.to_thread(start, "python3", "myaccount", **backend)
    other = await asyncio.to_thread(start, "python3", "tests/helpers/failpoints.py", point, KILLED_AT, **backend)
    bank = bank_of(sound, other)
    await bank.open()
    stop = asyncio.Event()
    load = asyncio.ensure_future(bank.run_until(stop, CLIENTS))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        # Both processes catch up the same inboxes.
        reading = [asyncio.ensure_future(_read_until_killed(session, sound, user)) for user in HOT]
        await asyncio.gather(*[_read_until_killed(session, other, user) for user in [*HOT, *COLD[:5]]])
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    assert await asyncio.to_thread(other.process.wait, 30) == -signal.SIGKILL
    stop.set()
    await load
    await assert_tables_match_replies(bank, sound.configuration)
    config = load_configuration(sound.configuration, {})
    async with open_database(config, Path(config["sqlite_file"])) as database:
        await until_dispatched(database)
        await _assert_each_entry_has_one_message(database)


async def _read_until_killed(session: aiohttp.ClientSession, service: Service, user: str) -> None:
    while True:
        try:
            async with session.get(f"{service.address}/messages", params={"userId": user}) as response:
                await response.read()
        except aiohttp.ClientError:
            return


async def _assert_each_entry_has_one_message(database: Database) -> None:
    messages = sorted(await read_inboxes(database), key=lambda row: row.id)
    bodies = [json.loads(row.body) for row in messages if row.message_type not in ("decline", "account_opened")]
    declined = [json.loads(row.body) for row in messages if row.message_type == "decline"]
    declines = select(decline.c.order_id).order_by(decline.c.account, decline.c.number)
    told = list((await database.read(lambda connection: connection.execute(declines))).scalars())
    assert told
    assert Counter(body["orderId"] for body in declined) == Counter(told)
    entries = (
        select(account.c.account_id, entry.c.number)
        .join_from(entry, account, account.c.id == entry.c.account)
        .where(account.c.user_id.is_not(None))
        .order_by(entry.c.number)
    )
    rows = [tuple(row) for row in await database.read(lambda connection: connection.execute(entries))]
    assert Counter((body["accountId"], body["entry"]) for body in bodies) == Counter(rows)
    for account_id in {account_id for account_id, _ in rows}:
        of_account = [json.loads(row.body) for row in messages]
        of_account = [body for body in of_account if body["accountId"] == account_id]
        # A decline has the number of the last entry by then.
        numbers = [body["entry"] for body in of_account]
        assert numbers == sorted(numbers)
        order_ids = [body["orderId"] for body in of_account if "reason" in body]
        assert order_ids == [order_id for order_id in told if order_id in set(order_ids)]
    counted = Counter((row.reader_id, row.team_id, row.message_type, row.own) for row in messages)
    counters = await rows_of(database, counter)
    assert counted == {(row.reader_id, row.team_id, row.message_type, row.own): row.total for row in counters}
