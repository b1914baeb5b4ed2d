"""Each committed change is dispatched once, whatever the queue loses (promise 7). On both backends and queues."""

import asyncio
import json
from collections import Counter
from datetime import datetime
from typing import Any, cast

import pytest
from sqlalchemy import select

from myaccount.appkeys import database_key
from myaccount.database import leases as leases_module
from myaccount.database.database import Database
from myaccount.ledger.changes import Change
from myaccount.listener import redis_queue as redis_queue_module
from myaccount.listener import relay as relay_module
from myaccount.listener.live_notifications import LiveNotifications
from myaccount.listener.queues import MemoryQueue
from myaccount.main import create_app
from myaccount.model.outbox import event
from myaccount.outbox import events as events_module
from myaccount.outbox import fan_out as fan_out_module
from myaccount.outbox.dead_letters import resend_named
from myaccount.outbox.events import event_body
from myaccount.outbox.fan_out import Dispatched, fan_out
from myaccount.settings.schema import Config

from ..conftest import Client, ClientOf, Section, Server, eventually
from ..helpers.actions import open_users, send
from ..helpers.inboxes import read_inboxes
from ..helpers.servers import Redis


@pytest.fixture(params=["memory", "redis"])
def queue(request: pytest.FixtureRequest) -> Section:
    return {} if request.param == "memory" else {"redis": request.getfixturevalue("redis_section")}


@pytest.fixture
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(events_module, "RESEND_SECONDS", 0.1)
    monkeypatch.setattr(leases_module, "FIRST_PAUSE_SECONDS", 0.05)


async def _events(database: Database) -> list[Any]:
    return list(await database.read(lambda connection: connection.execute(select(event))))


async def _until_dispatched(database: Database) -> None:
    async def dispatched() -> bool:
        return not await _events(database)

    await eventually(dispatched)


async def _until_dead_letters(database: Database) -> Any:
    async def dead_letters() -> bool:
        return any(row.due_at is None for row in await _events(database))

    await eventually(dead_letters)
    (row,) = [row for row in await _events(database) if row.due_at is None]
    return row


async def _messages(database: Database) -> Counter[tuple[str, str, str]]:
    """Return the numbers of messages by reader, message type and source, once the inboxes were read."""
    rows = await read_inboxes(database)
    return Counter((row.reader_id, row.message_type, row.source_id) for row in rows)


async def _plant(database: Database, body: str, due_at: datetime = datetime(2026, 1, 1)) -> int:
    """Insert an event that is due, or will be, with any body."""
    row = {"body": body, "attempts": 0, "due_at": due_at, "created_at": datetime(2026, 1, 1)}
    result = await database.write(lambda connection: connection.execute(event.insert(), row))
    return int(cast("Any", result).inserted_primary_key[0])


async def test_each_change_is_dispatched_once_and_its_event_is_deleted(client: Client, database: Database) -> None:
    await open_users(client, "u1", "u2")
    await send(client, "/recharge", orderId="r1", userId="u1", amount="10")
    transfers = [
        send(client, "/transfer", orderId=f"t{n}", fromuserId="u1", touserId="u2", amount="1") for n in range(12)
    ]
    answers = Counter(status for status, *_ in await asyncio.gather(*transfers))
    assert answers == {200: 10, 409: 2}
    await _until_dispatched(database)
    messages = await _messages(database)
    assert set(messages.values()) == {1}
    assert Counter((reader, type_) for reader, type_, _ in messages) == {
        ("u1", "account_opened"): 1,
        ("u2", "account_opened"): 1,
        ("u1", "recharge"): 1,
        ("u1", "transfer_out"): 10,
        ("u2", "transfer_in"): 10,
        ("u1", "decline"): 2,
    }


async def test_a_refused_request_is_not_dispatched(client: Client, database: Database) -> None:
    await open_users(client, "u1")
    await send(client, "/recharge", orderId="r1", userId="nobody", amount="1")
    status, _, _ = await send(
        client, "/openacc", userId="u1", userName="N", sex="F", cardNum="1", accountId="a2", accountType="01"
    )
    assert status == 409
    await _until_dispatched(database)
    assert await _messages(database) == {("u1", "account_opened", "a-u1"): 1}


