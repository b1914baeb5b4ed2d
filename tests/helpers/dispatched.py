"""Checks promise 7: messages and deliveries match what was committed."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.database.database import Database, open_database
from myaccount.model.inbox import counter, message
from myaccount.model.ledger import account, order
from myaccount.model.outbox import delivery, event
from myaccount.settings.loading import load_configuration

from ..conftest import eventually
from .receivers import Receiver
from .services import Service

# Rows that a killed process had leased stay leased for a while: events for some seconds, deliveries for 15 seconds
# longer than their request's timeout.
DISPATCH_SECONDS = 60


async def assert_all_dispatched(service: Service, *receivers: Receiver, dead_letters: Sequence[str] = ()) -> None:
    """Wait until nothing is pending. Check that each reader has each message once, each receiver each change.

    `dead_letters` are the errors of the events that must have become dead letters.
    """
    config = load_configuration(str(service.configuration), {})
    async with open_database(config, Path(config["sqlite_file"])) as database:

        async def nothing_is_pending() -> bool:
            return await _pending(database) == (0, 0)

        await eventually(nothing_is_pending, DISPATCH_SECONDS)
        # Without the transaction timeout, since reading everything takes long after a soak test.
        async with database.snapshot() as connection:
            expected, messages, counted, counters = await _tables(connection)
        assert messages == expected
        assert counted == counters
        errors = await database.read(lambda c: c.execute(select(event.c.error).where(event.c.due_at.is_(None))))
        assert list(errors.scalars()) == list(dead_letters)
        sources = {source for _, _, source in expected}
        for receiver in receivers:
            assert receiver.received().keys() == sources


async def _pending(database: Database) -> tuple[int, int]:
    async def work(connection: AsyncConnection) -> tuple[int, int]:
        events = (await connection.execute(select(event.c.id).where(event.c.due_at.is_not(None)))).all()
        return len(events), len((await connection.execute(select(delivery.c.id))).all())

    return await database.read(work)


# By reader, message type and source.
Messages = Counter[tuple[str, str, str]]


async def _tables(connection: AsyncConnection) -> tuple[Messages, Messages, Counter[Any], Counter[Any]]:
    """Return the messages that should exist, those that do, their numbers, and the numbers of the counters."""
    users = {row.id: row.user_id for row in await connection.execute(select(account)) if row.user_id}
    opened = await connection.execute(select(account).where(account.c.user_id.is_not(None)))
    expected: Messages = Counter((row.user_id, "account_opened", row.account_id) for row in opened)
    for row in await connection.execute(select(order)):
        payer, payee = users.get(row.from_account), users[row.to_account]
        if row.status == "declined":
            expected[payer or payee, "decline", row.order_id] += 1
        elif payer is None:
            expected[payee, "recharge", row.order_id] += 1
        else:
            expected[payer, "transfer_out", row.order_id] += 1
            expected[payee, "transfer_in", row.order_id] += 1
    messages = list(await connection.execute(select(message)))
    found = Counter((m.reader_id, m.message_type, m.source_id) for m in messages)
    counted = Counter((m.reader_id, m.team_id, m.message_type, m.own) for m in messages)
    counters = Counter(
        {
            (f.reader_id, f.team_id, f.message_type, f.own): f.total
            for f in await connection.execute(select(counter))
        }
    )
    return expected, found, counted, counters
