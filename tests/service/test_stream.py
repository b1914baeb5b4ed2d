"""Live streams: each message once, in order, across interruptions and processes."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any, cast

import pytest
from aiohttp import ClientResponse
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.appkeys import feed_key, notifications_key
from myaccount.controller import stream as stream_module
from myaccount.database.database import Database
from myaccount.errors import Unavailable
from myaccount.inbox import feed as feed_module
from myaccount.inbox import queries as inbox_module
from myaccount.inbox.catch_up import CatchUp
from myaccount.inbox.feed import FeedPosition, MessageFeed
from myaccount.inbox.queries import FEED_LIMIT, Feed, Message, find_feeds
from myaccount.listener import live_notifications as live_module
from myaccount.listener import redis_notifications as notifications_module
from myaccount.listener.live_notifications import LiveNotifications
from myaccount.listener.redis_notifications import RedisLiveNotifications
from myaccount.listener.repeating import repeat
from myaccount.main import create_app
from myaccount.model.inbox import message
from myaccount.settings.schema import CONFIGURATION, Config

from ..conftest import Client, ClientOf, Section, Server, eventually
from ..helpers.actions import open_users, send
from ..helpers.inboxes import add_users, new_message, rows_of, write
from ..helpers.servers import Redis
from ..helpers.written import commands_of

WAIT_SECONDS = 20


class Stream:
    """Reads a stream as a browser does."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response

    async def next(self) -> tuple[int, dict[str, Any]]:
        """Return the next message and the id of its event."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(WAIT_SECONDS):
            line = ""
            while not fields or line:
                line = (await self.response.content.readline()).decode().rstrip("\r\n")
                name, _, value = line.partition(": ")
                if name:
                    fields[name] = value
        return int(fields["id"]), json.loads(fields["data"])

    async def sources(self, count: int) -> list[str]:
        return [(await self.next())[1]["BODY"]["orderId"] for _ in range(count)]


@asynccontextmanager
async def _open(client: Client, user_id: str, last: int | None = None) -> AsyncIterator[Stream]:
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    async with client.get("/messages/stream", params={"userId": user_id}, headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        # The first id lets a client continue after an interruption, even if no message came.
        opening = await response.content.readline()
        assert opening.startswith(b"id: ") if last is None else opening == f"id: {last}\n".encode()
        assert await response.content.readline() == b"\n"
        yield Stream(response)


async def _recharge(client: Client, order_id: str, user_id: str = "u1") -> None:
    assert (await send(client, "/recharge", orderId=order_id, userId=user_id, amount="1"))[0] == 200


@pytest.fixture(params=["memory", "redis"])
def queue(request: pytest.FixtureRequest) -> Section:
    return {} if request.param == "memory" else {"redis": request.getfixturevalue("redis_section")}


async def test_messages_come_live_and_only_to_their_reader(client: Client) -> None:
    await open_users(client, "u1", "u2")
    await _until_welcome(client, "u1", "u2")
    async with _open(client, "u1") as one, _open(client, "u2") as two, _open(client, "u1") as another:
        await _recharge(client, "r1")
        await _recharge(client, "r2", "u2")
        await _recharge(client, "r3")
        assert await one.sources(2) == await another.sources(2) == ["r1", "r3"]
        number, row = await two.next()
        async with client.get("/messages", params={"userId": "u2", "pageSize": "1"}) as response:
            assert (await response.json())["result"] == [row]
        assert number == row["NID"]


async def test_a_decline_comes_live_to_its_payer_alone(unheard: Client) -> None:
    """Without an event, which nobody would dispatch here."""
    await open_users(unheard, "u1", "u2")
    await _until_welcome(unheard, "u1", "u2")
    async with _open(unheard, "u1") as one, _open(unheard, "u2") as two:
        order = {"orderId": "d1", "fromuserId": "u1", "touserId": "u2", "amount": "9"}
        assert (await send(unheard, "/transfer", **order))[0] == 409
        _, row = await one.next()
        assert row["MESSAGE_TYPE"] == "decline"
        assert row["BODY"].pop("text")
        assert row["BODY"] == {
            "orderId": "d1", "amount": "9.00", "currency": "CNY", "reason": "insufficient_funds",
            "orderName": "transfer", "accountId": "a-u1", "entry": 0, "balance": "0.00",
        }  # fmt: skip
        await _recharge(unheard, "r1", "u2")
        assert await two.sources(1) == ["r1"]


async def _until_welcome(client: Client, *users: str) -> None:
    async def welcome() -> bool:
        for user in users:
            async with client.get("/messages", params={"userId": user}) as response:
                if not (await response.json())["total"]:
                    return False
        return True

    await eventually(welcome)


async def test_a_stream_continues_after_the_last_message_that_the_client_got(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (inbox_module, feed_module):
        monkeypatch.setattr(module, "FEED_LIMIT", 3)
    await open_users(client, "u1")
    await _until_welcome(client, "u1")
    async with _open(client, "u1") as stream:
        await _recharge(client, "r0")
        seen, _ = await stream.next()
    for n in range(1, 9):
        await _recharge(client, f"r{n}")
    async with _open(client, "u1", seen) as stream:
        assert await stream.sources(8) == [f"r{n}" for n in range(1, 9)]
        await _recharge(client, "r9")
        assert await stream.sources(1) == ["r9"]


async def test_many_streams_that_resume_at_once_share_the_rows_of_a_query(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "FEED_ROWS_LIMIT", 40)
    await add_users(database, "u1")
    await write(database, *[new_message("u1", n) for n in range(100)])
    ids = sorted(row.id for row in await rows_of(database, message))

    async def find(connection: AsyncConnection) -> list[int]:
        feeds = await find_feeds(connection, [("u1", id_) for id_ in ids])
        return [len(feed.messages) for feed in feeds.values()]

    assert sum(await database.read(find)) <= 2 * len(ids)

    async def read_from(first: int) -> list[int]:
        async with _open(client, "u1", ids[first]) as stream:
            return [(await stream.next())[0] for _ in ids[first + 1 :]]

    begun = range(0, 100, 5)
    assert await asyncio.gather(*[read_from(n) for n in begun]) == [ids[n + 1 :] for n in begun]


async def test_other_requests_run_between_the_messages_of_many_streams(database: Database) -> None:
    feed = MessageFeed(database, CatchUp(database))
    in_this_iteration = 0
    most = 0

    async def send_all() -> None:
        nonlocal in_this_iteration, most
        for _ in range(180):
            await feed.turn()
            in_this_iteration += 1
            most = max(most, in_this_iteration)

    processing = asyncio.gather(*[send_all() for _ in range(50)])
    while not processing.done():
        in_this_iteration = 0
        await asyncio.sleep(0)
    # An iteration as this test counts them may have the ends of two turns.
    assert 0 < most <= 2 * feed_module.TURN_LIMIT


async def test_streams_read_with_one_connection_together(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_users(database, "u1")
    feed = MessageFeed(database, CatchUp(database))
    original, free = database.read, asyncio.Event()
    under_way = most = 0

    async def read(work: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await free.wait()
        under_way -= 1
        return await original(work)

    monkeypatch.setattr(database, "read", read)
    # Not through the catching up of inboxes, which reads as well.
    fetches = asyncio.gather(feed._newest_ids.fetch("u1"), feed._feeds.fetch(("u1", 0)), feed._latest.fetch("u1"))
    await eventually(lambda: under_way > 0)
    free.set()
    assert list(await fetches) == [0, None, []]
    assert most == 1


async def test_streams_of_one_inbox_that_are_behind_take_turns_and_others_do_not_wait(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (inbox_module, feed_module):
        monkeypatch.setattr(module, "FEED_LIMIT", 3)
    await open_users(client, "u1", "u2")
    await _until_welcome(client, "u1", "u2")
    (first,) = [row.id for row in await rows_of(database, message) if row.reader_id == "u1"]
    # The last page is not full, so no stream asks for another.
    for n in range(1, 10):
        await _recharge(client, f"r{n}")
    pages: list[tuple[str, int]] = []
    reading = most = 0
    original = MessageFeed.starting_with

    async def starting_with(self: MessageFeed, reader_id: str, message_id: int) -> Feed:
        nonlocal reading, most
        pages.append((reader_id, message_id))
        reading += 1
        most = max(most, reading)
        found = await original(self, reader_id, message_id)
        reading -= 1
        return found

    async with _open(client, "u1") as live, _open(client, "u2") as other, AsyncExitStack() as stack:
        await eventually(lambda: not client.app[notifications_key]._unsent)
        monkeypatch.setattr(MessageFeed, "starting_with", starting_with)
        async with client.app[feed_key]._inbox_turns.turn("u1"):
            behind = [await stack.enter_async_context(_open(client, "u1", first)) for _ in range(3)]
            await _recharge(client, "r10")
            await _recharge(client, "o1", "u2")
            assert (await live.sources(1), await other.sources(1)) == (["r10"], ["o1"])
            assert ("u1", first) not in pages
        most = 0
        for stream in behind:
            assert await stream.sources(10) == [f"r{n}" for n in range(1, 11)]
        assert most == 1
        # Now they are behind no longer.
        async with client.app[feed_key]._inbox_turns.turn("u1"):
            await _recharge(client, "r11")
            assert [await stream.sources(1) for stream in (live, *behind)] == [["r11"]] * 4


class Asyncio:
    """asyncio, in which each pause lasts until `end` is set."""

    def __init__(self) -> None:
        self.end = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await (self.end.wait() if seconds else asyncio.sleep(0))

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


async def test_a_stream_that_is_behind_pauses_and_other_requests_run_between_its_messages(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (inbox_module, feed_module):
        monkeypatch.setattr(module, "FEED_LIMIT", 3)
    pauses = Asyncio()
    monkeypatch.setattr(feed_module, "asyncio", pauses)
    await open_users(client, "u1", "u2")
    await _until_welcome(client, "u1", "u2")
    (first,) = [row.id for row in await rows_of(database, message) if row.reader_id == "u1"]
    for n in range(1, 9):
        await _recharge(client, f"r{n}")
    turns = 0
    original = MessageFeed.turn

    async def turn(self: MessageFeed) -> None:
        nonlocal turns
        turns += 1
        await original(self)

    monkeypatch.setattr(MessageFeed, "turn", turn)
    async with _open(client, "u2") as other, _open(client, "u1", first) as stream:
        assert await stream.sources(3) == ["r1", "r2", "r3"]
        for n in range(3):
            await _recharge(client, f"o{n}", "u2")
            assert await other.sources(1) == [f"o{n}"]
        assert turns == 6
        pauses.end.set()
        assert await stream.sources(5) == [f"r{n}" for n in range(4, 9)]


class Counted(str):
    """A text that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


