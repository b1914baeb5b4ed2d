"""The checker of promise 7: what was told, held against what was committed."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.database.database import Database, open_database
from myaccount.model.inbox import counter, message
from myaccount.model.money import account, order
from myaccount.model.outbox import delivery, event
from myaccount.settings.loading import load_configuration

from ..conftest import eventually
from .receivers import Receiver
from .services import Service

# What a process had in hand when it died is kept from others for a while: 5 seconds what it was telling, and what
# it was sending 15 seconds longer than a request may take.
TOLD_SECONDS = 60


async def assert_all_is_told(service: Service, *receivers: Receiver, set_aside: Sequence[str] = ()) -> None:
    """Wait until nothing waits; see that each reader was told of all once, and each receiver at least once."""
    config = load_configuration(str(service.configuration), {})
    async with open_database(config, Path(config["sqlite_file"])) as database:

        async def nothing_waits() -> bool:
            return await _waiting(database) == (0, 0)

        await eventually(nothing_waits, TOLD_SECONDS)
        # However long it takes.
        async with database.snapshot() as connection:
            expected, told, counted, folders = await _tables(connection)
        assert told == expected
        assert counted == folders
        aside = await database.read(lambda c: c.execute(select(event.c.error).where(event.c.due_at.is_(None))))
        assert list(aside.scalars()) == list(set_aside)
        sources = {source for _, _, source in expected}
        for receiver in receivers:
            assert receiver.told().keys() == sources


async def _waiting(database: Database) -> tuple[int, int]:
    async def work(connection: AsyncConnection) -> tuple[int, int]:
        events = (await connection.execute(select(event.c.id).where(event.c.due_at.is_not(None)))).all()
        return len(events), len((await connection.execute(select(delivery.c.id))).all())

    return await database.read(work)


Told = Counter[tuple[str, str, str]]


async def _tables(connection: AsyncConnection) -> tuple[Told, Told, Counter[Any], Counter[Any]]:
    """Return what should be told to whom of which source, what is, and each folder's count, and what it says."""
    users = {row.id: row.user_id for row in await connection.execute(select(account)) if row.user_id}
    opened = await connection.execute(select(account).where(account.c.user_id.is_not(None)))
    expected: Told = Counter((row.user_id, "account_opened", row.account_id) for row in opened)
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
    told = Counter((m.reader_id, m.message_type, m.source_id) for m in messages)
    counted = Counter((m.reader_id, m.team_id, m.message_type, m.own) for m in messages)
    folders = Counter(
        {
            (f.reader_id, f.team_id, f.message_type, f.own): f.total
            for f in await connection.execute(select(counter))
        }
    )
    return expected, told, counted, folders
