"""Reading an inbox, and marking messages as read."""

from collections.abc import Collection
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database
from ..errors import NotAMember, TeamNotFound, UserNotFound
from .queries import Cursor, Message, MessageFilter, find_counters, find_page
from .team_rows import find_membership, find_users
from .writing import lock_inbox, mark_read

# How many messages are marked in one transaction.
MARK_LIMIT: Final = 1000


class Page(NamedTuple):
    """Some messages; how many the filter selects, and how many of these are unread; whether more follow."""

    messages: list[Message]
    total: int
    unread: int
    more: bool


async def list_messages(
    database: Database, filter_: MessageFilter, before: Cursor | None, page_number: int, page_size: int
) -> Page:
    """Return a page by its number or from a cursor on: unread before read, then newest first.

    Raises UserNotFound, TeamNotFound and NotAMember.
    """

    async def work(connection: AsyncConnection) -> Page:
        counters = await find_counters(connection, filter_)
        if not counters:
            await _check_access(connection, filter_.reader_id, filter_.team_id)
        total = sum(part.count(filter_.unread) for part in counters)
        unread = 0 if filter_.unread is False else sum(part.unread for part in counters)
        offset = (page_number - 1) * page_size
        if offset >= total:
            return Page([], total, unread, more=False)
        # One more than the page shows tells whether more follow.
        messages = await find_page(connection, filter_, counters, before, offset, page_size + 1)
        return Page(messages[:page_size], total, unread, more=len(messages) > page_size)

    return await database.read(work)


async def mark_messages(database: Database, reader_id: str, ids: Collection[int]) -> int:
    """Mark those of the messages that are the reader's and unread; return their number. Raises UserNotFound."""
    await database.read(partial(_check_access, reader_id=reader_id, team_id=""))

    async def work(connection: AsyncConnection) -> int:
        await lock_inbox(connection, reader_id)
        return await mark_read(connection, reader_id, ids)

    return await database.write(work)


async def mark_all(database: Database, reader_id: str, team_id: str, up_to: int) -> int:
    """Mark all messages of the reader's own account, or of a team, up to that id; return their number.

    Each transaction marks at most MARK_LIMIT, so that a large inbox is not locked for long.

    Raises UserNotFound, TeamNotFound and NotAMember.
    """
    await database.read(partial(_check_access, reader_id=reader_id, team_id=team_id))
    filter_ = MessageFilter(reader_id, team_id, unread=True)

    async def work(connection: AsyncConnection) -> int:
        # Lock first. Else another transaction could mark this page meanwhile, and this loop would end too early.
        await lock_inbox(connection, reader_id)
        counters = await find_counters(connection, filter_)
        page = await find_page(connection, filter_, counters, Cursor(True, up_to + 1), 0, MARK_LIMIT)
        return await mark_read(connection, reader_id, [message.id for message in page]) if page else 0

    marked = 0
    while count := await database.write(work):
        marked += count
    return marked


async def _check_access(connection: AsyncConnection, reader_id: str, team_id: str) -> None:
    """Check that the reader exists and, unless the team's id is empty, may read that team.

    A former member may still read the messages from the time of membership.
    """
    if not await find_users(connection, [reader_id]):
        raise UserNotFound(f"There is no user {reader_id!r}.", field="userId")
    if team_id:
        is_there, is_member = await find_membership(connection, team_id, reader_id)
        if is_member:
            return
        # Also for a team that is not there, which so takes as long as one of others.
        was_member = bool(await find_counters(connection, MessageFilter(reader_id, team_id)))
        if not is_there:
            raise TeamNotFound(f"There is no team {team_id!r}.", field="teamId")
        if not was_member:
            raise NotAMember(f"User {reader_id!r} is not a member of team {team_id!r}.", field="userId")
