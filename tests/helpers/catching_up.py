"""Orders for inboxes to catch up with, and what became of that."""

import asyncio
from collections.abc import Mapping, Sequence

from sqlalchemy import select

from myaccount.database.database import Database
from myaccount.journal.writer import Journal
from myaccount.ledger.commands import Command
from myaccount.model.inbox import inbox_mark
from myaccount.model.ledger import account

from ..conftest import PATIENCE_SECONDS, eventually
from .inboxes import Row


def sources(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return types and orders, oldest first."""
    return [(row["MESSAGE_TYPE"], row["BODY"].get("orderId", "")) for row in reversed(rows)]


async def submit(database: Database, commands: Sequence[Command]) -> None:
    async with Journal(database, lambda event_id: None, waiting_seconds=PATIENCE_SECONDS) as journal:
        await asyncio.gather(*map(journal.submit, commands))


async def eventually_marked(
    database: Database, entries: Mapping[str, int], declines: Mapping[str, int] | None = None
) -> None:
    """Wait until the accounts' marks are at these entries, and at these declines or none."""
    marks = select(account.c.account_id, inbox_mark.c.number, inbox_mark.c.declines).join_from(
        account, inbox_mark, inbox_mark.c.account == account.c.id
    )

    async def marked() -> bool:
        rows = list(await database.read(lambda connection: connection.execute(marks)))
        found = {row.account_id: row.declines for row in rows if row.declines}
        return {row.account_id: row.number for row in rows} == entries and found == (declines or {})

    await eventually(marked)
