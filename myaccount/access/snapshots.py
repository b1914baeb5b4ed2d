"""A value that every request needs, read from the database once a second for all of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from copy import copy
from typing import Final, Generic, TypeVar

Value = TypeVar("Value")

# So old may be what a request sees.
AGE_LIMIT_SECONDS: Final = 1.0


class Snapshot(Generic[Value]):
    """Reads a value when it is asked for, at most once a second; what fails is tried again by the next request.

    A request sees everything that was committed a second before it came.
    """

    def __init__(self, read: Callable[[], Awaitable[Value]]) -> None:
        self._read = read
        self._value: Value | None = None
        # When the read of the value began.
        self._began = -AGE_LIMIT_SECONDS
        self._reading: asyncio.Task[None] | None = None

    def current(self) -> Value | None:
        """Return the value, or None if it is too old: then `refreshed` returns it."""
        return self._value if time.monotonic() - self._began < AGE_LIMIT_SECONDS else None

    async def refreshed(self) -> Value:
        """Return the value. Raises what the read raises."""
        oldest = time.monotonic() - AGE_LIMIT_SECONDS
        while self._value is None or self._began <= oldest:
            if self._reading is None:
                self._reading = asyncio.create_task(self._refresh(), name="snapshot")
            reading = self._reading
            await asyncio.wait([reading])
            if error := reading.exception():
                # Each raise adds to the traceback of the error that it raises.
                raise copy(error)
        return self._value

    async def close(self) -> None:
        """Wait for a read under way."""
        if self._reading is not None:
            await asyncio.wait([self._reading])

    async def _refresh(self) -> None:
        began = time.monotonic()
        try:
            self._value = await self._read()
            self._began = began
        finally:
            self._reading = None
