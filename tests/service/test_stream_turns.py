"""Streams do not hold up other requests: they share queries, take turns, and their number is limited."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.appkeys import feed_key, notifications_key
from myaccount.controller import stream as stream_module
from myaccount.database.database import Database
from myaccount.inbox import feed as feed_module
from myaccount.inbox import queries as inbox_module
from myaccount.inbox.catch_up import CatchUp
from myaccount.inbox.feed import MessageFeed
from myaccount.inbox.queries import Feed, find_feeds
from myaccount.listener import live_notifications as live_module
from myaccount.model.inbox import message

from ..conftest import Client, Section, eventually
from ..helpers.actions import open_users
from ..helpers.inboxes import add_users, new_message, rows_of, write
from ..helpers.streams import open_stream, recharge, until_welcome


@pytest.fixture(params=["memory", "redis"])
def queue(request: pytest.FixtureRequest) -> Section:
    return {} if request.param == "memory" else {"redis": request.getfixturevalue("redis_section")}


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
        async with open_stream(client, "u1", ids[first]) as stream:
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
    await until_welcome(client, "u1", "u2")
    (first,) = [row.id for row in await rows_of(database, message) if row.reader_id == "u1"]
    # The last page is not full, so no stream asks for another.
    for n in range(1, 10):
        await recharge(client, f"r{n}")
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

    async with open_stream(client, "u1") as live, open_stream(client, "u2") as other, AsyncExitStack() as stack:
        await eventually(lambda: not client.app[notifications_key]._unsent)
        monkeypatch.setattr(MessageFeed, "starting_with", starting_with)
        async with client.app[feed_key]._inbox_turns.turn("u1"):
            behind = [await stack.enter_async_context(open_stream(client, "u1", first)) for _ in range(3)]
            await recharge(client, "r10")
            await recharge(client, "o1", "u2")
            assert (await live.sources(1), await other.sources(1)) == (["r10"], ["o1"])
            assert ("u1", first) not in pages
        most = 0
        for stream in behind:
            assert await stream.sources(10) == [f"r{n}" for n in range(1, 11)]
        assert most == 1
        # Now they are behind no longer.
        async with client.app[feed_key]._inbox_turns.turn("u1"):
            await recharge(client, "r11")
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
    await until_welcome(client, "u1", "u2")
    (first,) = [row.id for row in await rows_of(database, message) if row.reader_id == "u1"]
    for n in range(1, 9):
        await recharge(client, f"r{n}")
    turns = 0
    original = MessageFeed.turn

    async def turn(self: MessageFeed) -> None:
        nonlocal turns
        turns += 1
        await original(self)

    monkeypatch.setattr(MessageFeed, "turn", turn)
    async with open_stream(client, "u2") as other, open_stream(client, "u1", first) as stream:
        assert await stream.sources(3) == ["r1", "r2", "r3"]
        for n in range(3):
            await recharge(client, f"o{n}", "u2")
            assert await other.sources(1) == [f"o{n}"]
        assert turns == 6
        pauses.end.set()
        assert await stream.sources(5) == [f"r{n}" for n in range(4, 9)]


async def test_beyond_the_limit_a_stream_is_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "STREAMS_LIMIT", 1)
    monkeypatch.setattr(stream_module, "HEARTBEAT_SECONDS", 0.05)
    await open_users(client, "u1")
    live = client.app[notifications_key]

    def left() -> bool:
        live.notify_all()
        return not live._subscribers

    for _ in range(2):
        async with open_stream(client, "u1"), client.get("/messages/stream", params={"userId": "u1"}) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
            assert (await response.json(content_type=None))["code"] == "overloaded"
        # The first has left, which its stream sees at its next notification.
        await eventually(left)


async def test_one_user_does_not_take_the_streams_of_others(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "READER_STREAMS_LIMIT", 2)
    await open_users(client, "u1", "u2")
    await until_welcome(client, "u1", "u2")
    async with open_stream(client, "u1"), open_stream(client, "u1"):
        async with client.get("/messages/stream", params={"userId": "u1"}) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
            assert (await response.json(content_type=None))["code"] == "overloaded"
        async with open_stream(client, "u2") as other:
            await recharge(client, "r1", "u2")
            assert await other.sources(1) == ["r1"]
