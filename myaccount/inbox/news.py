"""What is new in inboxes, for those who follow them."""

from collections import deque
from collections.abc import Collection
from functools import partial

from ..database.coalescing import Coalescer
from ..database.database import Database
from ..errors import UserNotFound
from .queries import NEWS_LIMIT, Message, find_latest, find_newest, find_news


class News:
    """What is new in inboxes; those who ask at once are answered by one query."""

    def __init__(self, database: Database) -> None:
        async def find_first(user_ids: Collection[str]) -> dict[str, int]:
            return await database.read(partial(find_newest, reader_ids=user_ids))

        async def find_some(reader_ids: Collection[str]) -> dict[str, list[Message]]:
            return {id_: await database.read(partial(find_latest, reader_id=id_)) for id_ in reader_ids}

        async def find(asked: Collection[tuple[str, int]]) -> dict[tuple[str, int], list[Message]]:
            return await database.read(partial(find_news, asked=asked))

        self._newest = Coalescer(find_first)
        self._latest = Coalescer(find_some)
        self._from = Coalescer(find)

    async def newest(self, reader_id: str) -> int:
        """Return the id of the reader's newest message, or 0. Raises UserNotFound."""
        newest = await self._newest.fetch(reader_id)
        if newest is None:
            raise UserNotFound(f"There is no user {reader_id!r}.", field="userId")
        return newest

    async def starting_with(self, reader_id: str, message_id: int) -> list[Message]:
        """Return the reader's message with that id, if there is one, and at most NEWS_LIMIT after it, in order."""
        return await self._from.fetch((reader_id, message_id)) or []

    async def latest(self, reader_id: str) -> list[Message]:
        """Return the reader's newest messages, at most NEWS_LIMIT, the oldest first."""
        return await self._latest.fetch(reader_id) or []

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