async def test_an_event_that_always_fails_becomes_a_dead_letter_and_later_ones_are_dispatched(
    quick_sweeps: None, monkeypatch: pytest.MonkeyPatch, client: Client, database: Database
) -> None:
    monkeypatch.setattr(relay_module, "ATTEMPTS", 3)
    poison = await _plant(database, "{")
    row = await _until_dead_letters(database)
    assert (row.id, row.attempts) == (poison, 3)
    assert row.error.startswith("JSONDecodeError: ")
    await open_users(client, "u1")
    await send(client, "/recharge", orderId="r1", userId="u1", amount="1")

    async def only_it_is_left() -> bool:
        return [row.id for row in await _events(database)] == [poison]

    await eventually(only_it_is_left)
    assert ("u1", "recharge", "r1") in await _messages(database)
    # A queue message does not dispatch the dead letter again; only resending does.
    done = await database.write(lambda c: fan_out(c, [poison], {}, datetime(2999, 1, 1)))
    assert done == Dispatched(0, set(), set(), [])
    assert [row.id for row in await _events(database)] == [poison]
    await database.write(lambda c: c.execute(event.update().values(body="[]")))
    assert (await resend_named(database, f"event-{poison}")).rows == 1
    await _until_dispatched(database)


async def test_a_change_that_was_dispatched_before_becomes_a_dead_letter_and_no_second_message(
    quick_sweeps: None, monkeypatch: pytest.MonkeyPatch, client: Client, database: Database
) -> None:
    """The unique key prevents it, whatever else fails."""
    monkeypatch.setattr(relay_module, "ATTEMPTS", 1)
    await open_users(client, "u1")
    held = Change("hold", "h1", "u1", "u1", 1, from_account_id="a-u1", to_account_id="a-u1")
    await _plant(database, event_body([held]))
    await _until_dispatched(database)
    await _plant(database, event_body([held]))
    row = await _until_dead_letters(database)
    assert "IntegrityError" in row.error
    assert (await _messages(database))["u1", "hold", "h1"] == 1


async def test_a_poison_event_does_not_delay_the_others_of_its_batch(client: Client, database: Database) -> None:
    await open_users(client, "u1", "u2")
    await _until_dispatched(database)
    relay = relay_module.Relay(database, MemoryQueue(), LiveNotifications(), [])
    bodies = [json.dumps([["recharge", f"r{n}", "", "u1", 100, -100, 100, None]]) for n in range(3)]
    # The service's own sweeper does not find them.
    later = datetime(2999, 1, 1)
    ids = [await _plant(database, body, later) for body in [*bodies[:2], "[[]]", bodies[2]]]
    await relay._dispatch(ids)
    messages = await _messages(database)
    assert [messages["u1", "recharge", f"r{n}"] for n in range(3)] == [1, 1, 1]


async def test_a_large_event_is_dispatched_in_parts(
    monkeypatch: pytest.MonkeyPatch, client: Client, database: Database
) -> None:
    monkeypatch.setattr(fan_out_module, "MESSAGES_LIMIT", 3)
    monkeypatch.setattr(fan_out_module, "CHANGES_LIMIT", 4)
    monkeypatch.setattr(fan_out_module, "EMBEDDED_CHANGES_LIMIT", 4)
    await open_users(client, "u1", "u2")
    await _until_dispatched(database)
    holds = [
        Change("hold", f"h{n}", "u1", "u2", 1, from_account_id="a-u1", to_account_id="a-u2") for n in range(20)
    ]
    await _plant(database, event_body(holds))
    await _until_dispatched(database)
    messages = await _messages(database)
    assert [messages["u1", "hold", f"h{n}"] for n in range(20)] == [1] * 20


async def test_pending_events_of_a_stopped_service_are_dispatched_by_the_next(
    quick_sweeps: None, config: Config
) -> None:
    config["listener"]["enabled"] = False
    async with Server(create_app(config)) as server, ClientOf(server) as client:
        await open_users(client, "u1")
        assert len(await _events(cast("Any", server).app[database_key])) == 1
    config["listener"]["enabled"] = True
    app = create_app(config)
    async with Server(app):
        await _until_dispatched(app[database_key])
        assert await _messages(app[database_key]) == {("u1", "account_opened", "a-u1"): 1}


