"""Events are dispatched without a working Redis, and readiness and metrics say what is wrong with it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount import main as main_module
from myaccount.appkeys import database_key, health_key, notifications_key, queue_key
from myaccount.database.database import Database, open_database
from myaccount.database.leases import lease_due
from myaccount.errors import Unavailable
from myaccount.listener import live_notifications as live_module
from myaccount.listener import redis_notifications as notifications_module
from myaccount.listener import redis_queue as redis_queue_module
from myaccount.listener import relay as relay_module
from myaccount.listener import repeating as repeating_module
from myaccount.listener.redis_notifications import RedisLiveNotifications
from myaccount.listener.redis_queue import RedisQueue
from myaccount.listener.repeating import repeat
from myaccount.main import create_app, redis_name
from myaccount.migrations.startup import find_schema_time, prepare_schema
from myaccount.model.inbox import message
from myaccount.model.outbox import event
from myaccount.outbox import events as events_module
from myaccount.settings.paths import resource
from myaccount.settings.schema import Config

from ..conftest import Client, ClientOf, Section, Server, eventually
from ..helpers.actions import open_users, send
from ..helpers.servers import MariaDB, Redis


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A separate server, since the tests make it refuse commands."""
    server = Redis(tmp_path_factory.mktemp("refusing") / "redis").start()
    yield server
    server.kill()


@pytest.fixture
def queue(redis_section: Section) -> Section:
    return {"redis": redis_section}


@pytest.fixture
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(events_module, "RESEND_SECONDS", 0.1)


async def _until_dispatched(database: Database, *user_ids: str) -> None:
    async def dispatched() -> bool:
        readers = await database.read(lambda c: c.execute(select(message.c.reader_id)))
        return set(user_ids) <= set(readers.scalars())

    await eventually(dispatched)


async def _until_redis_is(client: Client, state: str) -> None:
    async def said() -> bool:
        return state in (await client.app[health_key].readiness()).redis

    await eventually(said)


async def _redis_is_up(client: Client) -> bool:
    return {found.name: found.value for found in await client.app[health_key].samples()}["redis_up"] == 1


def _out_of_memory(redis: Any, stream: str) -> Callable[[], Any]:
    redis.config_set("maxmemory", "1mb")
    return lambda: redis.config_set("maxmemory", "0")


def _wrong_type(redis: Any, stream: str) -> Callable[[], Any]:
    redis.set(stream, "x")
    return lambda: redis.delete(stream)


def _read_only(redis: Any, stream: str) -> Callable[[], Any]:
    redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    return lambda: redis.execute_command("REPLICAOF", "NO", "ONE")


def _no_permission_to_write(redis: Any, stream: str) -> Callable[[], Any]:
    redis.execute_command("ACL", "SETUSER", "default", "-xadd")
    return lambda: redis.execute_command("ACL", "SETUSER", "default", "+@all")


def _no_permission_to_read(redis: Any, stream: str) -> Callable[[], Any]:
    redis.execute_command("ACL", "SETUSER", "default", "-xreadgroup")
    return lambda: redis.execute_command("ACL", "SETUSER", "default", "+@all")


@pytest.mark.parametrize(
    ("refuse", "state"),
    [
        (_out_of_memory, "refuses events: command not allowed when used memory"),
        (_wrong_type, "refuses events: WRONGTYPE"),
        (_read_only, "refuses events: You can't write against a read only replica"),
        (_no_permission_to_write, "refuses events: this user has no permissions to run the 'xadd' command"),
        (_no_permission_to_read, "does not give events: this user has no permissions to run"),
    ],
)
async def test_while_redis_refuses_commands_events_are_dispatched_and_readiness_says_what_is_refused(
    quick_sweeps: None,
    client: Client,
    database: Database,
    redis_server: Redis,
    refuse: Callable[[Any, str], Callable[[], Any]],
    state: str,
) -> None:
    await open_users(client, "u1")
    await _until_dispatched(database, "u1")
    await _until_redis_is(client, "ok")
    await eventually(lambda: _redis_is_up(client))
    with redis_server.client() as redis:
        end = refuse(redis, await redis_name(database, "events"))
        try:
            await open_users(client, "u2", "u3")
            await _until_dispatched(database, "u2", "u3")
            await _until_redis_is(client, state)
            assert not await _redis_is_up(client)
        finally:
            end()
    await _until_redis_is(client, "ok")


