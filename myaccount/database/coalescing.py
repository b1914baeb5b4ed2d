"""Request coalescing: queries that arrive while one is running are sent as one, a moment after it is done."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from copy import copy
from typing import Final, Generic, TypeVar

from ..errors import Overloaded, Unavailable
from ..system.gathering import Gathering
from .error_kinds import TooLarge

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

# Keys of one query.
KEYS_LIMIT: Final = 256
WAITING_LIMIT: Final = 10_000
# Applies only after a query of more than one key.
GATHERING_SECONDS: Final = 0.005


class Coalescer(Generic[Key, Value]):
    """`fetch_many` returns the values of many keys at once, without those that have none.

    Instead of a value it may return an error, which the queries of that key raise. If it raises one itself, other
    than that the database is away, the keys are fetched again in halves, so that each fails alone.

    A query never gets a result that was read before it was submitted: one that arrives while `fetch_many` runs
    waits for the next run.
    """

    def __init__(
        self, fetch_many: Callable[[Collection[Key]], Awaitable[Mapping[Key, Value | Exception]]]
    ) -> None:
        self._fetch_many = fetch_many
        self._waiting: list[tuple[Key, asyncio.Future[Value | None]]] = []
        self._gathering = Gathering()
        self._running: asyncio.Task[None] | None = None

    def fetch(self, key: Key) -> "asyncio.Future[Value | None]":
        """Return a future of the key's value, or of None if it has none.

        It raises Overloaded, and the errors of `fetch_many`.
        """
        fetched: asyncio.Future[Value | None] = asyncio.get_running_loop().create_future()
        if len(self._waiting) >= WAITING_LIMIT:
            refusal = Overloaded("Too many queries are waiting. Send the same one again in a moment.")
            fetched.set_exception(refusal)
            return fetched
        self._waiting.append((key, fetched))
        self._gathering.note(len(self._waiting))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return fetched

    async def close(self) -> None:
        """Wait for the running query, which uses a connection even if no caller waits for it any more."""
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:KEYS_LIMIT], self._waiting[KEYS_LIMIT:]
            try:
                values = await self._fetch_apart(list({key for key, _ in batch}))
            except (Overloaded, Unavailable) as error:
                # The database would most likely fail those that wait as well.
                for _, fetched in [*batch, *self._waiting]:
                    if not fetched.done():
                        fetched.set_exception(_copied(error))
                self._waiting = []
            else:
                for key, fetched in batch:
                    value = values.get(key)
                    if fetched.done():
                        continue
                    if isinstance(value, Exception):
                        fetched.set_exception(_copied(value))
                    else:
                        fetched.set_result(value)
            if len(self._waiting) < len(batch) > 1:
                # For about as many: clients ask again right after a reply.
                await self._gathering.wait(len(batch), GATHERING_SECONDS)
        self._running = None

    async def _fetch_apart(self, keys: Sequence[Key]) -> dict[Key, Value | Exception]:
        """Return the values, and the errors of keys that cannot be fetched even alone.

        Raises Overloaded and Unavailable.
        """
        try:
            return dict(await self._fetch_many(keys))
        except Exception as error:
            if isinstance(error, Overloaded | Unavailable) and not isinstance(error, TooLarge):
                raise
            if len(keys) == 1:
                return {keys[0]: error}
        middle = len(keys) // 2
        return {**await self._fetch_apart(keys[:middle]), **await self._fetch_apart(keys[middle:])}


def _copied(error: Exception) -> Exception:
    """Return a copy, if the error can be copied: each raise adds to the traceback of the error it raises."""
    try:
        return copy(error)
    except Exception:
        return error
