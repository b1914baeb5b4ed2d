"""Queries of inboxes. Each reads only the newest entries of some index ranges, however large the inbox."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import product
from typing import Any, Final, NamedTuple

from sqlalchemy import Boolean, TextualSelect, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ..model.inbox import counter, message
from ..model.ledger import user

# How many new messages one read of a feed returns.
FEED_LIMIT: Final = 100
# How many messages one query returns for all feeds. Turning rows into messages holds up all other requests.
FEED_ROWS_LIMIT: Final = 1000


class Message(NamedTuple):
    """A message, and whether it is unread."""

    id: int
    message_type: str
    reader_id: str
    user_id: str
    user_name: str
    receiver_id: str
    team_id: str
    team_name: str
    title: str
    body: str
    created_at: datetime
    unread: bool


class Feed(NamedTuple):
    """Some messages, oldest first, and whether more may follow."""

    messages: list[Message]
    more: bool


class MessageFilter(NamedTuple):
    """Selects messages of a reader; None selects any value."""

    reader_id: str
    team_id: str = ""
    own: bool | None = None
    message_type: str | None = None
    unread: bool | None = None


class InboxCounter(NamedTuple):
    """The numbers of messages in one part of an inbox: all, and those unread."""

    message_type: str
    own: bool
    total: int
    unread: int

    def count(self, unread: bool | None) -> int:
        return self.total if unread is None else self.unread if unread else self.total - self.unread


class Cursor(NamedTuple):
    """A position in an inbox: just after the message with this state and id.

    Unread messages come before read ones, each newest first.
    """

    unread: bool
    id: int


# Column types, which textual queries do not have.
_TYPES: Final[dict[str, Any]] = {"created_at": message.c.created_at.type, "unread": Boolean}


async def find_counters(connection: AsyncConnection, filter_: MessageFilter) -> list[InboxCounter]:
    """Return the counters of the parts that the filter selects. The filter's `unread` is ignored."""
    statement = select(counter.c.message_type, counter.c.own, counter.c.total, counter.c.unread)
    statement = statement.where(counter.c.reader_id == filter_.reader_id, counter.c.team_id == filter_.team_id)
    if filter_.own is not None:
        statement = statement.where(counter.c.own == filter_.own)
    if filter_.message_type is not None:
        statement = statement.where(counter.c.message_type == filter_.message_type)
    return [InboxCounter(*row) for row in await connection.execute(statement)]


async def find_page(
    connection: AsyncConnection,
    filter_: MessageFilter,
    counters: Sequence[InboxCounter],
    before: Cursor | None,
    offset: int,
    limit: int,
) -> list[Message]:
    """Return messages from the parts that these counters count: unread before read, then newest first.

    The page begins at the offset, or behind the cursor `before`.
    """
    states, offset = _states(filter_.unread, before, sum(part.unread for part in counters), offset, limit)
    parts = list(product(counters, states))
    if not parts:
        return []
    pieces = [_piece(n, part.own, unread, before, offset + limit) for n, (part, unread) in enumerate(parts)]
    page = f"{' UNION ALL '.join(pieces)} ORDER BY unread DESC, id DESC LIMIT {limit} OFFSET {offset}"
    columns = ", ".join(f"message.{name}" for name in Message._fields)
    query = text(
        f"SELECT {columns} FROM ({page}) AS page JOIN message ON message.id = page.id"
        " ORDER BY message.unread DESC, message.id DESC"
    ).columns(**_TYPES)
    parameters: dict[str, object] = {"reader": filter_.reader_id, "team": filter_.team_id}
    parameters |= {f"type{n}": part.message_type for n, (part, _) in enumerate(parts)}
    return [Message(*row) for row in await connection.execute(query, parameters)]


def _states(
    unread: bool | None, before: Cursor | None, unread_count: int, offset: int, limit: int
) -> tuple[list[bool], int]:
    """Return which values of `unread` a page covers, and its offset within them.

    A numbered page leaves out a value that it cannot reach according to the counters. A page behind a cursor reads
    both: a message that is being marked at this moment must be found in one state or the other.
    """
    if unread is not None:
        states = [unread]
    elif before is None and offset >= unread_count:
        states, offset = [False], offset - unread_count
    elif before is None and offset + limit <= unread_count:
        states = [True]
    else:
        states = [True, False]
    return [state for state in states if before is None or state <= before.unread], offset


def _piece(number: int, own: bool, unread: bool, before: Cursor | None, limit: int) -> str:
    """Select the newest unread, or read, messages of one part: the end of one index range."""
    place = f" AND id < {before.id}" if before is not None and before.unread == unread else ""
    return (
        "SELECT * FROM (SELECT id, unread FROM message WHERE reader_id = :reader AND team_id = :team"
        f" AND message_type = :type{number} AND own = {own:d} AND unread = {unread:d}{place}"
        f" ORDER BY id DESC LIMIT {limit}) AS piece{number}"
    )


async def find_newest_ids(connection: AsyncConnection, reader_ids: Collection[str]) -> dict[str, int]:
    """Return by user id the id of each user's newest message, or 0. Unknown users are left out."""
    newest = select(func.max(message.c.id)).where(message.c.reader_id == user.c.user_id).scalar_subquery()
    rows = await connection.execute(select(user.c.user_id, newest).where(user.c.user_id.in_(reader_ids)))
    return {user_id: id_ or 0 for user_id, id_ in rows}


async def find_latest(connection: AsyncConnection, reader_id: str) -> list[Message]:
    """Return the reader's newest messages, at most FEED_LIMIT, oldest first."""
    query = select(*[message.c[name] for name in Message._fields]).where(message.c.reader_id == reader_id)
    rows = await connection.execute(query.order_by(message.c.id.desc()).limit(FEED_LIMIT))
    return [Message(*row) for row in rows][::-1]


async def find_feeds(
    connection: AsyncConnection, positions: Collection[tuple[str, int]]
) -> dict[tuple[str, int], Feed]:
    """Return by reader and message id that message and at most FEED_LIMIT after it.

    For many positions there are fewer after it, so that all together are about FEED_ROWS_LIMIT.
    """
    found: dict[tuple[str, int], list[Message]] = {}
    keys = list(positions)
    limit = 1 + max(1, min(FEED_LIMIT, FEED_ROWS_LIMIT // len(keys)))
    parameters: dict[str, object] = {}
    for n, (reader, first) in enumerate(keys):
        parameters |= {f"reader{n}": reader, f"first{n}": first}
    for n, *row in await connection.execute(_feed_query(len(keys), limit), parameters):
        found.setdefault(keys[n], []).append(Message(*row))
    return {key: Feed(messages, more=len(messages) == limit) for key, messages in found.items()}


@lru_cache(256)
def _feed_query(count: int, limit: int) -> TextualSelect:
    """Return the query for `count` positions, with at most `limit` messages each.

    It is text, because SQLAlchemy Core takes milliseconds for hundreds of parts.
    """
    parts = [
        f"SELECT * FROM (SELECT {n} AS n, {', '.join(Message._fields)} FROM message"
        f" WHERE reader_id = :reader{n} AND id >= :first{n} ORDER BY id LIMIT {limit}) AS part{n}"
        for n in range(count)
    ]
    return text(" UNION ALL ".join(parts)).columns(**_TYPES)
