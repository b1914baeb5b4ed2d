"""Marking messages as read."""

import asyncio
import time
from collections.abc import Collection
from functools import partial
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database
from ..database.pipeline import is_sqlite, run_pipeline, select_rows
from .inbox_turns import InboxTurns
from .locks import lock_inbox
from .page_statements import Cursor, Inbox, MessageFilter, Slice, find_counters, select_slice
from .readers import find_refusals
from .writing import mark_read

# How many messages are marked in one transaction. In the embedded file, orders wait meanwhile.
MARK_LIMIT: Final = 250
# Between the parts of a large inbox, its marking pauses for this many times as long as a part took.
PAUSE_FACTOR: Final = 1
# How many transactions a process does at once. Each may wait for an inbox that another process has locked, and
# meanwhile keeps a connection that others need.
MARKS_AT_ONCE: Final = 2


class Marker:
    """Marks messages as read. An inbox has one mark at a time; others of it wait, and have no connection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._inbox_turns = InboxTurns()
        self._connections = asyncio.Semaphore(MARKS_AT_ONCE)

    async def mark_messages(self, reader_id: str, ids: Collection[int]) -> int:
        """Mark those of the messages that are the reader's and unread; return their number.

        Raises UserNotFound.
        """

        async def work(connection: AsyncConnection) -> int:
            await lock_inbox(connection, reader_id)
            return await mark_read(connection, reader_id, ids)

        async with self._inbox_turns.turn(reader_id), self._connections:
            await self._check_access(Inbox(reader_id))
            return await self._database.write(work)

    async def mark_all(self, reader_id: str, team_id: str, up_to: int) -> int:
        """Mark all messages of the reader's own account, or of a team, up to that id; return their number.

        A large inbox is marked in parts, each a transaction, with pauses in which others work.

        Raises UserNotFound, TeamNotFound and NotAMember.
        """
        inbox = Inbox(reader_id, team_id)
        work = partial(_mark_newest, inbox=inbox, up_to=up_to)
        async with self._inbox_turns.turn(reader_id), self._connections:
            await self._check_access(inbox)
        marked = 0
        while True:
            # The turn is given up after each part, so that a short mark waits for one part only.
            async with self._inbox_turns.turn(reader_id):
                async with self._connections:
                    began = time.monotonic()
                    count = await self._database.write(work)
                marked += count
                if count < MARK_LIMIT:
                    return marked
                await asyncio.sleep((time.monotonic() - began) * PAUSE_FACTOR)

    async def _check_access(self, inbox: Inbox) -> None:
        """Raise the error for an inbox that its reader may not read."""

        async def work(connection: AsyncConnection) -> None:
            refusals = await find_refusals(connection, [inbox], await find_counters(connection, [inbox]))
            if refusals:
                raise refusals[inbox]

        await self._database.read(work)


async def _mark_newest(connection: AsyncConnection, inbox: Inbox, up_to: int) -> int:
    """Mark the newest unread messages up to that id, at most MARK_LIMIT; return their number."""
    unread = MessageFilter(*inbox, unread=True)
    newest = Slice(unread, Cursor(True, up_to + 1), 0, MARK_LIMIT)
    # Lock first. Else another transaction could mark some of them meanwhile, and the number would be too small.
    await lock_inbox(connection, inbox.reader_id)
    counters = (await find_counters(connection, [inbox])).get(inbox)
    if not counters:
        return 0
    text, values = select_slice(0, newest, counters, sqlite=is_sqlite(connection))
    query = f"{select_rows(connection, 'id')} FROM ({text}) AS slices"
    ((*rows,),) = await run_pipeline(connection, (query, values))
    return await mark_read(connection, inbox.reader_id, [id_ for (id_,) in rows]) if rows else 0
