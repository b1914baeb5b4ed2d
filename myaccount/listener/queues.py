"""The queue of committed events: in memory for one process, or a Redis stream between processes.

Either queue may lose messages: the event's row is authoritative, and the sweeper reads the rows. So announcing
never waits and never fails. A message only has the event's id: the listener locks the row with that id and acts
on its content. So an id that is used twice, after a failover, does no harm.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

# Events that are announced beyond this limit are left to the sweeper.
WAITING_LIMIT: Final = 10_000
# How many messages one call takes.
TAKE_LIMIT: Final = 100


class QueueMessage(NamedTuple):
    """A queue message: the event's id, and the id of the stream entry to acknowledge."""

    event_id: int
    entry_id: str


class EventQueue(Protocol):
    """What both queues can do."""

    def announce(self, event_id: int) -> None:
        """Put the committed event's id into the queue. Never wait, never raise."""

    async def take(self) -> list[QueueMessage]:
        """Wait for messages and return up to TAKE_LIMIT. The list may be empty."""

    async def acknowledge(self, messages: Sequence[QueueMessage]) -> None:
        """Acknowledge messages whose events are dispatched. Never raise."""

    async def redis_state(self) -> str:
        """Return "ok", what Redis refuses, or "not configured".

        Raises the client's error if Redis does not answer.
        """


class MemoryQueue:
    """A queue inside one process."""

    def __init__(self) -> None:
        self._ids: asyncio.Queue[int] = asyncio.Queue(WAITING_LIMIT)

    def announce(self, event_id: int) -> None:
        if not self._ids.full():
            self._ids.put_nowait(event_id)

    async def take(self) -> list[QueueMessage]:
        ids = [await self._ids.get()]
        while len(ids) < TAKE_LIMIT and not self._ids.empty():
            ids.append(self._ids.get_nowait())
        return [QueueMessage(id_, "") for id_ in ids]

    async def acknowledge(self, messages: Sequence[QueueMessage]) -> None:
        """Do nothing: a message that was taken is no longer in the queue."""

    async def redis_state(self) -> str:
        return "not configured"
