"""Delivers the events that the queue brings, and from the database those that it does not bring."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Final, Self

from aiojobs import Scheduler
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database, utc_now
from ..database.leases import lease_due, postpone
from ..errors import Overloaded
from ..model.outbox import event
from ..observability.metrics import MESSAGES
from ..outbox.events import RESEND_SECONDS
from ..outbox.fan_out import tell
from ..webhooks.endpoint import Endpoint
from .live import Live
from .queues import TAKE_LIMIT, EventQueue
from .repeating import repeat

_logger = logging.getLogger(__name__)

# What comes meanwhile is told together: each time costs the database and the worker as much as dozens of messages.
GATHERING_SECONDS: Final = 0.05
# About as many events as one transaction tells.
TOLD_TOGETHER: Final = 16
# An event that the queue did not bring is due after RESEND_SECONDS and found within this: in sum, below 5 seconds.
SWEEP_SECONDS: Final = 1
# About as many as one process delivers while it keeps them from others.
SWEEP_LIMIT: Final = 64
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
        await self._scheduler.spawn(repeat("listener", self._listen))
        await self._scheduler.spawn(repeat("sweeper", self._sweep))
        for endpoint in self._endpoints.values():
            await self._scheduler.spawn(repeat(f"sender to {endpoint.key}", endpoint.deliver))
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        await self._scheduler.close()

    async def _listen(self) -> None:
        """Tell what comes, together what comes together."""
        notices = await self._queue.take()
        if notices:
            await self._tell_all([notice.event_id for notice in notices])
            await self._queue.acknowledge(notices)
            if len(notices) < TAKE_LIMIT:
                await asyncio.sleep(GATHERING_SECONDS)

    async def _sweep(self) -> None:
        """Deliver the events that the queue did not bring in time: it may be away, refuse them, or have lost them.

        They do not go through the queue again, which may still be broken.
        """
        work = partial(lease_due, table=event, now=utc_now(), limit=SWEEP_LIMIT, lease_seconds=RESEND_SECONDS)
        due = await self._database.write(work)
        await self._tell_all([row.id for row in due])
        if len(due) < SWEEP_LIMIT:
            await asyncio.sleep(SWEEP_SECONDS)

    async def _tell_all(self, event_ids: Sequence[int]) -> None:
        for start in range(0, len(event_ids), TOLD_TOGETHER):
            await self._tell(event_ids[start : start + TOLD_TOGETHER])

    async def _tell(self, event_ids: Sequence[int]) -> None:
        """Tell the events or, of those that cannot be told, record why.

        Raises RequestError if the database is away, so that not even that can be recorded: then they are still
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
