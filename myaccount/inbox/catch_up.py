"""Has inboxes get the messages about entries and declines: before they are read, and when many have gathered.

No order writes a message. An account's row is locked until its entry or decline is committed. So these become
visible in the order of their numbers, and a mark never passes one that is not there yet.
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
from .locks import lock_free_inboxes, lock_inboxes
from .marks import (
    FOUND_LIMIT,
    AccountBehind,
    Position,
    accounts_behind_of_users,
    read_accounts_behind,
    set_marks,
    users_behind,
)
from .missing_messages import find_missing_messages
from .row_messages import RowMessage
from .writing import insert_messages, leave_out_written, looking_up_later

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


async def catch_up(
    connection: AsyncConnection, reader_ids: Collection[str], *, wait: bool, look_up: bool
) -> CaughtUp:
    """Write messages that the readers' inboxes lack, in one transaction, which it commits.

    Without `wait`, it does not wait for inboxes that another transaction has locked. Without `look_up`, a message
    that is written already is the database's error about a duplicate.
    """
    readers = set(reader_ids)
    # The marks are read after the locks, so they are those of the last transaction that wrote to these inboxes.
    find = accounts_behind_of_users(connection, readers)
    if wait:
        locks = lock_inboxes(connection, readers)
        answers = (await run_pipeline(connection, *locks, *find))[len(locks) :]
    else:
        readers, answers = await lock_free_inboxes(connection, readers, find)
    all_behind = read_accounts_behind(answers)
    behind = [account for account in all_behind if account.user_id in readers]
    missing = await find_missing_messages(connection, behind, messages_limit(connection))
    messages = [row.message for row in missing]
    if look_up:
        messages = await leave_out_written(connection, messages)
    await run_pipeline(
        connection, *insert_messages(connection, messages), *marks_of(connection, missing), ("COMMIT", ())
    )
    is_all = len(all_behind) < FOUND_LIMIT and covers(missing, behind)
    return CaughtUp(len(messages), set(reader_ids) - readers, set() if is_all else readers)


def marks_of(connection: AsyncConnection, messages: Sequence[RowMessage]) -> list[Bound]:
    """Return the statements that set the accounts' marks to what these messages are about."""
    marks: dict[int, Position] = {}
    for account, position, _ in messages:
        marks[account.key] = position.later(marks.get(account.key, account.mark))
    return set_marks(connection, marks)


def covers(messages: Collection[RowMessage], behind: Collection[AccountBehind]) -> bool:
    """Whether these are all that the accounts' users lack, as far as the entries and declines are there at all."""
    return not messages or len(messages) == sum(sum(account.last) - sum(account.mark) for account in behind)


class CatchUp:
    """Catches up inboxes that are about to be read. Many at the same time share a query, and a transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Each has one transaction at a time. An inbox goes on to the next if it needs that, so its readers wait
        # for none that is further behind, and for none that is locked.
        self._inboxes = Coalescer(self._catch_up_once)
        self._far_behind = Coalescer(self._catch_up_all)
        self._locked: Coalescer[str, None] = Coalescer(self._wait_for_locks)

    async def inbox(self, reader_id: str) -> None:
        """Return when the inbox has the messages about all orders that were committed before this call.

        Raises Overloaded and Unavailable.
        """
        if await self._inboxes.fetch(reader_id) and await self._far_behind.fetch(reader_id):
            await self._locked.fetch(reader_id)

    async def close(self) -> None:
        """Wait for the work under way."""
        for inboxes in (self._inboxes, self._far_behind, self._locked):
            await inboxes.close()

    async def _catch_up_once(self, reader_ids: Collection[str]) -> dict[str, bool]:
        """Catch up the inboxes, but for those that are locked and those that may lack more: return these."""
        # Nearly always none is behind, and a query is all.
        answers = await self._database.query(*users_behind(self._database, reader_ids))
        behind = {user_id for answer in answers for (user_id,) in answer}
        if not behind:
            return {}
        # One transaction, so that an inbox that is far behind does not keep the readers of others waiting.
        done = await self._write(behind, wait=False)
        return dict.fromkeys(done.locked | done.left, True)

    async def _catch_up_all(self, reader_ids: Collection[str]) -> dict[str, bool]:
        """Catch up the inboxes, however far they are behind, but for those that are locked: return these."""
        return dict.fromkeys(await self._write_all(set(reader_ids), wait=False), True)

    async def _wait_for_locks(self, reader_ids: Collection[str]) -> dict[str, RowLocked]:
        """Catch up the inboxes once they are not locked any more; return an error for each that stays so."""
        try:
            await self._write_all(set(reader_ids), wait=True)
        except RowLocked as error:
            return dict.fromkeys(await self._write_all(set(reader_ids), wait=False), error)
        return {}

    async def _write_all(self, reader_ids: set[str], *, wait: bool) -> set[str]:
        """Write all messages that the inboxes lack; return whose inboxes another transaction has locked."""
        locked: set[str] = set()
        while reader_ids:
            done = await self._write(reader_ids, wait=wait)
            locked |= done.locked
            reader_ids = done.left
        return locked

    async def _write(self, reader_ids: set[str], *, wait: bool) -> CaughtUp:
        work = looking_up_later(partial(catch_up, reader_ids=reader_ids, wait=wait))
        done = await self._database.write(work)
        MESSAGES.inc(done.messages)
        return done
