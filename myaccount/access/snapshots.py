"""A value that every request needs, read from the database for all of them, at most twice a second."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from copy import copy
from typing import Final, Generic, TypeVar

from ..errors import Overloaded

Value = TypeVar("Value")

# So old may be what a request sees.
AGE_LIMIT_SECONDS: Final = 1.0
# From this age on it is read again, while requests still see it: none waits, unless a read takes half a second.
REFRESH_SECONDS: Final = 0.5
# After a read that failed, requests get its error for so long.
PAUSE_SECONDS: Final = 0.2
WAITING_LIMIT: Final = 10_000


class Snapshot(Generic[Value]):
    """Reads a value when it is asked for, at most twice a second.

    A request sees everything that was committed a second before it came.
    """

    def __init__(self, read: Callable[[], Awaitable[Value]]) -> None:
        self._read = read
        self._value: Value | None = None
        # When the read of the value began.
        self._began = -AGE_LIMIT_SECONDS
        self._reading: asyncio.Task[Exception | None] | None = None
        self._waiting = 0
        self._error: Exception | None = None
        self._failed_at = 0.0

    def current(self) -> Value | None:
        """Return the value, or None if it is too old: then `refreshed` returns it."""
        now = time.monotonic()
        if now - self._began >= AGE_LIMIT_SECONDS:
            return None
        if now - self._began >= REFRESH_SECONDS and self._recent_error(now) is None:
            self._begin_reading()
        return self._value

    async def refreshed(self) -> Value:
        """Return the value. Raises Overloaded if too many wait for it, and what the read raises."""
        oldest = time.monotonic() - AGE_LIMIT_SECONDS
        while self._value is None or self._began <= oldest:
            # Copied, since each raise adds to the traceback of the error that it raises.
            if self._reading is None and (error := self._recent_error(time.monotonic())):
                raise copy(error)
            if error := await self._wait(self._begin_reading()):
                raise copy(error)
        return self._value

    async def close(self) -> None:
        """Wait for a read under way."""
        if self._reading is not None:
            await asyncio.wait([self._reading])

    def _recent_error(self, now: float) -> Exception | None:
        return self._error if now - self._failed_at < PAUSE_SECONDS else None

    def _begin_reading(self) -> "asyncio.Task[Exception | None]":
        """Return the read that is under way."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._refresh(), name="snapshot")
        return self._reading

    async def _wait(self, reading: "asyncio.Task[Exception | None]") -> Exception | None:
        """Return the error of the read."""
        if self._waiting >= WAITING_LIMIT:
            raise Overloaded("Too many requests are waiting. Send the same one again in a moment.")
        self._waiting += 1
        try:
            await asyncio.wait([reading])
        finally:
            self._waiting -= 1
        return reading.result()

    async def _refresh(self) -> Exception | None:
        """Read the value; return the error if that fails, since perhaps nobody waits."""
        began = time.monotonic()
        try:
            self._value = await self._read()
        except Exception as error:
            self._error, self._failed_at = error, time.monotonic()
        else:
            self._began, self._error = began, None
        finally:
            self._reading = None
        return self._error