@pytest.mark.parametrize("fault", ["kill", "pause"])
async def test_while_redis_is_away_events_are_dispatched(
    quick_sweeps: None, client: Client, database: Database, redis_server: Redis, fault: str
) -> None:
    await _until_redis_is(client, "ok")
    getattr(redis_server, fault)()
    try:
        await open_users(client, "u1", "u2")
        await _until_dispatched(database, "u1", "u2")
        await _until_redis_is(client, "away")
    finally:
        if fault == "kill":
            await asyncio.to_thread(redis_server.start)
        else:
            redis_server.resume()
    await _until_redis_is(client, "ok")


def test_events_that_the_queue_loses_are_dispatched_within_five_seconds() -> None:
    assert events_module.RESEND_SECONDS + relay_module.SWEEP_SECONDS <= 4


def _no_permission_to_publish(redis: Redis) -> Callable[[], Any]:
    with redis.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-publish")

    def end() -> None:
        with redis.client() as client:
            client.execute_command("ACL", "SETUSER", "default", "+@all")

    return end


def _killed(redis: Redis) -> Callable[[], Any]:
    redis.kill()
    return redis.start


def _paused(redis: Redis) -> Callable[[], Any]:
    redis.pause()
    return redis.resume


@pytest.mark.parametrize("fault", [_killed, _paused, _no_permission_to_publish])
async def test_without_redis_a_stream_in_another_process_gets_its_messages(
    fault: Callable[[Redis], Callable[[], Any]],
    quick_sweeps: None,
    monkeypatch: pytest.MonkeyPatch,
    config: Config,
    redis_server: Redis,
) -> None:
    monkeypatch.setattr(live_module, "NOTIFY_ALL_SECONDS", 3600)
    monkeypatch.setattr(notifications_module, "QUIET_SECONDS", 0.2)
    monkeypatch.setattr(notifications_module, "POLL_SECONDS", 0.1)
    reading_config: Any = {**config, "listener": {"enabled": False}}
    async with (
        Server(create_app(config)) as writing,
        Server(create_app(reading_config)) as reading,
        ClientOf(writing) as one,
        ClientOf(reading) as other,
    ):
        await open_users(one, "u1")
        await _until_dispatched(one.app[database_key], "u1")
        live = other.app[notifications_key]
        assert isinstance(live, RedisLiveNotifications)
        await eventually(lambda: live._connected)
        async with other.get("/messages/stream", params={"userId": "u1"}) as response:
            await response.content.readuntil(b"\n\n")
            end = fault(redis_server)
            try:
                await send(one, "/recharge", orderId="r1", userId="u1", amount="1")
                async with asyncio.timeout(60):
                    assert b'"r1"' in await response.content.readuntil(b"\r\n\r\n")
                await eventually(lambda: not live._connected)
            finally:
                await asyncio.to_thread(end)
            await eventually(lambda: live._connected)


