"""Reading an inbox, following it, and marking what was read."""

from collections.abc import Collection
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from ..ledger.errors import TeamNotFound, UserNotFound
from ..store.database import Database
from ..store.inbox import Cursor, Message, Wanted, find_folders, find_news, find_page, newest_message
from ..store.messages import mark_read
from ..store.teams import find_team, find_users
from ..store.together import Together

# How many messages are marked in one transaction.
MARK_LIMIT: Final = 1000


class Page(NamedTuple):
    """Some messages, how many there are in all of those asked for, and how many of them are unread."""

    messages: list[Message]
    total: int
    unread: int


async def list_messages(
    database: Database, wanted: Wanted, before: Cursor | None, page_number: int, page_size: int
) -> Page:
    """Return a page, unread before read and then newest first. Raises UserNotFound and TeamNotFound."""

    async def work(connection: AsyncConnection) -> Page:
        folders = await find_folders(connection, wanted)
        if not folders:
            await _look_up(connection, wanted.reader_id, wanted.team_id)
        total = sum(part.count(wanted.unread) for part in folders)
        unread = 0 if wanted.unread is False else sum(part.unread for part in folders)
        offset = (page_number - 1) * page_size
        # Beyond the end nothing need be looked for.
        messages = (
            await find_page(connection, wanted, folders, before, offset, page_size) if offset < total else []
        )
        return Page(messages, total, unread)

    return await database.read(work)


async def mark_some(database: Database, reader_id: str, ids: Collection[int]) -> int:
    """Mark those of the messages that are the reader's and unread; return how many. Raises UserNotFound."""
    await database.read(partial(_look_up, reader_id=reader_id, team_id=""))
    return await database.write(partial(mark_read, reader_id=reader_id, ids=ids))


async def mark_all(database: Database, reader_id: str, team_id: str, up_to: int) -> int:
    """Mark all messages of the inbox, or of the team's part of it, up to that id; return how many.

    It is done a part at a time, so that an inbox of any size keeps nobody waiting. Raises UserNotFound and
    TeamNotFound.
    """
    await database.read(partial(_look_up, reader_id=reader_id, team_id=team_id))
    wanted = Wanted(reader_id, team_id, unread=True)

    async def work(connection: AsyncConnection) -> int:
        folders = await find_folders(connection, wanted)
        page = await find_page(connection, wanted, folders, Cursor(True, up_to + 1), 0, MARK_LIMIT)
        return await mark_read(connection, reader_id, [message.id for message in page]) if page else 0

    marked = 0
    while some := await database.write(work):
        marked += some
    return marked


async def newest_of(database: Database, reader_id: str) -> int:
    """Return the id of the reader's newest message, or 0. Raises UserNotFound."""

    async def work(connection: AsyncConnection) -> int:
        await _look_up(connection, reader_id, "")
        return await newest_message(connection, reader_id)

    return await database.read(work)


def news_queries(database: Database) -> Together[tuple[str, int], list[Message]]:
    """Return the way to ask for a reader's first messages after an id."""

    async def find(asked: Collection[tuple[str, int]]) -> dict[tuple[str, int], list[Message]]:
        return await database.read(partial(find_news, asked=asked))

    return Together(find)


async def _look_up(connection: AsyncConnection, reader_id: str, team_id: str) -> None:
    """See that there are such a reader and, unless its id is empty, such a team."""
    if not await find_users(connection, [reader_id]):
        raise UserNotFound(f"There is no user {reader_id!r}.", field="userId")
    if team_id and await find_team(connection, team_id) is None:
        raise TeamNotFound(f"There is no team {team_id!r}.", field="teamId")
