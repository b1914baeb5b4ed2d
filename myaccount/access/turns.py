"""Turns of users' tokens: few requests of one user are under way at once.

A token has no rate, and any user may send requests with one. Without turns, a single user could have all the
connections to the database that other users' queries wait for.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from ..errors import RateLimited

# Of one user, in one process.
AT_ONCE: Final = 2
# With those that wait for a turn. A browser has six connections.
REQUESTS_LIMIT: Final = 20
PATIENCE_SECONDS: Final = 2.0


class Turns:
    """Who sends requests now. Other users never wait for a user's turn."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    @asynccontextmanager
    async def turn(self, user_id: str) -> AsyncIterator[None]:
        """Wait for a turn. Raises RateLimited if too many requests of the user do, or if none comes soon."""
        line = self._lines.setdefault(user_id, _Line())
        if line.requests >= REQUESTS_LIMIT:
            raise _too_many()
        line.requests += 1
        try:
            await line.begin()
            try:
                yield
            finally:
                line.free.release()
        finally:
            line.requests -= 1
            if not line.requests:
                del self._lines[user_id]


class _Line:
    """The requests of one user."""

    def __init__(self) -> None:
        self.requests = 0
        self.free = asyncio.Semaphore(AT_ONCE)

    async def begin(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.free.acquire()
        except TimeoutError:
            raise _too_many() from None


def _too_many() -> RateLimited:
    return RateLimited("Too many requests of this user are under way at once.")