async def test_after_a_failover_each_message_is_compared_a_few_times(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 1, 1)

    def messages(first_id: int) -> list[Message]:
        return [
            Message(n, "note", "u1", "", "", "", "", "", "T", Counted(n), now, unread=True)
            for n in range(first_id, first_id + FEED_LIMIT)
        ]

    async def before(position: tuple[str, int]) -> Feed:
        return Feed(messages(1), more=False)

    async def after(position: tuple[str, int]) -> Feed:
        return Feed([], more=False)

    async def latest(reader_id: str) -> list[Message]:
        return messages(1000)

    feed = MessageFeed(database, CatchUp(database))
    position = FeedPosition(feed, "u1", 0)
    monkeypatch.setattr(feed._feeds, "fetch", before)
    await position.next()
    monkeypatch.setattr(feed._feeds, "fetch", after)
    monkeypatch.setattr(feed._latest, "fetch", latest)
    Counted.compared = 0
    assert len((await position.next()).messages) == FEED_LIMIT
    assert Counted.compared < 10 * FEED_LIMIT


async def test_beyond_the_limit_a_stream_is_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "STREAMS_LIMIT", 1)
    monkeypatch.setattr(stream_module, "HEARTBEAT_SECONDS", 0.05)
    await open_users(client, "u1")
    live = client.app[notifications_key]

    def left() -> bool:
        live.notify_all()
        return not live._subscribers

    for _ in range(2):
        async with _open(client, "u1"), client.get("/messages/stream", params={"userId": "u1"}) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
            assert (await response.json(content_type=None))["code"] == "overloaded"
        # The first has left, which its stream sees at its next notification.
        await eventually(left)


