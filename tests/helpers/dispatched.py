"""Checks promise 7: messages and deliveries match what was committed."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.database.database import Database, open_database
from myaccount.model.inbox import counter, message
from myaccount.model.ledger import account, account_change, hold, order
from myaccount.model.outbox import delivery, event
from myaccount.settings.loading import load_configuration

from ..conftest import eventually
from .inboxes import read_inboxes
from .receivers import Receiver
from .services import Service

# Rows that a killed process had leased stay leased for a while: events for some seconds, deliveries for 15 seconds
# longer than their request's timeout.
DISPATCH_SECONDS = 180


async def assert_all_dispatched(service: Service, *receivers: Receiver, dead_letters: Sequence[str] = ()) -> None:
    """Wait until nothing is pending. Check that each reader has each message once, each receiver each change.

    `dead_letters` are the errors of the events that must have become dead letters.
    """
    config = load_configuration(str(service.configuration), {})
    async with open_database(config, Path(config["sqlite_file"])) as database:

        async def nothing_is_pending() -> bool:
            return await _pending(database) == (0, 0)

        await eventually(nothing_is_pending, DISPATCH_SECONDS)
        await read_inboxes(database)
        # Without the transaction timeout, since reading everything takes long after a soak test.
        async with database.snapshot() as connection:
            expected, messages, counted, counters = await message_tables(connection)
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


async def message_tables(connection: AsyncConnection) -> tuple[Messages, Messages, Counter[Any], Counter[Any]]:
    """Return the messages that should exist, those that do, their numbers, and the numbers of the counters."""
    expected = await _expected(connection)
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


# The message to the user of the account that pays, and to the user of the account that receives.
_MESSAGES = {
    "01": (None, "recharge"),
    "02": ("transfer_out", "transfer_in"),
    "03": ("withdraw", None),
    "04": ("refund_out", "refund_in"),
    "05": ("hold", None),
    "06": ("capture_out", "capture_in"),
    "07": (None, None),
    "08": ("hold_extended", None),
}
_SETTINGS = {"frozen": "account_frozen", "status": "account_closed", "floor": "limit_changed"}


async def _expected(connection: AsyncConnection) -> Messages:
    """Return the messages that should exist, from the tables of the money."""
    expected: Messages = Counter()
    users: dict[int, str] = {}
    for row in await connection.execute(
        select(account).where(account.c.user_id.is_not(None)).order_by(account.c.id)
    ):
        opening = "account_added" if row.user_id in users.values() else "account_opened"
        users[row.id] = row.user_id
        expected[row.user_id, opening, row.account_id] += 1
    for row in await connection.execute(select(order)):
        payer, payee = users.get(row.from_account), users.get(row.to_account)
        if row.status == "declined":
            expected[payer or payee or "", "decline", row.order_id] += 1
            continue
        for user, message_type in zip((payer, payee), _MESSAGES[row.order_type], strict=True):
            if user is not None and message_type is not None:
                expected[user, message_type, row.order_id] += 1
    for row in await connection.execute(select(hold).where(hold.c.status.in_(["released", "expired"]))):
        expected[users[row.payer], f"hold_{row.status}", row.order_id] += 1
    for row in await connection.execute(select(account_change)):
        expected[users[row.account], _SETTINGS[row.setting], row.change_id] += 1
    return expected
