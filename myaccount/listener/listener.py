"""Takes notices from the queue, has each event handled, and sends again what was not."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Self

from aiojobs import Scheduler

from ..ledger.errors import LedgerError
from ..store.database import Database, utc_now
from ..store.events import Event, delete_event, find_event, postpone_event, take_due_events
from .queues import EventQueue, Notice

_logger = logging.getLogger(__name__)

# Calls the world outside: it may fail, and then the event comes again. So it may come more than once.
EventHandler = Callable[[Event], Awaitable[None]]

HANDLED_AT_ONCE: Final = 16
SWEEP_SECONDS: Final = 2
AFTER_FAULT_SECONDS: Final = 1


class Listener:
    """Has each event handled at least once, by the handler of its type.

    `async with` starts it, under a scheduler of its own; `stop` ends it at once. What it had begun and not
    finished is begun again by whoever listens next.
    """

    def __init__(self, database: Database, queue: EventQueue, handlers: Mapping[str, EventHandler]) -> None:
        self._database = database
        self._queue = queue
        self._handlers = handlers
        self._in_hand: set[int] = set()
        self._places = asyncio.Semaphore(HANDLED_AT_ONCE)
        # The places bound what runs; a limit of the scheduler's own would count the endless jobs too.
        self._scheduler = Scheduler(limit=None)

    async def __aenter__(self) -> Self:
        self._endless = [
            await self._scheduler.spawn(self._for_ever(self._sweep)),
            await self._scheduler.spawn(self._for_ever(self._listen)),
        ]
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        # First what would begin more.
        for job in self._endless:
            await job.close()
        await self._scheduler.close()

    async def _for_ever(self, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await step()
            except Exception as error:
                # Whatever it was, it must not end the listener.
                expected = isinstance(error, LedgerError)
                _logger.warning("The listener pauses after a fault: %s", error, exc_info=not expected)
                await asyncio.sleep(AFTER_FAULT_SECONDS)

    async def _listen(self) -> None:
        """Give each notice that comes to a job of its own."""
        for notice in await self._queue.take():
            await self._places.acquire()
            await self._scheduler.spawn(self._handle(notice))

    async def _sweep(self) -> None:
        """Announce again what should have been handled by now: the queue may have lost it."""
        for event_id in await self._database.write(lambda connection: take_due_events(connection, utc_now())):
            self._queue.announce(event_id)
        await asyncio.sleep(SWEEP_SECONDS)

    async def _handle(self, notice: Notice) -> None:
        try:
            # The same event may come twice, once from the sweeper: it is handled once at a time.
            if notice.event_id not in self._in_hand:
                self._in_hand.add(notice.event_id)
                try:
                    await self._settle(notice.event_id)
                finally:
                    self._in_hand.discard(notice.event_id)
            await self._queue.acknowledge(notice)
        except LedgerError as error:
            # Not acknowledged, and its row is still there: the sweeper sends it again.
            _logger.warning("Event %s waits: %s", notice.event_id, error)
        finally:
            self._places.release()

    async def _settle(self, event_id: int) -> None:
        """Handle the event and delete its row, or record why it was not handled."""
        event = await self._database.read(lambda connection: find_event(connection, event_id))
        if event is None:
            return
        try:
            await self._handlers[event.event_type](event)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            _logger.warning("Event %s (%s) failed: %s", event.id, event.event_type, reason)
            await self._database.write(lambda connection: postpone_event(connection, event_id, reason, utc_now()))
        else:
            await self._database.write(lambda connection: delete_event(connection, event_id))
