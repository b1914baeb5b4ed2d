"""Notifies live streams that an inbox may have new messages."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final, Self

from ..errors import Overloaded, RequestError
from .repeating import repeat

# Notifications between processes may be lost, so all streams are notified at this interval as well.
NOTIFY_ALL_SECONDS: Final = 30
# Notifications gather for this long after each, so that an inbox that changes all the time is read only so often.
GATHERING_SECONDS: Final = 0.05
# Beyond it, subscribers wait for the regular notification.
READERS_LIMIT: Final = 10_000
# A process that ends waits at most this long for Redis to take the last notifications.
LAST_SECONDS: Final = 1
# Of one process: about 200 MiB.
STREAMS_LIMIT: Final = 10_000
# Of these, of one inbox, so that no user with a token takes those of all others. A client that opens streams and
# leaves counts for a while, since a stream sees that only when it next sends or is notified.
READER_STREAMS_LIMIT: Final = 100


class LiveNotifications:
    """The subscribers of one process. `publish` also reaches those of other processes, where Redis connects them.

    A notification has no content: the subscriber reads the new messages from the database. `async with` starts and
    ends the tasks, and sends at its end what was published until then.
    """

    def __init__(self) -> None:
        self._subscribers: dict[str, set[asyncio.Event]] = {}
        self._streams = 0
        self._unsent: set[str] = set()
        self._has_unsent = asyncio.Event()
        # Set when this process has subscribers again after it had none.
        self._has_followers = asyncio.Event()
        self.closed = False

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(repeat(what, step), name=what) for what, step in self._steps().items()]
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # The streams of other processes go on.
        with suppress(RequestError, TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self._deliver(self._unsent)

    def _steps(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return, by name, the work that is repeated while this is open."""
        return {
            "regular notification of live streams": self._notify_all_regularly,
            "sender of live notifications": self._send,
        }

    def publish(self, reader_ids: Collection[str]) -> None:
        """Notify the subscribers to these inboxes in every process. Never wait, never raise.

        Every batch of orders does this, so without subscribers it costs next to nothing.
        """
        if self._is_followed() and len(self._unsent) < READERS_LIMIT:
            self._unsent.update(reader_ids)
            self._has_unsent.set()

    def _is_followed(self) -> bool:
        return bool(self._subscribers)

    async def _send(self) -> None:
        """Notify of all that was published since the last time."""
        await self._has_unsent.wait()
        self._has_unsent.clear()
        readers, self._unsent = self._unsent, set()
        await self._deliver(readers)
        await asyncio.sleep(GATHERING_SECONDS)

    async def _deliver(self, reader_ids: Collection[str]) -> None:
        self.notify(reader_ids)

    @contextmanager
    def subscribe(self, reader_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set when the inbox may have new messages, and when the service closes.

        Raises Overloaded beyond STREAMS_LIMIT, and beyond READER_STREAMS_LIMIT of the inbox.
        """
        own = self._subscribers.get(reader_id, ())
        if self._streams >= STREAMS_LIMIT or len(own) >= READER_STREAMS_LIMIT:
            raise Overloaded("Too many streams are open. Send the same request again in a moment.")
        self._streams += 1
        if not self._subscribers:
            self._has_followers.set()
        notified = asyncio.Event()
        self._subscribers.setdefault(reader_id, set()).add(notified)
        try:
            yield notified
        finally:
            self._streams -= 1
            self._subscribers[reader_id].discard(notified)
            if not self._subscribers[reader_id]:
                del self._subscribers[reader_id]

    def notify(self, reader_ids: Collection[str]) -> None:
        """Notify the subscribers of this process to these inboxes."""
        for reader_id in self._subscribers.keys() & reader_ids:
            for notified in self._subscribers[reader_id]:
                notified.set()

    def notify_all(self) -> None:
        """Notify all subscribers of this process."""
        self.notify(self._subscribers.keys())

    async def _notify_all_regularly(self) -> None:
        await asyncio.sleep(NOTIFY_ALL_SECONDS)
        self.notify_all()

    def close(self) -> None:
        """End all streams."""
        self.closed = True
        self.notify_all()
