"""New messages in inboxes, for live streams."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from ..database.coalescing import Coalescer
from ..database.database import Database
from ..errors import UserNotFound
from .catch_up import CatchUp
from .inbox_turns import InboxTurns
from .queries import FEED_LIMIT, Feed, Message, find_feeds, find_latest, find_newest_ids

# After this many messages of streams, all other requests have their turn: about a millisecond of work. A request
# takes some ten iterations of the event loop, and waits this long in each.
TURN_LIMIT: Final = 10
# After each page that a stream catches up, the streams of its inbox pause for this many times as long as it took.
PAUSE_FACTOR: Final = 1


class MessageFeed:
    """Reads the new messages of inboxes, which catch up first. Concurrent requests share a query."""

    def __init__(self, database: Database, catch_up: CatchUp) -> None:
        self._catch_up = catch_up

        # Streams have one connection together, so that they leave the others to all other requests.
        one_connection = asyncio.Lock()

        async def newest_ids(user_ids: Collection[str]) -> dict[str, int]:
            async with one_connection:
                return await database.read(partial(find_newest_ids, reader_ids=user_ids))

        async def latest(reader_ids: Collection[str]) -> dict[str, list[Message]]:
            async with one_connection:
                return {id_: await database.read(partial(find_latest, reader_id=id_)) for id_ in reader_ids}

        async def feeds(positions: Collection[tuple[str, int]]) -> dict[tuple[str, int], Feed]:
            async with one_connection:
                return await database.read(partial(find_feeds, positions=positions))

        self._inbox_turns = InboxTurns()
        self._newest_ids = Coalescer(newest_ids)
        self._latest = Coalescer(latest)
        self._feeds = Coalescer(feeds)
        self._turn_left = TURN_LIMIT

    async def newest_id(self, reader_id: str) -> int:
        """Return the id of the reader's newest message, or 0. Raises UserNotFound."""
        await self._catch_up.inbox(reader_id)
        newest = await self._newest_ids.fetch(reader_id)
        if newest is None:
            raise UserNotFound(f"There is no user {reader_id!r}.", field="userId")
        return newest

    async def starting_with(self, reader_id: str, message_id: int) -> Feed:
        """Return the reader's message with that id, if there is one, and at most FEED_LIMIT after it, in order."""
        await self._catch_up.inbox(reader_id)
        return await self._feeds.fetch((reader_id, message_id)) or Feed([], more=False)

    async def latest(self, reader_id: str) -> list[Message]:
        """Return the reader's newest messages, at most FEED_LIMIT, oldest first."""
        return await self._latest.fetch(reader_id) or []

    @asynccontextmanager
    async def turn_to_catch_up(self, reader_id: str) -> AsyncIterator[None]:
        """Give a turn to a stream that is behind, to read and send one page: streams of one inbox take turns.

        Otherwise, a user with many streams far behind would hold up all other requests. A client that takes its
        page slowly delays only those streams of its own inbox that are behind.
        """
        async with self._inbox_turns.turn(reader_id):
            began = time.monotonic()
            yield
            await asyncio.sleep((time.monotonic() - began) * PAUSE_FACTOR)

    async def turn(self) -> None:
        """Wait until a stream may send a message: TURN_LIMIT are sent in each iteration of the event loop.

        Otherwise, hundreds of streams that resume at the same time would hold up all other requests.
        """
        # The next iteration is all that this waits for.
        while self._turn_left <= 0:  # noqa: ASYNC110
            await asyncio.sleep(0)
        if self._turn_left == TURN_LIMIT:
            asyncio.get_running_loop().call_soon(self._renew_turn)
        self._turn_left -= 1

    def _renew_turn(self) -> None:
        self._turn_left = TURN_LIMIT

    async def close(self) -> None:
        """Wait for the queries under way."""
        for queries in (self._newest_ids, self._latest, self._feeds):
            await queries.close()


class FeedPosition:
    """The position of one stream in an inbox. `next` returns each message once, in order.

    After a failover to a replica that lost the newest messages, new messages get the same ids. So each read checks
    that the last message is still the same. If it is not, the stream continues with the newest messages, without
    those that it had already. It misses none of the last FEED_LIMIT. A client that reconnects after the failover,
    with the id of a lost message, may get some messages twice.
    """

    def __init__(self, feed: MessageFeed, reader_id: str, message_id: int) -> None:
        """Begin after the message with that id; 0 is before the first."""
        self._feed = feed
        self._reader_id = reader_id
        self.message_id = message_id
        self._sent: deque[Message] = deque(maxlen=FEED_LIMIT)

    async def next(self) -> Feed:
        """Return new messages, at most FEED_LIMIT or, from the beginning of the inbox, one more."""
        found, more = await self._feed.starting_with(self._reader_id, self.message_id)
        if self.message_id == 0:
            new = found
        elif found and self._is_last(found[0]):
            new = found[1:]
            # On the first read, the message that the stream begins after counts as sent.
            found = new if self._sent else found
        else:
            self.message_id = 0
            found = await self._feed.latest(self._reader_id)
            sent = set(self._sent)
            known = [_content(message) in sent for message in found]
            # Messages before the first known one are older than this stream.
            first = known.index(True) if True in known else 0
            new = [message for message, was_sent in list(zip(found, known, strict=True))[first:] if not was_sent]
        self._sent.extend(map(_content, found))
        if found:
            self.message_id = found[-1].id
        return Feed(new, more)

    def _is_last(self, message: Message) -> bool:
        return message.id == self.message_id and (not self._sent or _content(message) == self._sent[-1])


def _content(message: Message) -> Message:
    """Return the message without what may change: its id, and whether it is unread."""
    return message._replace(id=0, unread=False)
