"""Writing messages: each exactly once for a reader, with ids in commit order, and with correct counters."""

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.pipeline import is_sqlite, run_pipeline, select_rows
from ..database.statements import Bound, insert_rows, placeholders, sql_literal
from ..database.times import sql_time
from ..model.inbox import message
from .locks import lock_inboxes

Result = TypeVar("Result")

_MESSAGE: Final = (
    "INSERT INTO message (reader_id, source_id, user_id, user_name, receiver_id, body, team_id, team_name, title,"
    " message_type, created_at, own, unread)"
)
_COUNTER: Final = "INSERT INTO folder (reader_id, team_id, message_type, own, total, unread)"
_ADD_ON_SQLITE: Final = (
    "ON CONFLICT DO UPDATE SET total = total + excluded.total, unread = unread + excluded.unread"
)
_ADD: Final = "ON DUPLICATE KEY UPDATE total = total + VALUES(total), unread = unread + VALUES(unread)"
# Even with the longest ids, the messages about these, two about each order, fit into one of 64 KiB.
SOURCES_AT_ONCE: Final = 50
_COUNT_READ: Final = (
    "UPDATE folder SET unread = unread - %s"
    " WHERE reader_id = %s AND team_id = %s AND message_type = %s AND own = %s"
)


class NewMessage(NamedTuple):
    """A message to write: of the reader's own account or, with a team's id, of that team."""

    reader_id: str
    message_type: str
    source_id: str
    user_id: str
    user_name: str
    receiver_id: str
    # JSON.
    body: str
    created_at: datetime
    team_id: str = ""
    team_name: str = ""
    title: str = ""

    @property
    def own(self) -> bool:
        return self.reader_id in (self.user_id, self.receiver_id)


def write_messages(connection: AsyncConnection, messages: Sequence[NewMessage]) -> list[Bound]:
    """Return the statements that insert the messages and add them to their counters.

    They lock the readers' inboxes until the transaction ends. So a reader's message ids grow in commit order: a
    stream that has read one id misses no smaller one. They raise IntegrityError if a reader already has a message
    of the same source and type.
    """
    return [*lock_inboxes(connection, {m.reader_id for m in messages}), *insert_messages(connection, messages)]


def insert_messages(connection: AsyncConnection, messages: Sequence[NewMessage]) -> list[Bound]:
    """Return the statements for messages to readers whose inboxes the caller has locked."""
    added = Counter((m.reader_id, m.team_id, m.message_type, m.own) for m in messages)
    add = _ADD_ON_SQLITE if is_sqlite(connection) else _ADD
    return [
        *insert_rows(_COUNTER, [_counter_row(*key, count) for key, count in sorted(added.items())], add),
        *insert_rows(_MESSAGE, [_message_row(m) for m in messages]),
    ]


# Numbers and trusted constants are SQL literals: parameters would cost more than everything else here.
def _counter_row(reader_id: str, team_id: str, message_type: str, own: bool, count: int) -> Bound:
    if not team_id:
        return f"(%s,'',{sql_literal(message_type)},{own:d},{count},{count})", [reader_id]
    return f"(%s,%s,{sql_literal(message_type)},{own:d},{count},{count})", [reader_id, team_id]


def _message_row(m: NewMessage) -> Bound:
    own = f"{sql_literal(m.message_type)},{sql_literal(sql_time(m.created_at))},{m.own:d},1"
    values = [m.reader_id, m.source_id, m.user_id, m.user_name, m.receiver_id, m.body]
    if not m.team_id:
        return f"(%s,%s,%s,%s,%s,%s,'','','',{own})", values
    return f"(%s,%s,%s,%s,%s,%s,%s,%s,%s,{own})", [*values, m.team_id, m.team_name, m.title]


async def mark_read(connection: AsyncConnection, reader_id: str, ids: Collection[int]) -> int:
    """Mark those of the messages that are the reader's and unread; return their number.

    The caller has locked the inbox.
    """
    if not ids:
        return 0
    query = (
        "SELECT id, team_id, message_type, own FROM message"
        f" WHERE id IN ({_listed(ids)}) AND reader_id = :reader_id AND unread = 1"
    )
    # In rows, not as one JSON array: with thousands of ids it could exceed a max_allowed_packet of 64 KiB. No two
    # of these queries are the same, so Core does not keep them.
    found = await connection.execute(
        text(query), {"reader_id": reader_id}, execution_options={"compiled_cache": None}
    )
    rows = list(found)
    if rows:
        marked = Counter((team_id, type_, own) for _, team_id, type_, own in rows)
        await run_pipeline(
            connection,
            (f"UPDATE message SET unread = 0 WHERE id IN ({_listed(id_ for id_, *_ in rows)})", ()),
            *[(_COUNT_READ, [count, reader_id, *part]) for part, count in sorted(marked.items())],
        )
    return len(rows)


def _listed(ids: Iterable[int]) -> str:
    """List the ids as SQL literals: thousands of parameters would hold up all other requests for milliseconds."""
    return ",".join(map(str, ids))


def looking_up_later(
    work: Callable[..., Awaitable[Result]],
) -> Callable[[AsyncConnection], Awaitable[Result]]:
    """Return `work` such that its first attempt takes all messages for new, and only a retry looks them up.

    Nearly always they are new, and looking them up costs about as much as writing them. If one is not, the first
    attempt fails with a duplicate key, and `Database.write` retries.
    """
    attempts = itertools.count()

    async def attempt(connection: AsyncConnection) -> Result:
        return await work(connection, look_up=next(attempts) > 0)

    return attempt


async def leave_out_written(connection: AsyncConnection, messages: Sequence[NewMessage]) -> list[NewMessage]:
    """Return the messages, but for those to a reader's own account that the inbox has already, or that come twice.

    There are such if a process of an earlier version runs beside this one: it makes the messages about entries
    from its events. The caller has locked the readers' inboxes.
    """
    sources = sorted({m.source_id for m in messages if not m.team_id})
    select = select_rows(connection, "source_id, reader_id, message_type")
    parts = [sources[start : start + SOURCES_AT_ONCE] for start in range(0, len(sources), SOURCES_AT_ONCE)]
    answers = await run_pipeline(
        connection,
        *[
            (f"{select} FROM message WHERE team_id = '' AND source_id IN ({placeholders(part)})", part)
            for part in parts
        ],
    )
    written = {tuple(row) for answer in answers for row in answer}
    new = []
    for m in messages:
        key = (m.source_id, m.reader_id, m.message_type)
        if m.team_id or key not in written:
            new.append(m)
        if not m.team_id:
            written.add(key)
    return new


async def was_written(connection: AsyncConnection, team_id: str, message_type: str, source_id: str) -> bool:
    """Return whether the team already has messages of that source and type."""
    written = select(message.c.id).where(
        message.c.source_id == source_id, message.c.team_id == team_id, message.c.message_type == message_type
    )
    return (await connection.execute(written.limit(1))).first() is not None
