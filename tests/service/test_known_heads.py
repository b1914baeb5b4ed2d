"""A head that a client sends again is not parsed again, and its requests are answered as if it were."""

from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from multidict import CIMultiDict
from sqlalchemy import update

from myaccount import fast_heads
from myaccount.access.guard import is_checked_by_head
from myaccount.appkeys import connection_key, database_key
from myaccount.database.times import utc_now
from myaccount.fast_heads import KnownHead
from myaccount.fast_path import FastPath
from myaccount.model.access import api_key
from myaccount.protocol import Connection

from ..conftest import Client, eventually
from ..helpers.actions import open_users
from ..helpers.both_ways import Sender
from ..helpers.callers import client_with, read_keys_again
from ..helpers.plain_requests import Step, request
from .test_fast_path import Compare, StartService, compare, key, keys_made, recharge, start_service, users_opened

__all__ = ["compare", "start_service"]

Send = Callable[[bytes], Awaitable[tuple[bytes, int]]]


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the parser has got so far."""
    parts: list[bytes] = []
    parse = Connection._parse

    def noting(self: Connection, data: bytes) -> None:
        parts.append(data)
        parse(self, data)

    monkeypatch.setattr(Connection, "_parse", noting)
    return parts


def _heads(client: Client) -> dict[bytes, KnownHead]:
    fast_path = client.server.app[connection_key].args[0]  # type: ignore[attr-defined]
    assert isinstance(fast_path, FastPath)
    return fast_path._heads._heads


@pytest.fixture(autouse=True)
def _remembered_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_heads, "HEAD_SECONDS", 600)


async def _started(start_service: StartService, **settings: Any) -> tuple[Client, Sender]:
    client = await start_service(fast_path=True, **settings)
    assert client.port is not None
    return client, Sender(client.port)


async def test_a_head_is_parsed_until_it_is_known(start_service: StartService, parsed: list[bytes]) -> None:
    client, sender = await _started(start_service)
    await open_users(client, "u1")
    async with sender:
        counts = []
        # The first one of a connection may be the rest of something else.
        for sent in (*map(recharge, range(10, 14)), recharge(100), recharge(14), recharge(101)):
            parsed.clear()
            assert (await sender.send(Step((sent,)))).startswith(b"HTTP/1.1 200")
            counts.append(len(parsed))
    assert [bool(count) for count in counts] == [True, True, False, False, True, False, False]


async def test_one_with_an_id_or_from_elsewhere_is_not_known_or_checked_again(start_service: StartService) -> None:
    client, sender = await _started(start_service)
    await open_users(client, "u1")
    async with sender:
        for number in range(10, 13):
            await sender.send(Step((recharge(number, **{"X-Request-ID": "mine"}),)))
        assert _heads(client) == {}
        for number in range(13, 16):
            await sender.send(Step((recharge(number, Origin="http://127.0.0.1"),)))
            await sender.send(Step((recharge(number),)))
    assert sorted(known.is_checked for known in _heads(client).values()) == [False, True]


@pytest.mark.parametrize(
    ("headers", "is_checked"),
    [({}, True), ({"Origin": "http://h"}, False), ({"Via": "1.1 p"}, False), ({"X-Forwarded-For": "::1"}, False)],
)
def test_a_check_that_depends_on_the_connection_is_made_each_time(
    headers: dict[str, str], is_checked: bool
) -> None:
    head: Any = SimpleNamespace(headers=CIMultiDict({"Host": "h", **headers}))
    assert is_checked_by_head(head) is is_checked


async def test_there_are_never_many_heads(start_service: StartService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_heads, "HEADS_LIMIT", 3)
    client, sender = await _started(start_service)
    await open_users(client, "u1")
    async with sender:
        counts = []
        for number in range(4, 14):
            await sender.send(Step((recharge(10**number),)))
            counts.append(len(_heads(client)))
    assert max(counts) == 3


async def test_a_long_head_is_not_remembered(start_service: StartService) -> None:
    client, sender = await _started(start_service)
    await open_users(client, "u1")
    async with sender:
        for number in range(10, 13):
            await sender.send(Step((recharge(number, Cookie="x" * fast_heads.HEAD_BYTES_LIMIT),)))
    assert _heads(client) == {}


async def test_heads_are_forgotten_after_a_moment(
    start_service: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_heads, "HEAD_SECONDS", 0.5)
    client, sender = await _started(start_service)
    await open_users(client, "u1")
    async with sender:
        # Twice, since each timer runs once.
        for first in (10, 20):
            for number in range(first, first + 3):
                await sender.send(Step((recharge(number),)))
            await eventually(lambda: _heads(client) == {})


async def test_a_key_that_was_revoked_opens_nothing_with_a_known_head(start_service: StartService) -> None:
    client, sender = await _started(start_service, access="keys")
    await keys_made(client)
    async with client_with(client, key("a")["Authorization"].split()[1]) as allowed:
        await open_users(allowed, "u1")
    async with sender:
        for number in range(10, 13):
            assert (await sender.send(Step((recharge(number, **key("a")),)))).startswith(b"HTTP/1.1 200")
        assert _heads(client) != {}
        revoked = update(api_key).values(revoked_at=utc_now())
        await client.server.app[database_key].write(lambda connection: connection.execute(revoked))  # type: ignore[attr-defined]
        await read_keys_again(client)
        assert (await sender.send(Step((recharge(13, **key("a")),)))).startswith(b"HTTP/1.1 401")


def _of_one_length() -> Iterator[bytes]:
    """Yield requests with one head, refused at every stage, posted, declined, and sent again."""
    bodies = (
        b"orderId=r%04d&amount=x&userId=u1",
        b"orderId=r%04d&amount=1&userId=u9",
        b"orderId=r%04d&amount=9&userId=u2",
        b"orderId=r%04d&amount=1&userId=\xff\xfe",
        b"orderId=r%04d&amount=1&usersId=1",
        b"orderId=r%04d&amount=1&orderId=u",
        b"{rderId=r%04d&amount=1&userId=u1",
        b"orderId=r%04d&&&&&&&&&&userId=u1",
        b"%%72derId=r%04d&&amount=1&userId=",
    )
    for number, body in enumerate(bodies * 2):
        yield request("/recharge", body % number)
        yield request("/recharge", b"orderId=s%04d&amount=1&userId=u1" % (number % 6))
        yield request("/withdraw", b"orderId=w%04d&amount=999&userId=u1" % (number % 6))


async def test_requests_with_one_head_get_the_same(compare: Compare) -> None:
    seen = await compare(users_opened, lambda: [[Step((sent,)) for sent in _of_one_length()]])
    statuses = {reply[9:12] for reply in seen.replies[0]}
    assert statuses == {b"200", b"400", b"404", b"409"}
    assert {b"Idempotent-Replayed" in reply for reply in seen.replies[0] if reply[9:12] == b"200"} == {True, False}


async def test_a_known_head_without_a_body_that_is_cut_anywhere_gets_the_same(compare: Compare) -> None:
    """Its end may come later, and more of it before that."""
    sent = request("/queryacc", b"")
    more = sent.replace(b"\r\n\r\n", b"\r\nX-Request-ID: mine\r\n\r\n")
    whole = [Step((sent,))] * 3
    cut = [Step((each[:place], each[place:])) for each in (sent, more) for place in range(1, len(each))]
    await compare(users_opened, lambda: [[*whole, *(step for each in cut for step in (each, *whole[:2]))]])


async def test_requests_with_a_known_head_that_are_cut_or_followed_get_the_same(compare: Compare) -> None:
    numbers = iter(range(1000, 10_000))
    steps = [Step((recharge(next(numbers)),)) for _ in range(3)]
    for place in range(1, len(recharge(1000)), 9):
        for kind in range(3):
            one, other, last = (recharge(next(numbers)) for _ in range(3))
            cut = (other[:place], other[place:])
            parts = (cut, (one, *cut), (one + cut[0], cut[1]))[kind]
            steps += [Step(parts, replies=min(kind, 1) + 1), Step((last,))]
    await compare(users_opened, lambda: [steps])
