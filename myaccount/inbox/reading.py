"""Marking messages as read."""

from collections.abc import Collection
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database
from ..database.pipeline import is_sqlite, run_pipeline, select_rows
from .page_statements import Cursor, Inbox, MessageFilter, Slice, find_counters, select_slice
from .readers import find_refusals
from .writing import lock_inbox, mark_read

# How many messages are marked in one transaction.
MARK_LIMIT: Final = 1000


async def mark_messages(database: Database, reader_id: str, ids: Collection[int]) -> int:
    """Mark those of the messages that are the reader's and unread; return their number. Raises UserNotFound."""
    await _check_access(database, Inbox(reader_id))

    async def work(connection: AsyncConnection) -> int:
        await lock_inbox(connection, reader_id)
        return await mark_read(connection, reader_id, ids)

    return await database.write(work)


async def mark_all(database: Database, reader_id: str, team_id: str, up_to: int) -> int:
    """Mark all messages of the reader's own account, or of a team, up to that id; return their number.

    Each transaction marks at most MARK_LIMIT, so that a large inbox is not locked for long.

    Raises UserNotFound, TeamNotFound and NotAMember.
    """
    inbox = Inbox(reader_id, team_id)
    await _check_access(database, inbox)
    unread = MessageFilter(*inbox, unread=True)
    oldest = Slice(unread, Cursor(True, up_to + 1), 0, MARK_LIMIT)

    async def work(connection: AsyncConnection) -> int:
        # Lock first. Else another transaction could mark this page meanwhile, and this loop would end too early.
        await lock_inbox(connection, reader_id)
        counters = (await find_counters(connection, [inbox])).get(inbox)
        if not counters:
            return 0
        text, values = select_slice(0, oldest, counters, sqlite=is_sqlite(connection))
        query = f"{select_rows(connection, 'id')} FROM ({text}) AS slices"
        ((*rows,),) = await run_pipeline(connection, (query, values))
        return await mark_read(connection, reader_id, [id_ for (id_,) in rows]) if rows else 0

    marked = 0
    while count := await database.write(work):
        marked += count
    return marked


async def _check_access(database: Database, inbox: Inbox) -> None:
    """Raise the error for an inbox that its reader may not read."""

    async def work(connection: AsyncConnection) -> None:
        refusals = await find_refusals(connection, [inbox], await find_counters(connection, [inbox]))
        if refusals:
            raise refusals[inbox]

    await database.read(work)
