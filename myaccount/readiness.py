"""Whether the service can process orders, and how much waits to be delivered. Answers within a second, always."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from .database.database import Database
from .database.probe import Probe
from .database.times import utc_now
from .database.writability import find_refusal
from .journal.writer import Journal
from .migrations.runner import head_version, read_version
from .observability.exposition import Sample
from .outbox.backlog import Backlog, Backlogs, find_backlogs
from .settings.callbacks import CallbackConfig
from .webhooks.deliveries import hosts_by_endpoint

OK: Final = "ok"
NOT_WRITABLE: Final = "not writable"
AWAY: Final = "away"
NOT_CONFIGURED: Final = "not configured"


class DatabaseHealth(NamedTuple):
    """The state of the database and of its schema, "ok" or what is wrong, and the reason for the log."""

    database: str
    schema: str
    fault: str = ""


async def find_health(connection: AsyncConnection) -> DatabaseHealth:
    """Return the state of a database that answers. Raises DBAPIError if it does not."""
    version = await connection.run_sync(read_version)
    await connection.rollback()
    if version != head_version():
        schema = f"at version {version or 'none'}, not {head_version()}"
        return DatabaseHealth(OK, schema, f"is {schema}")
    if refusal := await find_refusal(connection):
        return DatabaseHealth(NOT_WRITABLE, OK, f"takes no writes: {refusal}")
    return DatabaseHealth(OK, OK)


class Readiness(NamedTuple):
    """The state of each part, "ok" or what is wrong. The service is ready without Redis."""

    database: str
    schema: str
    queue: str
    redis: str

    @property
    def ready(self) -> bool:
        return self.database == self.schema == self.queue == OK


class Health:
    """Finds the state of the service. A process that only listens has no journal."""

    def __init__(
        self,
        database: Database,
        journal: Journal | None,
        redis_state: Callable[[], Awaitable[str]],
        callbacks: Collection[CallbackConfig],
    ) -> None:
        self._journal = journal
        self._hosts = hosts_by_endpoint(callbacks)
        self._database = Probe(
            "The database",
            partial(database.probe, find_health),
            DatabaseHealth(AWAY, "unknown"),
            find_fault=lambda health: health.fault,
            level=logging.ERROR,
        )
        self._redis = Probe("Redis", redis_state, AWAY)

        async def backlogs() -> Backlogs | None:
            return await database.probe(partial(find_backlogs, now=utc_now()))

        self._backlogs = Probe("The count of what waits", backlogs, None)

    async def readiness(self) -> Readiness:
        """Return the state of each part. Never raises."""
        (database, schema, _), redis = await asyncio.gather(self._database.result(), self._redis.result())
        queue = "full" if self._journal is not None and self._journal.full else OK
        return Readiness(database, schema, queue, redis)

    async def samples(self) -> list[Sample]:
        """Return samples for the metrics, without those of the database while it is away. Never raises."""
        readiness, backlogs = await asyncio.gather(self.readiness(), self._backlogs.result())
        samples = [Sample("ready", readiness.ready), Sample("database_up", readiness.database != AWAY)]
        if readiness.redis != NOT_CONFIGURED:
            samples.append(Sample("redis_up", readiness.redis == OK))
        if backlogs is not None:
            samples += _samples("events", backlogs.events)
            for host, backlog in self._by_host(backlogs).items():
                samples += _samples("deliveries", backlog, host)
        return samples

    def _by_host(self, backlogs: Backlogs) -> dict[str, Backlog]:
        """Return the deliveries' backlogs by host. Endpoints that are no longer configured share one."""
        by_host = dict.fromkeys(self._hosts.values(), Backlog(0, 0.0, 0))
        for endpoint, more in backlogs.deliveries.items():
            host = self._hosts.get(endpoint, "no longer configured")
            so_far = by_host.get(host, Backlog(0, 0.0, 0))
            by_host[host] = Backlog(
                so_far.waiting + more.waiting,
                max(so_far.oldest_seconds, more.oldest_seconds),
                so_far.dead_letters + more.dead_letters,
            )
        return by_host

    async def close(self) -> None:
        await asyncio.gather(self._database.close(), self._redis.close(), self._backlogs.close())


def _samples(kind: str, backlog: Backlog, *labels: str) -> Iterator[Sample]:
    yield Sample(f"{kind}_waiting", backlog.waiting, labels)
    yield Sample(f"{kind}_oldest_age_seconds", backlog.oldest_seconds, labels)
    yield Sample(f"{kind}_set_aside", backlog.dead_letters, labels)
