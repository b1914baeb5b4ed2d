"""Leases on due rows: one worker gets each row, none waits for another, and those of a dead worker expire."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.database.database import Database
from myaccount.database.leases import lease_due
from myaccount.listener import relay as listener_module
from myaccount.listener.live_notifications import LiveNotifications
from myaccount.listener.queues import MemoryQueue, QueueMessage
from myaccount.listener.redis_queue import GROUP, RedisQueue, _queue_messages
from myaccount.listener.relay import Relay
from myaccount.model.outbox import event
from myaccount.settings.schema import Config

from ..conftest import Section
from ..helpers.servers import Redis

NOW = datetime(2026, 1, 1)


@pytest.fixture
def queue() -> Section:
    # Only the tests take rows.
    return {"listener": {"enabled": False}}


async def _plant(database: Database, count: int) -> list[int]:
    row = {"body": "[]", "attempts": 0, "due_at": NOW, "created_at": NOW}
    await database.write(lambda connection: connection.execute(event.insert(), [row] * count))
    return list((await database.read(lambda c: c.execute(select(event.c.id).order_by(event.c.id)))).scalars())


async def _take(connection: Any) -> list[int]:
    return [row.id for row in await lease_due(connection, event, NOW, 10, 60)]


class Interrupted:
    """A connection that runs something else after its first statement."""

    def __init__(self, connection: AsyncConnection, meanwhile: Any) -> None:
        self._connection = connection
        self._meanwhile = meanwhile

    async def execute(self, *arguments: Any) -> Any:
        result = await self._connection.execute(*arguments)
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile:
            await meanwhile()
        return result


async def test_a_leased_row_is_not_leased_again(client: Any, database: Database) -> None:
    ids = await _plant(database, 2)
    assert await database.write(_take) == ids
    assert await database.write(_take) == []


async def test_the_sweeper_does_not_take_again_what_it_has_leased(
    monkeypatch: pytest.MonkeyPatch, client: Any, database: Database
) -> None:
    monkeypatch.setattr(listener_module, "SWEEP_SECONDS", 0)
    monkeypatch.setattr(listener_module, "RESEND_SECONDS", 600)
    await _plant(database, 2)
    dispatched: list[int] = []

    async def dispatch(self: Relay, event_ids: list[int]) -> None:
        dispatched.extend(event_ids)

    monkeypatch.setattr(Relay, "_dispatch", dispatch)
    for _ in range(2):
        await Relay(database, MemoryQueue(), LiveNotifications(), [])._sweep()
    assert len(dispatched) == 2


class TestMariaDB:
    """Not on the embedded file, where one writer at a time excludes these races."""

    @pytest.fixture
    def backend(self, mysql_section: Section) -> Section:
        return {"mysql": mysql_section}

    async def test_a_row_that_another_worker_leased_between_finding_and_locking_is_not_leased(
        self, client: Any, database: Database
    ) -> None:
        ids = await _plant(database, 2)

        async def work(connection: AsyncConnection) -> list[int]:
            async def another() -> None:
                assert await database.write(_take) == ids

            return await _take(Interrupted(connection, another))

        assert await database.write(work) == []

    async def test_a_row_that_another_transaction_has_locked_is_skipped(
        self, client: Any, database: Database
    ) -> None:
        first, *others = await _plant(database, 3)

        async def work(connection: AsyncConnection) -> list[int]:
            await connection.execute(update(event).where(event.c.id == first).values(attempts=1))
            # Without skipping, it would wait for this very transaction.
            return await database.write(_take)

        assert await database.write(work) == others


class TestRedis:
    @pytest.fixture
    def backend(self) -> Section:
        return {}

    @pytest.fixture
    def queue(self, redis_section: Section) -> Section:
        return {"redis": redis_section, "listener": {"enabled": False}}

    async def test_messages_of_a_dead_consumer_go_to_another(
        self, monkeypatch: pytest.MonkeyPatch, config: Config, redis_server: Redis
    ) -> None:
        async def name() -> str:
            return "stream"

        monkeypatch.setattr("myaccount.listener.redis_queue.DEAD_MILLISECONDS", 0)
        with redis_server.client() as redis:
            redis.xgroup_create("stream", GROUP, id="0", mkstream=True)
            entry_id = str(redis.xadd("stream", {"event": 7}))
            assert redis.xreadgroup(GROUP, "dead", {"stream": ">"})
        async with RedisQueue(config["redis"], name) as queue, asyncio.timeout(60):
            # It returns nothing when Redis did not answer in time.
            while not (taken := await queue.take()):
                pass
            assert taken == [QueueMessage(7, entry_id)]

    async def test_trimmed_messages_of_a_dead_consumer_are_ignored(
        self, config: Config, redis_server: Redis
    ) -> None:
        with redis_server.client() as redis:
            redis.xgroup_create("stream", GROUP, id="0", mkstream=True)
            redis.xadd("stream", {"event": 7})
            redis.xreadgroup(GROUP, "dead", {"stream": ">"})
            redis.xtrim("stream", maxlen=0)
            # Redis 6 returns such entries to a consumer that claims them, newer ones only to the consumer itself.
            ((_, entries),) = redis.xreadgroup(GROUP, "dead", {"stream": "0"})
            assert len(entries) == 1
            assert _queue_messages(entries) == []
            assert _queue_messages([("1-0", {"event": "7"}), *entries]) == [QueueMessage(7, "1-0")]
