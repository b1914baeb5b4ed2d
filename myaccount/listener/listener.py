"""Takes notices from the queue, has each event handled, and sends again what was not."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

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


class Listener:
    """Has each event handled at least once, by the handler of its type."""

    def __init__(self, database: Database, queue: EventQueue, handlers: Mapping[str, EventHandler]) -> None:
        self._database = database
        self._queue = queue
        self._handlers = handlers
        self._in_hand: set[int] = set()

    async def listen(self, scheduler: Scheduler) -> None:
        """Give each notice that comes to a job of its own, for ever."""
        while True:
            for notice in await self._queue.take():
                await scheduler.spawn(self._handle(notice))

    async def sweep(self) -> None:
        """Announce again, for ever, what should have been handled by now: the queue may have lost it."""
        while True:
            try:
                for event_id in await self._database.write(
                    lambda connection: take_due_events(connection, utc_now())
                ):
                    self._queue.announce(event_id)
            except LedgerError as error:
                _logger.warning("The sweeper could not look for events: %s", error)
            await asyncio.sleep(SWEEP_SECONDS)

    async def _handle(self, notice: Notice) -> None:
        if notice.event_id in self._in_hand:
            await self._queue.acknowledge(notice)
            return
        self._in_hand.add(notice.event_id)
        try:
            await self._settle(notice.event_id)
            await self._queue.acknowledge(notice)
        except LedgerError as error:
            # Not acknowledged and its row still there: the sweeper sends it again.
            _logger.warning("Event %s waits: %s", notice.event_id, error)
        finally:
            self._in_hand.discard(notice.event_id)

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


@asynccontextmanager
async def run_listener(listener: Listener) -> AsyncIterator[None]:
    """Let the listener run under a scheduler of its own, which ends at once what it has begun."""

    def report(_: Scheduler, context: Mapping[str, object]) -> None:
        _logger.error("The listener's job failed.", exc_info=context.get("exception"))  # type: ignore[arg-type]

    # Two jobs never end, and the limit counts all; beyond it the listener waits before it takes more.
    scheduler = Scheduler(limit=HANDLED_AT_ONCE + 2, pending_limit=1, exception_handler=report)
    await scheduler.spawn(listener.sweep())
    await scheduler.spawn(listener.listen(scheduler))
    try:
        yield
    finally:
        await scheduler.close()