async def test_one_user_does_not_take_the_streams_of_others(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "READER_STREAMS_LIMIT", 2)
    await open_users(client, "u1", "u2")
    await _until_welcome(client, "u1", "u2")
    async with _open(client, "u1"), _open(client, "u1"):
        async with client.get("/messages/stream", params={"userId": "u1"}) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
            assert (await response.json(content_type=None))["code"] == "overloaded"
        async with _open(client, "u2") as other:
            await _recharge(client, "r1", "u2")
            assert await other.sources(1) == ["r1"]


async def test_an_invalid_last_event_id_begins_with_new_messages(client: Client) -> None:
    await open_users(client, "u1")
    await _until_welcome(client, "u1")
    headers = {"Last-Event-ID": "99999999999999999999999"}
    async with client.get("/messages/stream", params={"userId": "u1"}, headers=headers) as response:
        await response.content.readuntil(b"\n\n")
        await _recharge(client, "r1")
        assert await Stream(response).sources(1) == ["r1"]


async def _fail_over(database: Database, lost: Collection[str], new: Sequence[str]) -> None:
    """Simulate a failover: the replica lacks messages of u1, and new messages get their ids."""

    async def work(connection: AsyncConnection) -> None:
        query = select(message).where(message.c.source_id.in_(lost)).order_by(message.c.id)
        rows = [dict(row) for row in (await connection.execute(query)).mappings()]
        await connection.execute(delete(message).where(message.c.source_id.in_(lost)))
        again = [row | {"source_id": id_, "body": row["body"].replace(row["source_id"], id_)}
                 for row, id_ in zip(rows, new, strict=False)]  # fmt: skip
        if again:
            await connection.execute(insert(message), again)

    await database.write(work)


