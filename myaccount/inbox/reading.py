"""Reading an inbox, and marking what was read."""

from collections.abc import Collection
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database
from ..errors import NotAMember, TeamNotFound, UserNotFound
from .queries import Cursor, Message, Wanted, find_folders, find_page
from .team_rows import find_team, find_users
from .writing import lock_inbox, mark_read

# How many messages are marked in one transaction.
MARK_LIMIT: Final = 1000


class Page(NamedTuple):
    """Some messages; how many are like those asked for, and how many of them unread; whether more follow."""

    messages: list[Message]
    total: int
    unread: int
    more: bool


async def list_messages(
    database: Database, wanted: Wanted, before: Cursor | None, page_number: int, page_size: int
) -> Page:
    """Return a page, unread before read and then newest first, by its number or from a place on.

    Raises UserNotFound, TeamNotFound and NotAMember.
    """

    async def work(connection: AsyncConnection) -> Page:
        folders = await find_folders(connection, wanted)
        if not folders:
            await _look_up(connection, wanted.reader_id, wanted.team_id)
        total = sum(part.count(wanted.unread) for part in folders)
        unread = 0 if wanted.unread is False else sum(part.unread for part in folders)
        offset = (page_number - 1) * page_size
        if offset >= total:
            return Page([], total, unread, more=False)
        # One more than is shown, to know whether there is one.
        messages = await find_page(connection, wanted, folders, before, offset, page_size + 1)
        return Page(messages[:page_size], total, unread, more=len(messages) > page_size)

    return await database.read(work)


async def mark_some(database: Database, reader_id: str, ids: Collection[int]) -> int:
    """Mark those of the messages that are the reader's and unread; return how many. Raises UserNotFound."""
    await database.read(partial(_look_up, reader_id=reader_id, team_id=""))

    async def work(connection: AsyncConnection) -> int:
        await lock_inbox(connection, reader_id)
        return await mark_read(connection, reader_id, ids)

    return await database.write(work)


async def mark_all(database: Database, reader_id: str, team_id: str, up_to: int) -> int:
    """Mark all messages of the reader's own account, or of a team, up to that id; return how many.

    It is done a part at a time, so that an inbox of any size keeps nobody waiting.

    Raises UserNotFound, TeamNotFound and NotAMember.
    """
    await database.read(partial(_look_up, reader_id=reader_id, team_id=team_id))
    wanted = Wanted(reader_id, team_id, unread=True)

    async def work(connection: AsyncConnection) -> int:
        # First: what another marks meanwhile must not look as if nothing were left.
        await lock_inbox(connection, reader_id)
        folders = await find_folders(connection, wanted)
        page = await find_page(connection, wanted, folders, Cursor(True, up_to + 1), 0, MARK_LIMIT)
        return await mark_read(connection, reader_id, [message.id for message in page]) if page else 0

    marked = 0
    while some := await database.write(work):
        marked += some
    return marked


async def _look_up(connection: AsyncConnection, reader_id: str, team_id: str) -> None:
    """Check that the reader exists and, unless the team's id is empty, may read that team.

    A former member keeps the messages that were written during the membership.
    """
    if not await find_users(connection, [reader_id]):
        raise UserNotFound(f"There is no user {reader_id!r}.", field="userId")
    if team_id:
        team = await find_team(connection, team_id)
        if team is None:
            raise TeamNotFound(f"There is no team {team_id!r}.", field="teamId")
        if reader_id not in team.members and not await find_folders(connection, Wanted(reader_id, team_id)):
            raise NotAMember(f"User {reader_id!r} is not a member of team {team_id!r}.", field="userId")
