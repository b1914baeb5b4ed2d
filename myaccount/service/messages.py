"""Reading an inbox, following it, and marking what was read."""

from collections import deque
from collections.abc import Collection
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from ..ledger.errors import NotAMember, TeamNotFound, UserNotFound
from ..store.database import Database
from ..store.inbox import (
    NEWS_LIMIT,
    Cursor,
    Message,
    Wanted,
    find_folders,
    find_latest,
    find_newest,
    find_news,
    find_page,
)
from ..store.messages import lock_inbox, mark_read
from ..store.teams import find_team, find_users
from ..store.together import Together

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


class News:
    """What is new in inboxes; those who ask at once are answered by one query."""

    def __init__(self, database: Database) -> None:
        async def find_first(user_ids: Collection[str]) -> dict[str, int]:
            return await database.read(partial(find_newest, reader_ids=user_ids))

        async def find_some(reader_ids: Collection[str]) -> dict[str, list[Message]]:
            return {id_: await database.read(partial(find_latest, reader_id=id_)) for id_ in reader_ids}

        async def find(asked: Collection[tuple[str, int]]) -> dict[tuple[str, int], list[Message]]:
            return await database.read(partial(find_news, asked=asked))

        self._newest = Together(find_first)
        self._latest = Together(find_some)
        self._from = Together(find)

    async def newest(self, reader_id: str) -> int:
        """Return the id of the reader's newest message, or 0. Raises UserNotFound."""
        newest = await self._newest.ask(reader_id)
        if newest is None:
            raise _no_user(reader_id)
        return newest

    async def starting_with(self, reader_id: str, message_id: int) -> list[Message]:
        """Return the reader's message with that id, if there is one, and at most NEWS_LIMIT after it, in order."""
        return await self._from.ask((reader_id, message_id)) or []

    async def latest(self, reader_id: str) -> list[Message]:
        """Return the reader's newest messages, at most NEWS_LIMIT, the oldest first."""
        return await self._latest.ask(reader_id) or []

    async def close(self) -> None:
        """Wait for what is being asked."""
        for queries in (self._newest, self._latest, self._from):
            await queries.close()


class Place:
    """How far one follower of an inbox has come: gives each message once, in order.

    After a failover to a replica that lost the newest messages, their ids are given to others. So the last message
    that was given is looked for each time; if it is not there any more, the follower goes on with the newest
    messages, but for those that it was given. It misses none of the last NEWS_LIMIT; one that comes back after the
    failover, with the id of a message that is gone, may be given some twice.
    """

    def __init__(self, news: News, reader_id: str, message_id: int) -> None:
        """Begin after the message with that id; 0 is before the first."""
        self._news = news
        self._reader_id = reader_id
        self.message_id = message_id
        self._given: deque[Message] = deque(maxlen=NEWS_LIMIT)

    async def next(self) -> list[Message]:
        """Return what is new, at most NEWS_LIMIT messages."""
        found = await self._news.starting_with(self._reader_id, self.message_id)
        if self.message_id == 0:
            new = found = found[:NEWS_LIMIT]
        elif found and self._is_last(found[0]):
            new = found[1:]
            # The one that it began after counts as given.
            found = new if self._given else found
        else:
            self.message_id = 0
            found = await self._news.latest(self._reader_id)
            known = [_lasting(message) in self._given for message in found]
            # What is older than the first that was given was there before this follower began.
            first = known.index(True) if True in known else 0
            new = [message for message, was_given in list(zip(found, known, strict=True))[first:] if not was_given]
        self._given.extend(map(_lasting, found))
        if found:
            self.message_id = found[-1].id
        return new

    def _is_last(self, message: Message) -> bool:
        return message.id == self.message_id and (not self._given or _lasting(message) == self._given[-1])


def _lasting(message: Message) -> Message:
    """Return what stays the same of a message for ever."""
    return message._replace(id=0, unread=False)


async def _look_up(connection: AsyncConnection, reader_id: str, team_id: str) -> None:
    """Check that the reader exists and, unless the team's id is empty, may read that team.

    A former member keeps the messages that were written during the membership.
    """
    if not await find_users(connection, [reader_id]):
        raise _no_user(reader_id)
    if team_id:
        team = await find_team(connection, team_id)
        if team is None:
            raise TeamNotFound(f"There is no team {team_id!r}.", field="teamId")
        if reader_id not in team.members and not await find_folders(connection, Wanted(reader_id, team_id)):
            raise NotAMember(f"User {reader_id!r} is not a member of team {team_id!r}.", field="userId")


def _no_user(user_id: str) -> UserNotFound:
    return UserNotFound(f"There is no user {user_id!r}.", field="userId")