class TestRedis:
    @pytest.fixture
    def queue(self, redis_section: Section) -> Section:
        return {"redis": redis_section}

    @staticmethod
    def _stream(redis_server: Redis) -> str:
        with redis_server.client() as redis:
            (stream,) = cast("list[str]", redis.keys("myaccount:*:events"))
        return stream

    async def _until_carried(self, redis_server: Redis, count: int) -> None:
        def carried() -> bool:
            with redis_server.client() as redis:
                return bool(redis.keys("*")) and redis.xlen(self._stream(redis_server)) >= count

        await eventually(carried)

    async def test_events_that_redis_lost_are_dispatched(
        self, quick_sweeps: None, config: Config, redis_server: Redis
    ) -> None:
        config["listener"]["enabled"] = False
        app = create_app(config)
        async with Server(app) as server, ClientOf(server) as client:
            await open_users(client, "u1", "u2")

            await self._until_carried(redis_server, 2)
            with redis_server.client() as redis:
                redis.flushall()
            config["listener"]["enabled"] = True
            async with Server(create_app(config)):
                await _until_dispatched(app[database_key])
            assert set((await _messages(app[database_key])).values()) == {1}

    async def test_orders_are_accepted_while_redis_is_away_and_dispatched_later(
        self, redis_server: Redis, config: Config
    ) -> None:
        redis_server.kill()
        app = create_app(config)
        try:
            async with Server(app) as server, ClientOf(server) as client:
                await open_users(client, "u1", "u2")
                assert (await send(client, "/recharge", orderId="r", userId="u1", amount="1"))[0] == 200
                assert await _events(app[database_key])
                redis_server.start()
                await _until_dispatched(app[database_key])
        finally:
            redis_server.kill()
            redis_server.start()

    async def test_foreign_entries_of_the_stream_are_skipped(
        self, client: Client, database: Database, redis_server: Redis
    ) -> None:
        await open_users(client, "u1")
        await _until_dispatched(database)
        with redis_server.client() as redis:
            redis.xadd(self._stream(redis_server), {"something": "else"})
            redis.xadd(self._stream(redis_server), {"event": "x"})
        await open_users(client, "u2")
        await _until_dispatched(database)
        assert sum((await _messages(database)).values()) == 2

    async def test_several_processes_share_the_events_and_leave_none_pending(
        self, config: Config, redis_server: Redis
    ) -> None:
        # One connection must be enough for concurrent acknowledgements.
        config["redis"]["maxsize"] = 1
        users = [f"u{n}" for n in range(40)]
        app = create_app(config)
        async with Server(app) as one, Server(create_app(config)), ClientOf(one) as client:
            await open_users(client, *users)
            await _until_dispatched(app[database_key])
            assert set((await _messages(app[database_key])).values()) == {1}

            def acknowledged() -> bool:
                with redis_server.client() as redis:
                    (group,) = cast("list[dict[str, object]]", redis.xinfo_groups(self._stream(redis_server)))
                return (group["pending"], group["lag"]) == (0, 0)

            await eventually(acknowledged)

    async def test_messages_of_a_dead_consumer_are_taken_over_and_the_consumer_is_removed(
        self, monkeypatch: pytest.MonkeyPatch, config: Config, redis_server: Redis
    ) -> None:
        # Without the sweeper, which would dispatch these events as well.
        monkeypatch.setattr(relay_module, "SWEEP_SECONDS", 3600)
        monkeypatch.setattr(redis_queue_module, "DEAD_MILLISECONDS", 200)
        monkeypatch.setattr(redis_queue_module, "CLAIM_SECONDS", 0.1)
        config["listener"]["enabled"] = False
        app = create_app(config)
        async with Server(app) as server, ClientOf(server) as client:
            await open_users(client, "u1", "u2")

            await self._until_carried(redis_server, 2)
            stream = self._stream(redis_server)
            with redis_server.client() as redis:
                redis.xgroup_create(stream, redis_queue_module.GROUP, id="0")
                taken = redis.xreadgroup(redis_queue_module.GROUP, "dead", {stream: ">"})
                assert taken
            config["listener"]["enabled"] = True
            async with Server(create_app(config)):
                await _until_dispatched(app[database_key])

                def dead_consumer_is_removed() -> bool:
                    with redis_server.client() as redis:
                        readers = cast("list[Any]", redis.xinfo_consumers(stream, redis_queue_module.GROUP))
                    return [reader["pending"] for reader in readers if reader["name"] == "dead"] == []

                await eventually(dead_consumer_is_removed)

    async def test_the_stream_is_trimmed(
        self, monkeypatch: pytest.MonkeyPatch, client: Client, database: Database, redis_server: Redis
    ) -> None:
        monkeypatch.setattr(redis_queue_module, "STREAM_LIMIT", 5)
        await open_users(client, *[f"u{n}" for n in range(150)])
        await _until_dispatched(database)
        with redis_server.client() as redis:
            # Redis trims whole nodes of 100 entries.
            assert cast("int", redis.xlen(self._stream(redis_server))) < 150


async def test_events_that_the_sweeper_leased_are_not_leased_again_at_once(
    client: Client, database: Database
) -> None:
    later = datetime(2999, 1, 1)
    row = {"body": "[]", "attempts": 0, "due_at": later, "created_at": later}
    await database.write(lambda connection: connection.execute(event.insert(), row))
    taken = [await database.write(lambda c: leases_module.lease_due(c, event, later, 10, 5)) for _ in range(2)]
    assert [len(rows) for rows in taken] == [1, 0]
