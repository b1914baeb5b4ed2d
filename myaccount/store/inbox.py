"""Reading an inbox, in one or two queries that each find what they want at the end of an index."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Boolean, Select, TextualSelect, func, select, text, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from ..model.inbox import folder, message

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


_COLUMNS: Final = [message.c[name] for name in Message._fields]


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
    pieces = [
        _piece(wanted, part, unread, before, offset + limit)
        for part in folders
        for unread in (True, False)
        if wanted.unread in (None, unread) and part.count(unread) and (before is None or unread <= before.unread)
    ]
    if not pieces:
        return []
    merged = union_all(*[select(piece.subquery()) for piece in pieces]).order_by(text("unread DESC, id DESC"))
    ids = list((await connection.execute(merged.limit(limit).offset(offset))).scalars())
    rows = await connection.execute(select(*_COLUMNS).where(message.c.id.in_(ids)))
    by_id = {row.id: Message(*row) for row in rows}
    return [by_id[id_] for id_ in ids]


def _piece(wanted: Wanted, part: Folder, unread: bool, before: Cursor | None, limit: int) -> Select[Any]:
    """Select the newest of a folder that are unread, or read: a piece of the index, from its end."""
    statement = select(message.c.id, message.c.unread).where(
        message.c.reader_id == wanted.reader_id,
        message.c.team_id == wanted.team_id,
        message.c.message_type == part.message_type,
        message.c.own == part.own,
        message.c.unread == unread,
    )
    if before is not None and before.unread == unread:
        statement = statement.where(message.c.id < before.id)
    return statement.order_by(message.c.id.desc()).limit(limit)


async def newest_message(connection: AsyncConnection, reader_id: str) -> int:
    """Return the id of the reader's newest message, or 0."""
    newest = select(func.max(message.c.id)).where(message.c.reader_id == reader_id)
    return int(await connection.scalar(newest) or 0)


async def find_news(
    connection: AsyncConnection, asked: Collection[tuple[str, int]]
) -> dict[tuple[str, int], list[Message]]:
    """Return, by reader and id, the first messages of the reader after that id, the oldest first."""
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
        f" WHERE reader_id = :reader{n} AND id > :after{n} ORDER BY id LIMIT {NEWS_LIMIT}) AS part{n}"
        for n in range(count)
    ]
    return text(" UNION ALL ".join(parts)).columns(created_at=message.c.created_at.type, unread=Boolean)
