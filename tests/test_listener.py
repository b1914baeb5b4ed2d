"""Opening an account is told, whatever the queue loses (promise 7): on both backends and both queues."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlalchemy import select

from myaccount.configuration import CONFIGURATION, Config
from myaccount.listener import listener as listener_module
from myaccount.main import create_app
from myaccount.model.tables import event
from myaccount.store import events as events_module
from myaccount.store.database import Database, open_database

from .actions import open_users
from .conftest import Client, Section, Server, eventually
from .servers import Redis, free_port

WAIT_SECONDS = 20


class Receiver:
    """A real HTTP server that is called; `called` fills with the user ids, `answers` says with what status."""

    def __init__(self) -> None:
        self.called: asyncio.Queue[str] = asyncio.Queue()
        self.answers: list[int] = []

    async def answer(self, request: web.Request) -> web.Response:
        status = self.answers.pop(0) if self.answers else 200
        self.called.put_nowait(request.query["userId"])
        # Where a redirect leads, everything succeeds.
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else None)

    async def next_call(self) -> str:
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.called.get()


async def _succeed(request: web.Request) -> web.Response:
    return web.Response()


@pytest.fixture
async def receiver(
    aiohttp_server: Callable[..., Awaitable[TestServer]],
) -> tuple[Receiver, str]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_get("/opened", receiver.answer)
    app.router.add_get("/elsewhere", _succeed)
    server = await aiohttp_server(app)
    return receiver, str(server.make_url("/opened"))


@pytest.fixture(params=["memory", "redis"])
def queue(request: pytest.FixtureRequest) -> Section:
    return {} if request.param == "memory" else {"redis": request.getfixturevalue("redis_section")}


@pytest.fixture
def config(backend: Section, queue: Section, receiver: tuple[Receiver, str], tmp_path: Path) -> Config:
    files = {"sqlite_file": str(tmp_path / "myaccount.db"), "log_folder": str(tmp_path)}
    checked: Config = CONFIGURATION.check(
        files | backend | queue | {"port": free_port(), "listener": {"url": receiver[1]}}
    )
    return checked


@pytest.fixture
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(events_module, "RESEND_SECONDS", 0.1)


async def _events(database: Database) -> list[Any]:
    return list(await database.read(lambda connection: connection.execute(select(event))))


async def _until_told(database: Database) -> None:
    async def told() -> bool:
        return not await _events(database)

    await eventually(told)


async def test_each_opening_is_told_and_its_event_is_gone(
    client: Client, database: Database, receiver: tuple[Receiver, str]
) -> None:
    users = [f"u{n}" for n in range(5)]
    for user in users:
        await open_users(client, user)
        assert await receiver[0].next_call() == user
    await _until_told(database)
    assert receiver[0].called.empty()


async def test_an_opening_that_was_refused_is_not_told(client: Client, receiver: tuple[Receiver, str]) -> None:
    await open_users(client, "u1")
    fields = {
        "userId": "u1",
        "userName": "N",
        "sex": "F",
        "cardNum": "1",
        "accountId": "a2",
        "accountType": "01",
    }
    async with client.post("/openacc", data=fields) as response:
        assert response.status == 409
    await open_users(client, "u2")
    # Several are handled at once, so either may come first.
    assert sorted([await receiver[0].next_call(), await receiver[0].next_call()]) == ["u1", "u2"]


async def test_a_receiver_that_fails_is_called_again_until_it_succeeds(
    quick_sweeps: None, client: Client, database: Database, receiver: tuple[Receiver, str]
) -> None:
    receiver[0].answers = [500, 302]
    await open_users(client, "u1")
    assert [await receiver[0].next_call() for _ in range(3)] == ["u1"] * 3
    await _until_told(database)


async def test_an_event_that_always_fails_is_set_aside_with_its_error_and_the_rest_flows_on(
    quick_sweeps: None,
    monkeypatch: pytest.MonkeyPatch,
    client: Client,
    database: Database,
    receiver: tuple[Receiver, str],
) -> None:
    monkeypatch.setattr(events_module, "ATTEMPTS", 2)
    receiver[0].answers = [500, 500]
    await open_users(client, "u1")
    assert [await receiver[0].next_call() for _ in range(2)] == ["u1"] * 2
    await open_users(client, "u2")
    assert await receiver[0].next_call() == "u2"

    async def set_aside() -> bool:
        return [row.set_aside_at is not None for row in await _events(database)] == [True]

    await eventually(set_aside)
    (row,) = await _events(database)
    assert row.attempts == 2
    assert row.error.endswith("answered 500")
    # It is not sent again, however often the sweeper looks, not even to whoever has word of it.
    assert await database.write(lambda connection: events_module.take_due_events(connection, row.due_at)) == []
    assert await database.read(lambda connection: events_module.find_event(connection, row.id)) is None


async def test_the_pauses_between_the_attempts_grow_to_about_a_day(client: Client, database: Database) -> None:
    now = datetime(2026, 1, 1)
    row = {"event_type": "none", "body": "{}", "attempts": 0, "due_at": datetime(2999, 1, 1), "created_at": now}
    await database.write(lambda connection: connection.execute(event.insert(), row))
    (id_,) = [row.id for row in await _events(database)]
    pauses = []
    for _ in range(events_module.ATTEMPTS):
        await database.write(lambda connection: events_module.postpone_event(connection, id_, "no", now))
        (row_now,) = await _events(database)
        pauses.append((row_now.due_at - now).total_seconds())
    assert pauses[:4] == [5, 10, 20, 40]
    assert 20 * 3600 < sum(pauses[:-1]) < 28 * 3600
    assert row_now.set_aside_at == now


async def test_an_event_whose_body_is_broken_is_postponed_and_the_rest_flows_on(
    quick_sweeps: None, client: Client, database: Database, receiver: tuple[Receiver, str]
) -> None:
    now = datetime(2026, 1, 1)
    row = {"event_type": "account_opened", "body": "{", "attempts": 0, "due_at": now, "created_at": now}
    await database.write(lambda connection: connection.execute(event.insert(), row))

    async def tried() -> bool:
        (row,) = await _events(database)
        return bool(row.attempts)

    await eventually(tried)
    await open_users(client, "u1")
    assert await receiver[0].next_call() == "u1"


async def test_what_a_stopped_service_had_not_told_is_told_by_the_next(
    quick_sweeps: None, config: Config, receiver: tuple[Receiver, str]
) -> None:
    receiver[0].answers = [500] * 1000
    async with Server(create_app(config)) as server, ClientOf(server) as client:
        await open_users(client, "u1")
        await receiver[0].next_call()
    receiver[0].answers.clear()
    receiver[0].called = asyncio.Queue()
    async with Server(create_app(config)):
        assert await receiver[0].next_call() == "u1"


class ClientOf(Client):
    """A client whose server is another's to close."""

    async def close(self) -> None:
        await self.session.close()


