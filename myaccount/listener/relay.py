"""The relay: dispatches events that the queue brings and, by polling the database, those that it lost."""

import asyncio
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Final, Self

from aiojobs import Scheduler
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database
from ..database.leases import lease_due, postpone
from ..database.times import utc_now
from ..errors import Overloaded
from ..inbox.writing import looking_up_later
from ..model.outbox import event
from ..observability.metrics import MESSAGES
from ..outbox.events import RESEND_SECONDS
from ..outbox.fan_out import fan_out
from ..webhooks.endpoint import Endpoint
from .live_notifications import LiveNotifications
from .queues import TAKE_LIMIT, EventQueue
from .repeating import repeat

_logger = logging.getLogger(__name__)

# After a transaction, events gather for this many times as long as it took, at most for the limit: a transaction
# costs database and worker as much as dozens of messages.
GATHERING_FACTOR: Final = 4
GATHERING_LIMIT_SECONDS: Final = 0.2
# How many events are dispatched in one transaction, if they are small.
EVENTS_LIMIT: Final = 100
# A lost event is due after RESEND_SECONDS and found within this time. The sum stays below 5 seconds.
SWEEP_SECONDS: Final = 1
# About as many as one process dispatches within their lease.
SWEEP_LIMIT: Final = 64
CLOSE_SECONDS: Final = 5
# About ten minutes, with the exponential backoff of leases.py.
ATTEMPTS: Final = 8


class Relay:
    """Dispatches each event exactly once, as messages and pending deliveries, and sends the deliveries.

    `async with` starts it on its own scheduler, and ends it at once. Unfinished work is not lost: its rows stay,
    and any relay takes them again when their lease ends.
    """

    def __init__(
        self,
        database: Database,
        queue: EventQueue,
        notifications: LiveNotifications,
        endpoints: Sequence[Endpoint],
    ) -> None:
        self._database = database
        self._queue = queue
        self._notifications = notifications
        self._endpoints = {endpoint.key: endpoint for endpoint in endpoints}
        self._subscriptions = {endpoint.key: endpoint.change_types for endpoint in endpoints}
        # No limit: each job runs for ever. The timeout leaves time to cancel a transaction under way.
        self._scheduler = Scheduler(limit=None, close_timeout=CLOSE_SECONDS)

    async def __aenter__(self) -> Self:
        await self._scheduler.spawn(repeat("dispatch of events", self._listen))
        await self._scheduler.spawn(repeat("search for events that the queue did not bring", self._sweep))
        for endpoint in self._endpoints.values():
            await self._scheduler.spawn(repeat(f"delivery to {endpoint.key}", endpoint.deliver))
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._scheduler.close()

    async def _listen(self) -> None:
        """Dispatch one batch of events that the queue brings."""
        messages = await self._queue.take()
        if messages:
            began = time.monotonic()
            await self._dispatch_all([message.event_id for message in messages])
            await self._queue.acknowledge(messages)
            if len(messages) < TAKE_LIMIT:
                seconds = (time.monotonic() - began) * GATHERING_FACTOR
                await asyncio.sleep(min(seconds, GATHERING_LIMIT_SECONDS))

    async def _sweep(self) -> None:
        """Dispatch events that the queue did not bring in time: Redis may be away, refuse them, or have lost them.

        They do not go through the queue again, which may still fail.
        """
        work = partial(lease_due, table=event, now=utc_now(), limit=SWEEP_LIMIT, lease_seconds=RESEND_SECONDS)
        due = await self._database.write(work)
        await self._dispatch_all([row.id for row in due])
        if len(due) < SWEEP_LIMIT:
            await asyncio.sleep(SWEEP_SECONDS)

    async def _dispatch_all(self, event_ids: Sequence[int]) -> None:
        for start in range(0, len(event_ids), EVENTS_LIMIT):
            await self._dispatch(event_ids[start : start + EVENTS_LIMIT])

    async def _dispatch(self, event_ids: Sequence[int]) -> None:
        """Dispatch the events; postpone those that fail, with their error.

        Raises RequestError if the database is away. Then the events stay, and the sweeper takes them later.
        """
        while event_ids:
            work = partial(fan_out, event_ids=event_ids, subscriptions=self._subscriptions, now=utc_now())
            try:
                dispatched = await self._database.write(looking_up_later(work))
            except Overloaded:
                raise
            except Exception as error:
                if len(event_ids) == 1:
                    await self._postpone(event_ids[0], error)
                    return
                # One event may have failed the whole batch, so each is tried alone.
                for event_id in event_ids:
                    await self._dispatch([event_id])
                return
            MESSAGES.inc(dispatched.messages)
            self._notifications.publish(dispatched.readers)
            for endpoint in dispatched.endpoints:
                self._endpoints[endpoint].wake()
            event_ids = dispatched.unfinished

    async def _postpone(self, event_id: int, error: Exception) -> None:
        # After a failover another event may have this id: it loses one of its attempts, but is still dispatched.
        reason = f"{type(error).__name__}: {getattr(error, 'orig', None) or error}"
        _logger.warning("Event %s was not dispatched: %s", event_id, reason)

        async def work(connection: AsyncConnection) -> None:
            await postpone(connection, event, {event_id: reason}, utc_now(), ATTEMPTS)

        await self._database.write(work)
