"""Has inboxes get the messages about entries that they lack: before they are read, and when many have gathered.

No order writes a message. An account's row is locked until its entry is committed. So entries become visible in
the order of their numbers, and a mark never passes one that is not there yet.
"""

from collections.abc import Collection, Sequence
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.coalescing import Coalescer
from ..database.database import Database
from ..database.error_kinds import RowLocked
from ..database.pipeline import is_sqlite, run_pipeline
from ..database.statements import Bound
from ..observability.metrics import MESSAGES
from .entry_messages import EntryMessage
from .marks import (
    FOUND_LIMIT,
    AccountBehind,
    accounts_behind_of_users,
    read_accounts_behind,
    set_marks,
    users_behind,
)
from .missing_messages import find_entry_messages
from .writing import insert_messages, leave_out_written, lock_inboxes

# About how many messages one transaction writes. In the embedded file, orders wait meanwhile.
MESSAGES_LIMIT: Final = 2048
EMBEDDED_MESSAGES_LIMIT: Final = 512


class CaughtUp(NamedTuple):
    """How many messages one transaction wrote, whose inboxes were locked by another, and who may lack more."""

    messages: int
    locked: set[str]
    left: set[str]


def messages_limit(connection: AsyncConnection) -> int:
    return EMBEDDED_MESSAGES_LIMIT if is_sqlite(connection) else MESSAGES_LIMIT


async def catch_up(connection: AsyncConnection, reader_ids: Collection[str], *, wait: bool) -> CaughtUp:
    """Write messages that the readers' inboxes lack, in one transaction, which it commits.

    Without `wait`, it does not wait for inboxes that another transaction has locked.
    """
    locks = lock_inboxes(connection, reader_ids, skip_locked=not wait)
    # The marks are read after the locks, so they are those of the last transaction that wrote to these inboxes.
    answers = await run_pipeline(connection, *locks, *accounts_behind_of_users(connection, reader_ids))
    readers = {id_ for answer in answers[: len(locks)] for id_ in answer} if locks else set(reader_ids)
    all_behind = read_accounts_behind(answers[len(locks) :])
    behind = [account for account in all_behind if account.user_id in readers]
    entries = await find_entry_messages(connection, behind, messages_limit(connection))
    messages = await leave_out_written(connection, [entry.message for entry in entries])
    await run_pipeline(
        connection, *insert_messages(connection, messages), *marks_of(connection, entries), ("COMMIT", ())
    )
    is_all = len(all_behind) < FOUND_LIMIT and covers(entries, behind)
    return CaughtUp(len(messages), set(reader_ids) - readers, set() if is_all else readers)


def marks_of(connection: AsyncConnection, entries: Sequence[EntryMessage]) -> list[Bound]:
    """Return the statements that set the accounts' marks to the entries that these messages are about."""
    return set_marks(connection, {entry.account.key: entry.number for entry in entries})


def covers(entries: Collection[EntryMessage], behind: Collection[AccountBehind]) -> bool:
    """Whether these messages are all that the accounts' users lack, as far as the entries are there at all."""
    return not entries or len(entries) == sum(account.last - account.mark for account in behind)


class CatchUp:
    """Catches up inboxes that are about to be read. Many at the same time share a query, and a transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._inboxes = Coalescer(self._together)
        # Apart, so that inboxes that are locked or far behind keep none of the others, and take one connection.
        self._slow_inboxes: Coalescer[str, None] = Coalescer(self._patiently)

    async def inbox(self, reader_id: str) -> None:
        """Return when the inbox has the messages about all entries that were committed before this call.

        Raises Overloaded and Unavailable.
        """
        if await self._inboxes.fetch(reader_id):
            await self._slow_inboxes.fetch(reader_id)

    async def close(self) -> None:
        """Wait for the work under way."""
        await self._inboxes.close()
        await self._slow_inboxes.close()

    async def _together(self, reader_ids: Collection[str]) -> dict[str, bool]:
        """Catch up the inboxes, but for those that are locked and those that may lack more: return these."""

        async def find(connection: AsyncConnection) -> set[str]:
            answers = await run_pipeline(connection, *users_behind(connection, reader_ids))
            return {user_id for answer in answers for (user_id,) in answer}

        # Nearly always none is behind, and a query is all.
        behind = await self._database.read(find)
        if not behind:
            return {}
        try:
            # One transaction, so that an inbox that is far behind does not keep the readers of others waiting.
            done = await self._write_some(behind, wait=False)
        except RowLocked:
            return dict.fromkeys(behind, True)
        return dict.fromkeys(done.locked | done.left, True)

    async def _patiently(self, reader_ids: Collection[str]) -> dict[str, RowLocked]:
        """Catch up the inboxes, and wait for those that are locked; return an error for each that stays so."""
        locked = await self._write(set(reader_ids), wait=False)
        try:
            await self._write(locked, wait=True)
        except RowLocked as error:
            return dict.fromkeys(await self._write(locked, wait=False), error)
        return {}

    async def _write(self, reader_ids: set[str], *, wait: bool) -> set[str]:
        """Write all messages that the inboxes lack; return whose inboxes another transaction has locked."""
        locked: set[str] = set()
        while reader_ids:
            done = await self._write_some(reader_ids, wait=wait)
            locked |= done.locked
            reader_ids = done.left
        return locked

    async def _write_some(self, reader_ids: set[str], *, wait: bool) -> CaughtUp:
        done = await self._database.write(partial(catch_up, reader_ids=reader_ids, wait=wait))
        MESSAGES.inc(done.messages)
        return done
