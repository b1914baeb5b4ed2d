"""Whether the service can settle orders, and what waits to be told; both said within a second, whatever hangs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from .database.database import Database, utc_now
from .database.probe import Probe
from .database.writability import find_refusal
from .journal.writer import Journal
from .migrations.runner import head_version, read_version
from .observability.metrics import Found
from .outbox.backlog import Backlog, Backlogs, find_backlogs
from .settings.schema import CallbackConfig
from .webhooks.deliveries import hosts_by_endpoint

OK: Final = "ok"
NOT_WRITABLE: Final = "not writable"
AWAY: Final = "away"
NOT_CONFIGURED: Final = "not configured"


class DatabaseHealth(NamedTuple):
    """Of the database and its schema, "ok" or what is wrong; for the log, why."""

    database: str
    schema: str
    fault: str = ""


async def find_health(connection: AsyncConnection) -> DatabaseHealth:
    """Return what is wrong with a database that answers. Raises DBAPIError if it does not."""
    version = await connection.run_sync(read_version)
    await connection.rollback()
    if version != head_version():
        schema = f"at version {version or 'none'}, not {head_version()}"
        return DatabaseHealth(OK, schema, f"is {schema}")
    if refusal := await find_refusal(connection):
        return DatabaseHealth(NOT_WRITABLE, OK, f"takes no writes: {refusal}")
    return DatabaseHealth(OK, OK)


class Readiness(NamedTuple):
    """Of each thing "ok" or what is wrong with it; Redis is not needed."""

    database: str
    schema: str
    queue: str
    redis: str

    @property
    def ready(self) -> bool:
        return self.database == self.schema == self.queue == OK


class Health:
    """Looks at the service; a process that only listens has no journal."""

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
        """Return what is well and what is not; never raise."""
        (database, schema, _), redis = await asyncio.gather(self._database.result(), self._redis.result())
        queue = "full" if self._journal is not None and self._journal.full else OK
        return Readiness(database, schema, queue, redis)

    async def found(self) -> list[Found]:
        """Return what the metrics tell of this moment; without what the database does not tell. Never raise."""
        readiness, backlogs = await asyncio.gather(self.readiness(), self._backlogs.result())
        found = [Found("ready", readiness.ready), Found("database_up", readiness.database != AWAY)]
        if readiness.redis != NOT_CONFIGURED:
            found.append(Found("redis_up", readiness.redis == OK))
        if backlogs is not None:
            found += _found("events", backlogs.events)
            for host, backlog in self._by_host(backlogs).items():
                found += _found("deliveries", backlog, host)
        return found

    def _by_host(self, backlogs: Backlogs) -> dict[str, Backlog]:
        """Return the deliveries' backlogs by host, of every endpoint of the configuration and of what was one."""
        by_host = dict.fromkeys(self._hosts.values(), Backlog(0, 0.0, 0))
        for endpoint, more in backlogs.deliveries.items():
            host = self._hosts.get(endpoint, "no longer configured")
            so_far = by_host.get(host, Backlog(0, 0.0, 0))
            by_host[host] = Backlog(
                so_far.waiting + more.waiting,
                max(so_far.oldest_seconds, more.oldest_seconds),
                so_far.set_aside + more.set_aside,
            )
        return by_host

    async def close(self) -> None:
        await asyncio.gather(self._database.close(), self._redis.close(), self._backlogs.close())


def _found(what: str, backlog: Backlog, *labels: str) -> Iterator[Found]:
    yield Found(f"{what}_waiting", backlog.waiting, labels)
    yield Found(f"{what}_oldest_age_seconds", backlog.oldest_seconds, labels)
    yield Found(f"{what}_set_aside", backlog.set_aside, labels)