class TestRedis:
    @pytest.fixture
    def queue(self, redis_section: Section) -> Section:
        return {"redis": redis_section}

    async def test_what_redis_forgot_is_sent_again(
        self,
        quick_sweeps: None,
        client: Client,
        database: Database,
        receiver: tuple[Receiver, str],
        redis_server: Redis,
    ) -> None:
        receiver[0].answers = [500]
        await open_users(client, "u1")
        await receiver[0].next_call()
        with redis_server.client() as redis:
            redis.flushall()
        assert await receiver[0].next_call() == "u1"
        await _until_told(database)

    async def test_orders_are_taken_while_redis_is_away_and_told_when_it_is_back(
        self, redis_server: Redis, config: Config, receiver: tuple[Receiver, str]
    ) -> None:
        redis_server.kill()
        try:
            async with Server(create_app(config)) as server, ClientOf(server) as client:
                await open_users(client, "u1", "u2")
                async with client.post(
                    "/recharge", data={"orderId": "r", "userId": "u1", "amount": "1"}
                ) as response:
                    assert response.status == 200
                assert receiver[0].called.empty()
                redis_server.start()
                assert {await receiver[0].next_call(), await receiver[0].next_call()} == {"u1", "u2"}
        finally:
            redis_server.kill()
            redis_server.start()

    async def test_what_is_not_ours_on_the_stream_is_passed_over(
        self, client: Client, receiver: tuple[Receiver, str], redis_server: Redis
    ) -> None:
        await open_users(client, "u1")
        assert await receiver[0].next_call() == "u1"
        with redis_server.client() as redis:
            (stream,) = cast("list[str]", redis.keys("myaccount:*:events"))
            redis.xadd(stream, {"something": "else"})
            redis.xadd(stream, {"event": "x"})
        await open_users(client, "u2")
        assert await receiver[0].next_call() == "u2"

    async def test_several_processes_share_the_events(
        self, config: Config, receiver: tuple[Receiver, str], redis_server: Redis
    ) -> None:
        # One connection a process has to do for all that is acknowledged at once.
        config["redis"]["maxsize"] = 1
        users = [f"u{n}" for n in range(40)]
        async with (
            Server(create_app(config)) as one,
            Server(create_app(config)),
            ClientOf(one) as client,
        ):
            await open_users(client, *users)
            assert sorted([await receiver[0].next_call() for _ in users]) == sorted(users)
            async with open_database(config, Path(config["sqlite_file"])) as database:
                await _until_told(database)

            async def acknowledged() -> bool:
                with redis_server.client() as redis:
                    (stream,) = cast("list[str]", redis.keys("myaccount:*:events"))
                    (group,) = cast("list[dict[str, object]]", redis.xinfo_groups(stream))
                return (group["pending"], group["lag"]) == (0, 0)

            await eventually(acknowledged)
        assert receiver[0].called.empty()
