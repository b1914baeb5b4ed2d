"""The courier between a commit and the listener: a queue in the process, or a Redis stream between processes.

Either may lose what it carries: the event's row is the truth, and the sweeper reads the rows themselves. So
announcing never waits and never fails. An event's id in a queue is only a hint: the listener locks and reads the
row with that id, and acts on what it says. So an id that was given out twice, after a failover, is harmless.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

# What is announced beyond this, while nobody takes it, is left to the sweeper.
WAITING_LIMIT: Final = 10_000
# How many are taken at once.
TAKE_LIMIT: Final = 100


class Notice(NamedTuple):
    """Word that an event waits; the receipt is what acknowledging it takes."""

    event_id: int
    receipt: str


class EventQueue(Protocol):
    """What the service and the listener know of either queue."""

    def announce(self, event_id: int) -> None:
        """Send word that the event waits; never wait, never raise."""

    async def take(self) -> list[Notice]:
        """Return the next notices once there are some; at times an empty list."""

    async def acknowledge(self, notices: Sequence[Notice]) -> None:
        """Tell the queue that the events were handled; never raise."""

    async def redis_state(self) -> str:
        """Return "ok" if Redis takes and gives events, what it refuses, or "not configured".

        Raises what the client raises if Redis does not answer.
        """


class MemoryQueue:
    """The queue of one process."""

    def __init__(self) -> None:
        self._ids: asyncio.Queue[int] = asyncio.Queue(WAITING_LIMIT)

    def announce(self, event_id: int) -> None:
        if not self._ids.full():
            self._ids.put_nowait(event_id)

    async def take(self) -> list[Notice]:
        ids = [await self._ids.get()]
        while len(ids) < TAKE_LIMIT and not self._ids.empty():
            ids.append(self._ids.get_nowait())
        return [Notice(id_, "") for id_ in ids]

    async def acknowledge(self, notices: Sequence[Notice]) -> None:
        """Do nothing: what was taken from memory is gone from it."""

    async def redis_state(self) -> str:
        return "not configured"
