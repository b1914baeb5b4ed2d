"""Questions asked of the database together: those that come while one is there go in the next, as one."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from copy import copy
from typing import Final, Generic, TypeVar

from ..errors import Overloaded

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")

LIMIT: Final = 256
WAITING_LIMIT: Final = 10_000


class Together(Generic[Key, Answer]):
    """Answers many questions with one: `find` returns, by key, the answers there are.

    No question is answered from before it was asked: one that comes while `find` is under way waits for the next.
    """

    def __init__(self, find: Callable[[Collection[Key]], Awaitable[Mapping[Key, Answer]]]) -> None:
        self._find = find
        self._waiting: list[tuple[Key, asyncio.Future[Answer | None]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, key: Key) -> Answer | None:
        """Return the key's answer, or None if there is none. Raises Overloaded, or what `find` raises."""
        if len(self._waiting) >= WAITING_LIMIT:
            raise Overloaded("Too many queries are waiting. Send the same one again in a moment.")
        answered: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, answered))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        return await answered

    async def close(self) -> None:
        """Wait for what is being asked: nobody may want it any more, but it has a connection to the database."""
        if self._asking is not None:
            await self._asking

    async def _ask(self) -> None:
        while self._waiting:
            together, self._waiting = self._waiting[:LIMIT], self._waiting[LIMIT:]
            try:
                answers = await self._find({key for key, _ in together})
            except Exception as error:
                # Those that came meanwhile would fare no better.
                for _, answered in [*together, *self._waiting]:
                    if not answered.done():
                        answered.set_exception(_copied(error))
                self._waiting = []
            else:
                for key, answered in together:
                    if not answered.done():
                        answered.set_result(answers.get(key))
        self._asking = None


def _copied(error: Exception) -> Exception:
    """Return a copy, since an error that is raised gathers where it went; some errors cannot be copied."""
    try:
        return copy(error)
    except Exception:
        return error
