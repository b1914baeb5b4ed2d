"""Who looks at an inbox at this moment, and word to them that it has something new."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Self

from .repeating import repeat

# Word may be lost on its way between processes; so everyone looks again after this, whatever was heard.
LOOK_SECONDS: Final = 30


class Live:
    """The watchers of one process; `publish` reaches those of every process that shares its courier.

    `async with` begins and ends what it does by itself.

    What is told is only that there is news: whoever is told looks for it in the database.
    """

    def __init__(self) -> None:
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self.closed = False

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(repeat(what, step), name=what) for what, step in self._steps().items()]
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _steps(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return, by name, the work that is repeated for as long as this is open."""
        return {"regular look at inboxes": self._look_at_times}

    def publish(self, reader_ids: Collection[str]) -> None:
        """Tell the watchers of these inboxes, in every process, without waiting; never raise."""
        self.wake(reader_ids)

    @contextmanager
    def watch(self, reader_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever the inbox may have something new, or when all is closing."""
        news = asyncio.Event()
        self._watchers.setdefault(reader_id, set()).add(news)
        try:
            yield news
        finally:
            self._watchers[reader_id].discard(news)
            if not self._watchers[reader_id]:
                del self._watchers[reader_id]

    def wake(self, reader_ids: Collection[str]) -> None:
        """Tell the watchers of this process."""
        for reader_id in self._watchers.keys() & reader_ids:
            for news in self._watchers[reader_id]:
                news.set()

    def wake_all(self) -> None:
        self.wake(self._watchers.keys())

    async def _look_at_times(self) -> None:
        """Have everyone look after a while."""
        await asyncio.sleep(LOOK_SECONDS)
        self.wake_all()

    def close(self) -> None:
        """Let every watcher go."""
        self.closed = True
        self.wake_all()
