"""Turns of inboxes: of the work on one inbox that takes long, one part at a time is done in a process."""

import asyncio
from weakref import WeakValueDictionary


class InboxTurns:
    """Those who wait for one inbox take turns in the order of their arrival. Other inboxes are not affected."""

    def __init__(self) -> None:
        # A turn is forgotten when nobody has it or waits for it.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def turn(self, reader_id: str) -> asyncio.Lock:
        """Return the lock, to be taken by `async with`. Keep no reference to it."""
        return self._turns.setdefault(reader_id, asyncio.Lock())
