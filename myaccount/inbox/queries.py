"""Reading an inbox, in one or two queries that each find what they want at the end of an index."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import product
from typing import Any, Final, NamedTuple

from sqlalchemy import Boolean, TextualSelect, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ..model.inbox import folder, message
from ..model.money import user

# How many new messages a reader is given at once.
NEWS_LIMIT: Final = 100


class Message(NamedTuple):
    """A message as it was written, and whether it is unread."""

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


class Wanted(NamedTuple):
    """Which messages of a reader are asked for; None asks for either."""

    reader_id: str
    team_id: str = ""
    own: bool | None = None
    message_type: str | None = None
    unread: bool | None = None


class Folder(NamedTuple):
    """A part of an inbox, and how many messages it has."""

    message_type: str
    own: bool
    total: int
    unread: int

    def count(self, unread: bool | None) -> int:
        return self.total if unread is None else self.unread if unread else self.total - self.unread


class Cursor(NamedTuple):
    """The place after a message, in the order in which an inbox is read."""

    unread: bool
    id: int


# What a query that is written by hand does not say of its columns.
_TYPES: Final[dict[str, Any]] = {"created_at": message.c.created_at.type, "unread": Boolean}


async def find_folders(connection: AsyncConnection, wanted: Wanted) -> list[Folder]:
    statement = select(folder.c.message_type, folder.c.own, folder.c.total, folder.c.unread)
    statement = statement.where(folder.c.reader_id == wanted.reader_id, folder.c.team_id == wanted.team_id)
    if wanted.own is not None:
        statement = statement.where(folder.c.own == wanted.own)
    if wanted.message_type is not None:
        statement = statement.where(folder.c.message_type == wanted.message_type)
    return [Folder(*row) for row in await connection.execute(statement)]


async def find_page(
    connection: AsyncConnection,
    wanted: Wanted,
    folders: Sequence[Folder],
    before: Cursor | None,
    offset: int,
    limit: int,
) -> list[Message]:
    """Return the messages of those folders, unread before read and then newest first, from a place on."""
    states, offset = _states(wanted.unread, before, sum(part.unread for part in folders), offset, limit)
    parts = list(product(folders, states))
    if not parts:
        return []
    pieces = [_piece(n, part.own, unread, before, offset + limit) for n, (part, unread) in enumerate(parts)]
    page = f"{' UNION ALL '.join(pieces)} ORDER BY unread DESC, id DESC LIMIT {limit} OFFSET {offset}"
    columns = ", ".join(f"message.{name}" for name in Message._fields)
    query = text(
        f"SELECT {columns} FROM ({page}) AS page JOIN message ON message.id = page.id"
        " ORDER BY message.unread DESC, message.id DESC"
    ).columns(**_TYPES)
    parameters: dict[str, object] = {"reader": wanted.reader_id, "team": wanted.team_id}
    parameters |= {f"type{n}": part.message_type for n, (part, _) in enumerate(parts)}
    return [Message(*row) for row in await connection.execute(query, parameters)]


def _states(
    unread: bool | None, before: Cursor | None, unread_count: int, offset: int, limit: int
) -> tuple[list[bool], int]:
    """Return whether a page takes of the unread, the read, or both, and from which place on.

    What a numbered page cannot hold, by the counts, is not looked for. A cursor's page does not trust them: what
    is marked at this moment must be found as either.
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
    """Select the newest of a folder that are unread, or read: a piece of the index, from its end."""
    place = f" AND id < {before.id}" if before is not None and before.unread == unread else ""
    return (
        "SELECT * FROM (SELECT id, unread FROM message WHERE reader_id = :reader AND team_id = :team"
        f" AND message_type = :type{number} AND own = {own:d} AND unread = {unread:d}{place}"
        f" ORDER BY id DESC LIMIT {limit}) AS piece{number}"
    )


async def find_newest(connection: AsyncConnection, reader_ids: Collection[str]) -> dict[str, int]:
    """Return, by user id, the id of each user's newest message, or 0; users that there are not are left out."""
    newest = select(func.max(message.c.id)).where(message.c.reader_id == user.c.user_id).scalar_subquery()
    rows = await connection.execute(select(user.c.user_id, newest).where(user.c.user_id.in_(reader_ids)))
    return {user_id: id_ or 0 for user_id, id_ in rows}


async def find_latest(connection: AsyncConnection, reader_id: str) -> list[Message]:
    """Return the reader's newest messages, at most NEWS_LIMIT, the oldest first."""
    query = select(*[message.c[name] for name in Message._fields]).where(message.c.reader_id == reader_id)
    rows = await connection.execute(query.order_by(message.c.id.desc()).limit(NEWS_LIMIT))
    return [Message(*row) for row in rows][::-1]


async def find_news(
    connection: AsyncConnection, asked: Collection[tuple[str, int]]
) -> dict[tuple[str, int], list[Message]]:
    """Return, by reader and id, the reader's message with that id and the first after it, the oldest first."""
    news: dict[tuple[str, int], list[Message]] = {}
    places = list(asked)
    parameters: dict[str, object] = {}
    for n, (reader, after) in enumerate(places):
        parameters |= {f"reader{n}": reader, f"after{n}": after}
    for place, *row in await connection.execute(_news(len(places)), parameters):
        news.setdefault(places[place], []).append(Message(*row))
    return news


@lru_cache(256)
def _news(count: int) -> TextualSelect:
    """Return the question for so many readers, written by hand: Core takes milliseconds for hundreds of parts."""
    parts = [
        f"SELECT * FROM (SELECT {n} AS place, {', '.join(Message._fields)} FROM message"
        f" WHERE reader_id = :reader{n} AND id >= :after{n} ORDER BY id LIMIT {NEWS_LIMIT + 1}) AS part{n}"
        for n in range(count)
    ]
    return text(" UNION ALL ".join(parts)).columns(**_TYPES)