@pytest.mark.parametrize(("lost", "new"), [(["r2", "r3"], ["n2"]), (["r2", "r3"], ["n2", "n3"]), (["r3"], [])])
async def test_after_a_failover_a_stream_misses_no_message_with_the_id_of_a_lost_one(
    client: Client, database: Database, lost: list[str], new: list[str]
) -> None:
    await open_users(client, "u1")
    await _until_welcome(client, "u1")
    async with _open(client, "u1") as stream:
        for n in range(1, 4):
            await _recharge(client, f"r{n}")
            seen, row = await stream.next()
            assert row["BODY"]["orderId"] == f"r{n}"
        await _fail_over(database, lost, new)
        await _recharge(client, "after")
        assert await stream.sources(len(new) + 1) == [*new, "after"]
    # Nor does a client that reconnects with the id of a lost message.
    async with _open(client, "u1", seen + 1000) as stream:
        sources = [(await stream.next())[1]["BODY"].get("orderId") for _ in range(6 - len(lost) + len(new) - 1)]
        assert sources[-len(new) - 1 :] == [*new, "after"]


async def test_a_stream_survives_errors_of_the_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads again by itself: no notification comes twice."""
    await open_users(client, "u1")
    await _until_welcome(client, "u1")
    original = MessageFeed.starting_with
    away, failures = True, 0

    async def failing(self: MessageFeed, *place: Any) -> Any:
        nonlocal failures
        if away:
            failures += 1
            raise Unavailable("away")
        return await original(self, *place)

    monkeypatch.setattr(MessageFeed, "starting_with", failing)
    monkeypatch.setattr(stream_module, "READ_AGAIN_SECONDS", 0.02)
    async with _open(client, "u1") as stream:
        monkeypatch.setattr(client.app[notifications_key], "notify", lambda reader_ids: None)
        for n in range(5):
            await _recharge(client, f"r{n}")
        await eventually(lambda: failures >= 3)
        away = False
        assert await stream.sources(5) == [f"r{n}" for n in range(5)]
        monkeypatch.undo()


async def test_a_quiet_stream_has_heartbeats(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "HEARTBEAT_SECONDS", 0.05)
    await open_users(client, "u1")
    async with asyncio.timeout(WAIT_SECONDS), _open(client, "u1") as stream:
        async for line in stream.response.content:
            if line.startswith(b": ping"):
                break


async def test_a_stream_without_notifications_reads_at_regular_intervals(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_users(client, "u1")
    await _until_welcome(client, "u1")
    live = client.app[notifications_key]
    monkeypatch.setattr(type(live), "publish", lambda self, readers: None)
    async with _open(client, "u1") as stream:
        await _recharge(client, "r1")
        # As the regular notification does.
        monkeypatch.setattr(live_module, "NOTIFY_ALL_SECONDS", 0.05)
        look = asyncio.create_task(repeat("look", live._notify_all_regularly))
        assert await stream.sources(1) == ["r1"]
        look.cancel()


async def test_a_client_that_disconnects_is_unsubscribed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "HEARTBEAT_SECONDS", 0.05)
    await open_users(client, "u1")
    live = client.app[notifications_key]
    async with _open(client, "u1"):
        assert live._subscribers

    def left() -> bool:
        live.notify_all()
        return not live._subscribers

    await eventually(left)


async def test_a_message_for_a_disconnected_client_is_no_failure(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    await open_users(client, "u1")
    live = client.app[notifications_key]
    async with _open(client, "u1") as stream:
        assert stream.response.connection is not None
        assert stream.response.connection.transport is not None
        stream.response.connection.transport.abort()
    for n in range(3):
        await _recharge(client, f"r{n}")
    await eventually(lambda: not live._subscribers)
    assert "failed" not in caplog.text


async def test_clients_that_disconnect_before_their_stream_begins_are_no_failure(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    await open_users(client, "u1")
    request = b"GET /messages/stream?userId=u1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    for _ in range(50):
        _, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(request)
        await writer.drain()
        writer.transport.abort()
    # The service still serves other clients.
    async with _open(client, "u1") as stream:
        await _recharge(client, "r1")
        while (await stream.next())[1]["MESSAGE_TYPE"] != "recharge":
            pass
    assert "failed" not in caplog.text


async def test_shutdown_closes_the_streams(config: Config) -> None:
    async with Server(create_app(config)) as server, ClientOf(server) as client:
        await open_users(client, "u1")
        async with _open(client, "u1") as stream:
            async with asyncio.timeout(WAIT_SECONDS):
                await server.close()
                while await stream.response.content.readline():
                    pass


async def test_a_stream_of_an_unknown_user_is_refused(client: Client) -> None:
    async with client.get("/messages/stream", params={"userId": "u1"}) as response:
        assert response.status == 404
        assert (await response.json(content_type=None))["code"] == "user_not_found"
    async with client.get("/messages/stream", params={"userId": "u1", "x": "1"}) as response:
        assert (await response.json(content_type=None))["field"] == "x"


async def test_each_stream_has_its_language(client: Client) -> None:
    await open_users(client, "u1")
    await _until_welcome(client, "u1")
    async with client.get("/messages/stream", params={"userId": "u1", "language": "en"}) as response:
        await response.content.readuntil(b"\n\n")
        await _recharge(client, "r1")
        assert (await Stream(response).next())[1]["TITLE"] == "Top-up of 1.00 CNY"


class TestRedis:
    @pytest.fixture
    def queue(self, redis_section: Section) -> Section:
        return {"redis": redis_section}

    async def test_messages_from_another_process_arrive_on_a_stream(self, config: Config) -> None:
        async with Server(create_app(config)) as writing:
            config["listener"]["enabled"] = False
            async with Server(create_app(config)) as reading, ClientOf(writing) as one, ClientOf(reading) as other:
                await open_users(one, "u1")
                await _until_welcome(one, "u1")
                async with _open(other, "u1") as stream:
                    for n in range(5):
                        await _recharge(one, f"r{n}")
                    assert await stream.sources(5) == [f"r{n}" for n in range(5)]

    async def test_nothing_is_published_while_nobody_follows(
        self, config: Config, client: Client, redis_server: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(notifications_module, "FOLLOWED_SECONDS", 0.5)
        await open_users(client, "u1")

        def published(commands: Sequence[str]) -> int:
            return sum('\\"readers\\"' in command for command in commands)

        with commands_of(redis_server) as commands:
            for n in range(20):
                await _recharge(client, f"r{n}")
            config["listener"]["enabled"] = False
            async with Server(create_app(config)) as server, ClientOf(server) as other:
                assert published(commands) == 0
                async with _open(other, "u1") as stream:
                    await _recharge(client, "s")
                    assert await stream.sources(1) == ["s"]
            await eventually(lambda: not cast("Any", client.app[notifications_key])._is_followed_elsewhere())
            before = published(commands)
            await _recharge(client, "t")
        assert published(commands) == before

    async def test_who_hears_of_subscribers_has_them_read_what_was_not_published(
        self, redis_section: Section, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        checked = CONFIGURATION.check({"redis": redis_section})["redis"]

        async def name() -> str:
            return "name"

        async with RedisLiveNotifications(checked, name) as one, RedisLiveNotifications(checked, name) as other:
            await eventually(lambda: one._connected and other._connected)
            one.publish(["u1"])
            with other.subscribe("u1") as notified:
                async with asyncio.timeout(WAIT_SECONDS):
                    await notified.wait()

    async def test_a_process_that_ends_sends_what_was_published_until_then(self, redis_section: Section) -> None:
        checked = CONFIGURATION.check({"redis": redis_section})["redis"]

        async def name() -> str:
            return "name"

        async with RedisLiveNotifications(checked, name) as other, asyncio.timeout(WAIT_SECONDS):
            with other.subscribe("u1") as notified:
                await eventually(lambda: other._connected)
                notified.clear()
                async with RedisLiveNotifications(checked, name) as one:
                    # It has heard of the subscriber.
                    await notified.wait()
                    notified.clear()
                    one.publish(["u1"])
                await notified.wait()

    async def test_a_stream_survives_a_restart_of_redis(self, config: Config, redis_server: Redis) -> None:
        async with Server(create_app(config)) as server, ClientOf(server) as client:
            await open_users(client, "u1")
            await _until_welcome(client, "u1")
            async with _open(client, "u1") as stream:
                redis_server.kill()
                try:
                    await _recharge(client, "r1")
                finally:
                    redis_server.start()
                assert await stream.sources(1) == ["r1"]
                await _recharge(client, "r2")
                assert await stream.sources(1) == ["r2"]

    async def test_foreign_messages_on_the_channel_are_skipped(self, client: Client, redis_server: Redis) -> None:
        await open_users(client, "u1")
        await _until_welcome(client, "u1")
        with redis_server.client() as redis:
            (channel,) = cast("list[str]", redis.pubsub_channels("myaccount:*:live"))
            for word in ("{", "5", "[[]]", '{"a": 1}'):
                redis.publish(channel, word)
        async with _open(client, "u1") as stream:
            await _recharge(client, "r1")
            assert await stream.sources(1) == ["r1"]


async def test_subscribers_to_one_inbox_are_independent() -> None:
    live = LiveNotifications()
    with live.subscribe("u1") as one:
        with live.subscribe("u1") as two:
            live.notify(["u1", "u2"])
            assert one.is_set()
            assert two.is_set()
        one.clear()
        live.notify(["u1"])
        assert one.is_set()
