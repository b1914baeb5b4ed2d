"""Waiting until enough has come for the next batch, for a limited time."""

import asyncio
from contextlib import suppress


class Gathering:
    """What comes is counted by the caller."""

    def __init__(self) -> None:
        self._wanted = 1
        self._enough = asyncio.Event()

    def note(self, count: int) -> None:
        """Say that something has come, and how much waits by now."""
        if count >= self._wanted:
            self._enough.set()

    def end(self) -> None:
        """End the wait."""
        self._enough.set()

    async def wait(self, count: int, timeout_seconds: float | None) -> None:
        """Return when `count` wait, after the timeout, or when the wait is ended. Fewer must wait now."""
        self._wanted = count
        self._enough.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._enough.wait()
