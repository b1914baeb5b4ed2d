"""Locks of inboxes: who writes to one has it locked until the transaction ends."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.error_kinds import ErrorKind, kind_of
from ..database.freshness import SKIPS_LOCKED
from ..database.pipeline import is_sqlite, run_pipeline
from ..database.statements import Bound, placeholders

# The forced index fixes the order of the locks, also for a small table. Two transactions that lock the same
# readers in different orders could deadlock.
_LOCK: Final = (
    "SELECT COUNT(*), JSON_ARRAYAGG(user_id) FROM user FORCE INDEX (uq_user_user_id) WHERE user_id IN ({ids})"
    " FOR UPDATE"
)
# Even with the longest user ids, a statement fits into a max_allowed_packet of 64 KiB.
READERS_AT_ONCE: Final = 300


def lock_inboxes(connection: AsyncConnection, user_ids: Collection[str], suffix: str = "") -> list[Bound]:
    """Return the queries that lock the readers' inboxes until the transaction ends, and return their ids.

    The suffix, of the service's own, says what to do about those that another transaction has locked. There is no
    query where it is not needed: then nobody else writes.
    """
    if is_sqlite(connection):
        # SQLite has one writer at a time.
        return []
    ids = sorted(user_ids)
    parts = [ids[start : start + READERS_AT_ONCE] for start in range(0, len(ids), READERS_AT_ONCE)]
    return [(_LOCK.format(ids=placeholders(part)) + suffix, part) for part in parts]


async def lock_inbox(connection: AsyncConnection, reader_id: str) -> None:
    """Lock the inbox against other writers until the transaction ends."""
    await run_pipeline(connection, *lock_inboxes(connection, [reader_id]))


async def lock_free_inboxes(
    connection: AsyncConnection, reader_ids: Collection[str], statements: Sequence[Bound]
) -> tuple[set[str], list[list[Any]]]:
    """Lock those of the inboxes that no other transaction has locked, and then run the statements.

    Return whose inboxes are locked now, and what the statements returned.
    """
    if is_sqlite(connection):
        return set(reader_ids), await run_pipeline(connection, *statements)
    if connection.info[SKIPS_LOCKED]:
        locks = lock_inboxes(connection, reader_ids, " SKIP LOCKED")
        answers = await run_pipeline(connection, *locks, *statements)
        return {id_ for answer in answers[: len(locks)] for id_ in answer}, answers[len(locks) :]
    # An error of NOWAIT ends its statement alone, so the transaction goes on.
    free = set(reader_ids)
    if not await _are_free(connection, reader_ids):
        free = {id_ for id_ in sorted(reader_ids) if await _are_free(connection, [id_])}
    return free, await run_pipeline(connection, *statements)


async def _are_free(connection: AsyncConnection, reader_ids: Collection[str]) -> bool:
    """Lock the inboxes. Return False if another transaction has locked one of them."""
    try:
        await run_pipeline(connection, *lock_inboxes(connection, reader_ids, " NOWAIT"))
    except Exception as error:
        if kind_of(error) is not ErrorKind.LOCKED:
            raise
        return False
    return True
