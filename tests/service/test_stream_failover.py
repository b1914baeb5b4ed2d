"""After a failover that lost messages, a stream misses none of those in their place."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.appkeys import notifications_key
from myaccount.controller import stream as stream_module
from myaccount.database.database import Database
from myaccount.errors import Unavailable
from myaccount.inbox.catch_up import CatchUp
from myaccount.inbox.feed import FeedPosition, MessageFeed
from myaccount.inbox.queries import FEED_LIMIT, Feed, Message
from myaccount.model.inbox import message

from ..conftest import Client, Section, eventually
from ..helpers.actions import open_users
from ..helpers.streams import open_stream, recharge, until_welcome


@pytest.fixture(params=["memory", "redis"])
def queue(request: pytest.FixtureRequest) -> Section:
    return {} if request.param == "memory" else {"redis": request.getfixturevalue("redis_section")}


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
    await until_welcome(client, "u1")
    async with open_stream(client, "u1") as stream:
        for n in range(1, 4):
            await recharge(client, f"r{n}")
            seen, row = await stream.next()
            assert row["BODY"]["orderId"] == f"r{n}"
        await _fail_over(database, lost, new)
        await recharge(client, "after")
        assert await stream.sources(len(new) + 1) == [*new, "after"]
    # Nor does a client that reconnects with the id of a lost message.
    async with open_stream(client, "u1", seen + 1000) as stream:
        sources = [(await stream.next())[1]["BODY"].get("orderId") for _ in range(6 - len(lost) + len(new) - 1)]
        assert sources[-len(new) - 1 :] == [*new, "after"]


async def test_a_stream_survives_errors_of_the_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads again by itself: no notification comes twice."""
    await open_users(client, "u1")
    await until_welcome(client, "u1")
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
    async with open_stream(client, "u1") as stream:
        monkeypatch.setattr(client.app[notifications_key], "notify", lambda reader_ids: None)
        for n in range(5):
            await recharge(client, f"r{n}")
        await eventually(lambda: failures >= 3)
        away = False
        assert await stream.sources(5) == [f"r{n}" for n in range(5)]
        monkeypatch.undo()
