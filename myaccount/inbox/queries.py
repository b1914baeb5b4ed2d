"""Messages, and the queries of the new ones in inboxes."""

from collections.abc import Collection
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Boolean, TextualSelect, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ..model.inbox import message
from ..model.ledger import user

# How many new messages one read of a feed returns.
FEED_LIMIT: Final = 100
# How many messages one query returns for all feeds. Turning rows into messages holds up all other requests.
FEED_ROWS_LIMIT: Final = 300


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


# Column types, which textual queries do not have.
_TYPES: Final[dict[str, Any]] = {"created_at": message.c.created_at.type, "unread": Boolean}


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
