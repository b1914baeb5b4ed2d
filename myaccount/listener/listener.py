"""Takes notices from the queue, has their events told, and sends again what was not."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Self

from aiojobs import Scheduler
from sqlalchemy.ext.asyncio import AsyncConnection

from ..cancellation import raise_if_cancelled
from ..ledger.errors import LedgerError, Overloaded
from ..metrics import MESSAGES
from ..model.outbox import event
from ..service.telling import tell
from ..store.database import Database, utc_now
from ..store.events import RESEND_SECONDS
from ..store.retries import postpone, take_due
from .callbacks import Endpoint
from .live import Live
from .queues import TAKE_LIMIT, EventQueue

_logger = logging.getLogger(__name__)

# What comes meanwhile is told together: each time costs the database and the worker as much as dozens of messages.
GATHERING_SECONDS: Final = 0.05
# About as many events as one transaction tells.
TOLD_TOGETHER: Final = 16
SWEEP_SECONDS: Final = 2
SWEEP_LIMIT: Final = 1000
AFTER_FAULT_SECONDS: Final = 1
CLOSE_SECONDS: Final = 5
# A person should see what fails so often: about ten minutes, as the pauses grow.
ATTEMPTS: Final = 8


class Listener:
    """Has each event told exactly once: its messages are written, and the endpoints are owed their requests.

    `async with` starts it, under a scheduler of its own, and the endpoints' deliveries with it; `stop` ends it at
    once. What it had begun and not finished is begun again by whoever listens next.
    """

    def __init__(self, database: Database, queue: EventQueue, live: Live, endpoints: Sequence[Endpoint]) -> None:
        self._database = database
        self._queue = queue
        self._live = live
        self._endpoints = {endpoint.key: endpoint for endpoint in endpoints}
        self._wanted = {endpoint.key: endpoint.change_types for endpoint in endpoints}
        # A limit would only keep some of the endless jobs from beginning. What is at the database needs a while to
        # be broken off.
        self._scheduler = Scheduler(limit=None, close_timeout=CLOSE_SECONDS)

    async def __aenter__(self) -> Self:
        for step in (self._sweep, self._listen, *[endpoint.deliver for endpoint in self._endpoints.values()]):
            await self._scheduler.spawn(self._for_ever(step))
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        await self._scheduler.close()

    async def _for_ever(self, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            raise_if_cancelled()
            try:
                await step()
            except Exception as error:
                # Whatever it was, it must not end the listener.
                expected = isinstance(error, LedgerError)
                _logger.warning("The listener pauses after a fault: %s", error, exc_info=not expected)
                await asyncio.sleep(AFTER_FAULT_SECONDS)

    async def _listen(self) -> None:
        """Tell what comes, together what comes together."""
        notices = await self._queue.take()
        if notices:
            ids = [notice.event_id for notice in notices]
            for start in range(0, len(ids), TOLD_TOGETHER):
                await self._tell(ids[start : start + TOLD_TOGETHER])
            await self._queue.acknowledge(notices)
            if len(notices) < TAKE_LIMIT:
                await asyncio.sleep(GATHERING_SECONDS)

    async def _sweep(self) -> None:
        """Announce again what should have been told by now: the queue may have lost it."""
        work = partial(take_due, table=event, now=utc_now(), limit=SWEEP_LIMIT, keep_seconds=RESEND_SECONDS)
        for row in await self._database.write(work):
            self._queue.announce(row.id)
        await asyncio.sleep(SWEEP_SECONDS)

    async def _tell(self, event_ids: Sequence[int]) -> None:
        """Tell the events or, of those that cannot be told, record why.

        Raises LedgerError if the database is away, so that not even that can be recorded: then they are still
        there for the sweeper.
        """
        while event_ids:
            work = partial(tell, event_ids=event_ids, wanted=self._wanted, now=utc_now())
            try:
                told = await self._database.write(work)
            except Overloaded:
                raise
            except Exception as error:
                if len(event_ids) == 1:
                    await self._postpone(event_ids[0], error)
                    return
                # What one event caused must not keep the others.
                for event_id in event_ids:
                    await self._tell([event_id])
                return
            MESSAGES.inc(told.messages)
            self._live.publish(told.readers)
            for endpoint in told.endpoints:
                self._endpoints[endpoint].wake()
            event_ids = told.unfinished

    async def _postpone(self, event_id: int, error: Exception) -> None:
        reason = f"{type(error).__name__}: {getattr(error, 'orig', None) or error}"
        _logger.warning("Event %s was not told: %s", event_id, reason)

        async def work(connection: AsyncConnection) -> None:
            await postpone(connection, event, {event_id: reason}, utc_now(), ATTEMPTS)

        await self._database.write(work)