async def test_streams_do_not_poll_while_redis_works(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    live = client.app[notifications_key]
    assert isinstance(live, RedisLiveNotifications)
    monkeypatch.setattr(notifications_module, "POLL_SECONDS", 0)
    await eventually(lambda: live._connected)
    with live.subscribe("u1") as notified:
        await live._poll()
        assert not notified.is_set()
        live._connected = False
        await live._poll()
        assert notified.is_set()


def test_messages_reach_the_streams_of_every_process_within_five_seconds_without_redis() -> None:
    dispatched_seconds = events_module.RESEND_SECONDS + relay_module.SWEEP_SECONDS
    noticed_seconds = notifications_module.QUIET_SECONDS + notifications_module.CHECK_SECONDS
    assert max(dispatched_seconds, noticed_seconds) + notifications_module.POLL_SECONDS <= 5


async def test_the_probe_of_redis_adds_no_entry(client: Client, database: Database, redis_server: Redis) -> None:
    await open_users(client, "u1")
    await _until_dispatched(database, "u1")
    with redis_server.client() as redis:
        stream = await redis_name(database, "events")
        before = redis.xinfo_stream(stream)["last-generated-id"]
        for _ in range(3):
            assert await client.app[queue_key].redis_state() == "ok"
        assert redis.xinfo_stream(stream)["last-generated-id"] == before


async def test_with_a_working_queue_the_sweeper_leases_nothing(
    monkeypatch: pytest.MonkeyPatch, client: Client, database: Database
) -> None:
    """So no event is dispatched twice."""
    by_sweeper: list[int] = []

    async def noted(*arguments: Any, **named: Any) -> Any:
        rows = await lease_due(*arguments, **named)
        by_sweeper.extend(row.id for row in rows)
        return rows

    monkeypatch.setattr(relay_module, "lease_due", noted)
    monkeypatch.setattr(relay_module, "SWEEP_SECONDS", 0.05)
    # However slow the machine is.
    monkeypatch.setattr(events_module, "RESEND_SECONDS", 30)
    users = [f"u{n}" for n in range(20)]
    await open_users(client, *users)
    await _until_dispatched(database, *users)
    assert by_sweeper == []


async def _names(*databases: Database) -> list[str]:
    return [await redis_name(database, "events") for database in databases]


async def test_databases_with_the_same_name_have_different_names_in_redis(
    backend: Section, config: Config, mariadb: MariaDB, tmp_path: Path
) -> None:
    other: Config = {**config, "sqlite_file": str(tmp_path / "other.db")}
    if backend:
        other["mysql"] = config["mysql"] | {"db": mariadb.new_database()}
        mariadb.run_script(other["mysql"]["db"], resource("sql/sql.sql"))
    async with (
        open_database(config, Path(config["sqlite_file"])) as one,
        open_database(config, Path(config["sqlite_file"])) as same,
        open_database(other, Path(other["sqlite_file"])) as another,
    ):
        for database in (one, same, another):
            await prepare_schema(database)
        another.name = one.name
        names = await _names(one, same, another)
        assert names[0] == names[1] != names[2]


async def test_a_process_that_starts_without_its_database_uses_the_queue_later(
    monkeypatch: pytest.MonkeyPatch, config: Config, aiohttp_client: Any, redis_server: Redis
) -> None:
    # Without the sweeper.
    monkeypatch.setattr(events_module, "RESEND_SECONDS", 3600)
    monkeypatch.setattr(repeating_module, "AFTER_FAULT_SECONDS", 0.05)
    asked = 0

    async def away(connection: AsyncConnection) -> Any:
        nonlocal asked
        asked += 1
        if asked <= 6:
            raise Unavailable("away")
        return await find_schema_time(connection)

    monkeypatch.setattr(main_module, "find_schema_time", away)
    client = await aiohttp_client(Server(create_app(config, database_needed=False)))
    async with open_database(config, Path(config["sqlite_file"])) as database:
        assert await client.app[queue_key].redis_state() == "ok"
        await eventually(lambda: asked > 6)
        await open_users(client, "u1")
        await _until_dispatched(database, "u1")
        with redis_server.client() as redis:
            assert await redis_name(database, "events") in redis.keys("*")


async def test_an_unexpected_error_does_not_end_the_sender(
    monkeypatch: pytest.MonkeyPatch, client: Client, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(repeating_module, "AFTER_FAULT_SECONDS", 0.05)
    queue = client.app[queue_key]
    assert isinstance(queue, RedisQueue)
    original, failed = queue._add, asyncio.Event()

    async def add(event_ids: Sequence[int]) -> None:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("nobody expected this")
        await original(event_ids)

    monkeypatch.setattr(queue, "_add", add)
    # Without the sweeper, the second event can come only through the queue.
    monkeypatch.setattr(events_module, "RESEND_SECONDS", 3600)
    await open_users(client, "u1")
    # Sent together with the first, the second would be lost with it.
    await failed.wait()
    await open_users(client, "u2")
    await _until_dispatched(database, "u2")
    assert "event sender failed unexpectedly" in caplog.text


async def test_work_that_is_repeated_ends_when_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if a library turns the cancellation into another error."""
    began = asyncio.Event()

    async def swallow() -> None:
        began.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise OSError("cut off") from None

    task = asyncio.create_task(repeat("work", swallow))
    await began.wait()
    task.cancel()
    await asyncio.wait([task], timeout=10)
    assert task.cancelled()


async def test_a_queue_message_is_acknowledged_after_its_event_was_dispatched_and_not_before(
    monkeypatch: pytest.MonkeyPatch, client: Client, database: Database, redis_server: Redis
) -> None:
    monkeypatch.setattr(events_module, "RESEND_SECONDS", 3600)
    delivering, go_on = asyncio.Event(), asyncio.Event()
    original: Callable[..., Awaitable[None]] = relay_module.Relay._dispatch

    async def dispatch(self: relay_module.Relay, event_ids: Any) -> None:
        delivering.set()
        await go_on.wait()
        await original(self, event_ids)

    monkeypatch.setattr(relay_module.Relay, "_dispatch", dispatch)
    await open_users(client, "u1")
    await delivering.wait()
    stream = await redis_name(database, "events")

    def pending() -> int:
        with redis_server.client() as redis:
            found: int = redis.xpending(stream, redis_queue_module.GROUP)["pending"]
        return found

    assert pending() == 1
    go_on.set()
    await eventually(lambda: pending() == 0)
    assert not list(await database.read(lambda c: c.execute(select(event.c.id))))
