"""The fast path: plain requests take it, and their replies, log lines and counts are those of the ordinary way.

Both ways get the same requests: generated ones, some cut at every byte, with keys, behind a proxy, with faults.
"""

import asyncio
import itertools
import shutil
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web, web_protocol
from aiohttp.http import StreamWriter
from sqlalchemy import insert

from myaccount.access import rates, snapshots
from myaccount.access.key_rows import hash_of
from myaccount.appkeys import account_queries_key, database_key, journal_key
from myaccount.controller.operation import BODY_LIMIT_BYTES
from myaccount.controller.rendering import quoted
from myaccount.database import coalescing
from myaccount.database.database import Database
from myaccount.database.times import utc_now
from myaccount.errors import Unavailable
from myaccount.fast_connection import FastConnection
from myaccount.fast_path import FastPath
from myaccount.journal import posting
from myaccount.ledger.decide import decide
from myaccount.main import create_app
from myaccount.model.access import api_key
from myaccount.settings.schema import Config

from ..conftest import PATIENCE, Client, Section, Server, new_section
from ..helpers.actions import open_users
from ..helpers.aiohttp_insides import digests
from ..helpers.both_ways import Seen, Sender, watch
from ..helpers.callers import client_with, read_keys_again
from ..helpers.plain_requests import FIELDS, Requests, Step, request
from ..helpers.servers import free_port

CLIENTS = 24
STEPS = 100 * PATIENCE
SECRET = "0" * 64

StartService = Callable[..., Awaitable[Client]]
Clients = Sequence[Iterable[Step]]
Prepare = Callable[[Client], Awaitable[None]]
Compare = Callable[..., Awaitable[Seen]]


@pytest.fixture
def start_service(
    config: Config,
    backend: Section,
    migrated_file: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    aiohttp_client: Callable[..., Awaitable[Client]],
) -> StartService:
    """Start a service on a database of its own. It makes no requests itself."""

    async def start(*, fast_path: bool, **settings: Any) -> Client:
        own: Any = {"port": free_port(), "fast_path": fast_path, "listener": {"enabled": False}, **settings}
        # However busy the machine is, no order waits too long.
        own["journal"] = {"waiting_limit": 10_000, "waiting_seconds": 600.0}
        if "mysql" in backend:
            own["mysql"] = new_section(request.getfixturevalue("mariadb"))
        else:
            own["sqlite_file"] = str(tmp_path / f"{own['port']}.db")
            shutil.copy(migrated_file, own["sqlite_file"])
        return await aiohttp_client(Server(create_app({**config, **own}), port=own["port"]))

    return start


@pytest.fixture
def compare(
    start_service: StartService, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Compare:
    """Send the same to a service with the fast path and to one without it; all that is seen must be the same."""

    async def compare(prepare: Prepare, clients: Callable[[], Clients], **settings: Any) -> Seen:
        seen = []
        for fast_path in (True, False):
            client = await start_service(fast_path=fast_path, **settings)
            await prepare(client)
            assert client.port is not None
            seen.append(await watch(client.port, clients(), caplog, monkeypatch))
        fast, slow = seen
        for some, others in zip(fast.replies, slow.replies, strict=True):
            for number, (one, other) in enumerate(zip(some, others, strict=True)):
                assert one == other, f"reply {number}"
        assert fast.lines == slow.lines
        assert fast.counts == slow.counts
        return fast

    return compare


@pytest.fixture
def ordinary(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the ordinary way has made so far: a writer for each request, and a request."""
    made: list[object] = []
    handle, writer = web.Application._handle, StreamWriter

    async def noting(self: web.Application, sent: web.Request) -> web.StreamResponse:
        made.append(sent)
        return await handle(self, sent)

    def noting_writer(*arguments: Any) -> Any:
        made.append(writer(*arguments))
        return made[-1]

    monkeypatch.setattr(web.Application, "_handle", noting)
    monkeypatch.setattr(web_protocol, "StreamWriter", noting_writer)
    return made


async def users_opened(client: Client) -> None:
    await open_users(client, "u1", "u2")


def balance_query(**headers: str) -> bytes:
    return request("/queryacc", {"userId": "u1"}, headers)


def recharge(number: int, **headers: str) -> bytes:
    # With the user last, no byte more makes it a wrong order, but one for somebody else.
    return request("/recharge", {"orderId": f"r{number}", "amount": "1", "userId": "u1"}, headers)


def test_what_is_relied_on_inside_aiohttp_is_as_it_was() -> None:
    """If it is not, read what changed beside fast_connection.py, and then correct both."""
    assert digests() == {
        "aiohttp.base_protocol.BaseProtocol": "b8cbe831e85f09b9",
        "aiohttp.helpers.rfc822_formatted_time": "e67f8c70062caac8",
        "aiohttp.http_writer.StreamWriter": "de8e4561e3ce1cfc",
        "aiohttp.http_writer._py_serialize_headers": "3d68ef4ae4d8d457",
        "aiohttp.streams.StreamReader.is_eof": "7642721fe2f71e63",
        "aiohttp.streams.StreamReader.feed_data": "7548cdda3ea70bf8",
        "aiohttp.streams.EmptyStreamReader": "0a24f6d472599abf",
        "aiohttp.web_protocol.RequestHandler": "3960a24b6f6b63e0",
        "aiohttp.web_response.StreamResponse.prepare": "9c6c49cc07222eef",
        "aiohttp.web_response.StreamResponse._start": "7e03ebd82e7f9f98",
        "aiohttp.web_response.StreamResponse._prepare_headers": "92807d25d9c397cd",
        "aiohttp.web_response.StreamResponse._write_headers": "0280580268bc7e84",
        "aiohttp.web_response.StreamResponse.write_eof": "12b174e4cfe3bb7e",
        "aiohttp.web_response.Response": "85f8777541ff16b1",
        "aiohttp.web_server.Server": "8c9d06ee1abd08e5",
    }


async def test_operations_of_each_kind_leave_the_ordinary_way_unless_the_setting_says_otherwise(
    start_service: StartService, ordinary: list[object]
) -> None:
    for fast_path in (True, False):
        client = await start_service(fast_path=fast_path)
        await users_opened(client)
        assert client.port is not None
        async with Sender(client.port) as sender:
            for path, names in FIELDS.items():
                ordinary.clear()
                numbers = ("amount", "expiresIn", "pageSize")
                fields = {name: "60" if name in numbers else "u1" for name in names}
                reply = await sender.send(Step((request(path, fields),)))
                is_done = path in ("/recharge", "/addaccount", "/queryacc", "/querorder", "/messages")
                assert reply.startswith(b"HTTP/1.1 200" if is_done else b"HTTP/1.1 4"), reply
                assert bool(ordinary) != fast_path, path
            ordinary.clear()
            await sender.send(Step((request("/accountlog", {"accountId": "u1"}),)))
            assert len(ordinary) == 2


async def test_each_reply_has_the_date_of_its_second(
    start_service: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await start_service(fast_path=True)
    await users_opened(client)
    assert client.port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    for number, date in enumerate(("then", "later")):
        for module in ("fast_request", "fast_connection"):
            monkeypatch.setattr(f"myaccount.{module}.rfc822_formatted_time", lambda date=date: date)
        writer.write(recharge(number))
        assert f"\r\nDate: {date}\r\n".encode() in await reader.readuntil(b'{"result": 1}\n')
    writer.close()


async def test_the_counts_of_requests_by_which_workers_are_replaced_are_alike(start_service: StartService) -> None:
    for fast_path in (True, False):
        client = await start_service(fast_path=fast_path)
        await users_opened(client)
        assert client.port is not None
        server: web.Server = client.server.runner.server  # type: ignore[union-attr, assignment]
        before = server.requests_count
        async with Sender(client.port) as sender:
            for number in range(5):
                await sender.send(Step((recharge(number),)))
            assert server.requests_count == before + 5
            assert any(isinstance(connection, FastConnection) for connection in server.connections) == fast_path


async def test_generated_requests_get_the_same(compare: Compare, ordinary: list[object]) -> None:
    counts: list[int] = []

    def clients() -> list[Requests]:
        return [Requests(f"c{number}", 1) for number in range(CLIENTS)]

    async def prepare(client: Client) -> None:
        counts.append(len(ordinary))
        await open_users(client, *(user for each in clients() for user in each.users))
        counts.append(len(ordinary))

    seen = await compare(prepare, lambda: [each.steps(STEPS) for each in clients()])
    assert sum(map(len, seen.replies)) == CLIENTS * (STEPS + 3)
    # Most steps are one plain request.
    assert counts[2] - counts[1] < 0.7 * (len(ordinary) - counts[3])


async def test_a_request_that_is_cut_anywhere_gets_the_same(compare: Compare) -> None:
    headers = {"X-Request-ID": "cut-1"}
    orders = [recharge(number, **headers) for number in range(1000, 1000 + len(recharge(1000, **headers)))]
    queries = [balance_query(**headers)] * len(balance_query(**headers))
    cut = [
        Step((sent[:place], sent[place:]))
        for requests in (orders, queries)
        for place, sent in enumerate(requests)
        if place
    ]
    seen = await compare(users_opened, lambda: [cut])
    assert all(reply.startswith(b"HTTP/1.1 200 OK") for reply in seen.replies[0])


async def test_two_orders_that_are_cut_anywhere_get_the_same(compare: Compare) -> None:
    length = len(recharge(1000))
    pairs = [recharge(1000 + 2 * place) + recharge(1001 + 2 * place) for place in range(2 * length)]
    cut = [Step((pair[:place], pair[place:]), replies=2) for place, pair in enumerate(pairs) if place]
    await compare(users_opened, lambda: [cut])


async def test_an_order_beside_a_query_that_are_cut_anywhere_get_the_same(compare: Compare) -> None:
    length = len(balance_query() + recharge(1000))
    pairs = [
        balance_query() + recharge(1000 + place) if place % 2 else recharge(1000 + place) + balance_query()
        for place in range(length)
    ]
    cut = [Step((pair[:place], pair[place:]), replies=2) for place, pair in enumerate(pairs) if place]
    await compare(users_opened, lambda: [cut])


async def test_an_order_in_a_large_body_gets_the_same(compare: Compare) -> None:
    limit = BODY_LIMIT_BYTES - len(b"orderId=r1&userId=u1&amount=1")
    sent = [request("/recharge", b"orderId=r1&userId=u1&amount=1" + b"&" * (limit + more)) for more in (0, 1)]
    seen = await compare(users_opened, lambda: [[Step((each,)) for each in [recharge(2), *sent]]])
    assert [reply[9:12] for reply in seen.replies[0]] == [b"200", b"200", b"413"]


async def test_many_orders_and_then_several_at_once_get_the_same(compare: Compare) -> None:
    """aiohttp's parser stops after requests that it believes to be waiting, until a body is read."""
    # Each has an id, or the parser would not get them.
    alone = [Step((recharge(number, **{"X-Request-ID": f"{number}"}),)) for number in range(40)]
    at_once = Step(
        (request("/nowhere", b"body") + b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",), replies=2
    )
    await compare(users_opened, lambda: [[*alone, at_once]])


async def test_the_last_order_of_a_connection_gets_the_same(compare: Compare) -> None:
    last = [recharge(2, Connection="close"), recharge(3).replace(b"HTTP/1.1", b"HTTP/1.0", 1)]
    seen = await compare(
        users_opened,
        lambda: [[Step((recharge(8 + n),)), Step((each,), replies=2)] for n, each in enumerate(last)],
    )
    assert [b"\r\nConnection: close\r\n" in replies[1] for replies in seen.replies] == [True, False]


@pytest.mark.parametrize("upgrade", ["h2c", "websocket"])
async def test_an_upgrade_after_an_order_gets_the_same(compare: Compare, upgrade: str) -> None:
    upgraded = request("/recharge", b"", {"Connection": "Upgrade", "Upgrade": upgrade})
    apart = [Step((sent,)) for sent in (recharge(1), upgraded, recharge(2), recharge(3))]
    await compare(users_opened, lambda: [[*apart, Step((upgraded + recharge(4),), replies=2)]])


@pytest.mark.parametrize("proxies", [[], ["127.0.0.1/32"]], ids=["no proxy", "a proxy"])
async def test_generated_requests_from_elsewhere_get_the_same(compare: Compare, proxies: list[str]) -> None:
    headers: tuple[dict[str, str | None], ...] = (
        {},
        {"Host": "shop.example"},
        {"Host": "shop.example", "X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"},
        {"X-Forwarded-For": "203.0.113.7"},
        {"X-Forwarded-For": "127.0.0.1"},
    )

    def clients() -> list[Requests]:
        return [Requests(f"c{number}", 2, headers) for number in range(8)]

    async def prepare(client: Client) -> None:
        await open_users(client, *(user for each in clients() for user in each.users))

    steps = STEPS // 3
    await compare(
        prepare, lambda: [each.steps(steps) for each in clients()], hosts=["shop.example"], trusted_proxies=proxies
    )


def key(letter: str) -> dict[str, str]:
    return {"Authorization": f"Bearer mak_{letter * 12}_{SECRET}"}


async def keys_made(client: Client) -> None:
    """Make keys that are the same in each database: a may do everything, b a part, and c little a second."""
    rows = (
        ("a", "accounts:open,accounts:read,messages:read,money:in,money:move,money:out,orders:read", None),
        ("b", "money:in,accounts:read", None),
        ("c", "money:in,accounts:read", 5),
    )
    now = utc_now()

    async def work(connection: Any) -> None:
        for letter, scopes, rate in rows:
            row = {
                "key_id": letter * 12, "name": letter, "secret_hash": hash_of(SECRET).hex(), "scopes": scopes,
                "rate_per_second": rate, "created_at": now,
            }  # fmt: skip
            await connection.execute(insert(api_key), row)

    await client.server.app[database_key].write(work)  # type: ignore[attr-defined]


async def test_generated_requests_with_keys_get_the_same(compare: Compare) -> None:
    headers: tuple[dict[str, str | None], ...] = (
        {**key("a")},
        {**key("a")},
        {**key("b")},
        {**key("d")},
        {},
        {"Authorization": "Bearer x"},
        {"Cookie": "session=x"},
    )

    def clients() -> list[Requests]:
        return [Requests(f"c{number}", 3, headers) for number in range(8)]

    async def prepare(client: Client) -> None:
        await keys_made(client)
        async with client_with(client, key("a")["Authorization"].split()[1]) as allowed:
            await open_users(allowed, *(user for each in clients() for user in each.users))

    seen = await compare(prepare, lambda: [each.steps(STEPS // 3) for each in clients()], access="keys")
    statuses = {reply[9:12] for replies in seen.replies for reply in replies}
    assert {b"200", b"401", b"403", b"409"} <= statuses


async def test_requests_beyond_a_rate_are_refused_alike(
    compare: Compare, monkeypatch: pytest.MonkeyPatch, ordinary: list[object]
) -> None:
    second = itertools.count(10**9)

    async def prepare(client: Client) -> None:
        await keys_made(client)
        async with client_with(client, key("a")["Authorization"].split()[1]) as allowed:
            await open_users(allowed, "u1")
        # One second for all that follow.
        now = next(second)
        monkeypatch.setattr(rates, "time", type("Time", (), {"time": staticmethod(lambda: now)}))

    kinds = (lambda number: recharge(number, **key("c")), lambda number: balance_query(**key("c")))
    sent = [Step((kinds[number % 2](number),)) for number in range(8)]
    seen = await compare(prepare, lambda: [sent], access="keys")
    assert [reply[9:12] for reply in seen.replies[0]] == [b"200"] * 5 + [b"429"] * 3


async def test_a_key_is_looked_up_on_the_ordinary_way_and_then_known(
    start_service: StartService, ordinary: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Once read, the keys are known for as long as the test takes.
    monkeypatch.setattr(snapshots, "AGE_LIMIT_SECONDS", 3600)
    monkeypatch.setattr(snapshots, "REFRESH_SECONDS", 3600)
    client = await start_service(fast_path=True, access="keys")
    await keys_made(client)
    async with client_with(client, key("a")["Authorization"].split()[1]) as allowed:
        await open_users(allowed, "u1")
    assert client.port is not None
    async with Sender(client.port) as sender:
        await read_keys_again(client)
        for number, is_known in enumerate((False, True)):
            ordinary.clear()
            reply = await sender.send(Step((recharge(number, **key("a")),)))
            assert reply.startswith(b"HTTP/1.1 200")
            assert bool(ordinary) != is_known


async def test_faults_are_answered_and_logged_alike(compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders beyond the limit, a database that is away, and a bug."""
    original = Database.write_on_driver

    def faulty(commands: Any, *others: Any) -> Any:
        commands = list(commands)
        if any(command.order_id == "r1" for command in commands):
            raise ZeroDivisionError
        return decide(commands, *others)

    async def away(self: Database, work: Any, **options: Any) -> Any:
        if sent[0] == 2:
            raise Unavailable("away", cause="the test")
        return await original(self, work, **options)

    sent = [0]
    client_of: list[Client] = []

    async def prepare(client: Client) -> None:
        await users_opened(client)
        client_of[:] = [client]

    def steps() -> Iterable[Step]:
        for number in range(4):
            sent[0] = number
            limit = 0 if number == 3 else 10_000
            monkeypatch.setattr(client_of[0].app[journal_key], "_waiting_limit", limit)
            yield Step((recharge(number, **{"X-Request-ID": f"fault-{number}"}),))

    monkeypatch.setattr(posting, "decide", faulty)
    monkeypatch.setattr(Database, "write_on_driver", away)
    seen = await compare(prepare, lambda: [steps()])
    assert [reply[9:12] for reply in seen.replies[0]] == [b"200", b"500", b"503", b"503"]
    assert seen.lines["ERROR myaccount.replies [fault-1] The handler of /recharge failed."] == 1


async def test_faults_of_queries_are_answered_and_logged_alike(
    compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bugs, a database that is away, queries beyond the limit, and refusals after the fields were read."""
    errors: dict[int, Exception] = {1: ZeroDivisionError(), 2: Unavailable("away", cause="the test")}
    sent = [0]

    async def prepare(client: Client) -> None:
        await users_opened(client)
        queries = client.app[account_queries_key]
        original = queries._fetch_many

        async def faulty(user_ids: Collection[str]) -> Any:
            if sent[0] in errors:
                raise errors[sent[0]]
            return await original(user_ids)

        monkeypatch.setattr(queries, "_fetch_many", faulty)

    def unwritten(text: str | None) -> str:
        if sent[0] == 4:
            raise ZeroDivisionError
        return quoted(text)

    def steps() -> Iterable[Step]:
        for sent[0] in range(5):
            monkeypatch.setattr(coalescing, "WAITING_LIMIT", 0 if sent[0] == 3 else 10_000)
            yield Step((balance_query(**{"X-Request-ID": f"fault-{sent[0]}"}),))
        monkeypatch.setattr(coalescing, "WAITING_LIMIT", 10_000)
        for fields in ({"userId": "nobody"}, {"userId": "u1", "pageNo": "1", "before": "read-7"}):
            yield Step((request("/messages", fields),))

    monkeypatch.setattr("myaccount.controller.accounts.quoted", unwritten)
    seen = await compare(prepare, lambda: [steps()])
    assert [reply[9:12] for reply in seen.replies[0]] == [b"200", b"500", b"503", b"503", b"500", b"404", b"400"]
    for number in (1, 4):
        assert seen.lines[f"ERROR myaccount.replies [fault-{number}] The handler of /queryacc failed."] == 1


async def test_queries_that_were_answered_are_not_kept(start_service: StartService) -> None:
    client = await start_service(fast_path=True)
    await users_opened(client)
    assert client.port is not None
    server: web.Server = client.server.runner.server  # type: ignore[union-attr, assignment]
    async with Sender(client.port) as sender:
        for path in ("/queryacc", "/messages"):
            assert (await sender.send(Step((request(path, {"userId": "u1"}),)))).startswith(b"HTTP/1.1 200")
        (requests,) = {each._requests for each in server.connections if isinstance(each, FastConnection)}
        assert isinstance(requests, FastPath)
        assert requests._queries == set()


async def test_a_reply_that_fails_closes_the_connection(
    start_service: StartService, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError

    client = await start_service(fast_path=True)
    await users_opened(client)
    assert client.port is not None
    async with Sender(client.port) as sender:
        with monkeypatch.context() as patch:
            patch.setattr("myaccount.fast_request.count_request", broken)
            assert await sender.send(Step((recharge(1),))) == b""
        assert "ZeroDivisionError" in caplog.text
        assert b"Idempotent-Replayed: true" in await sender.send(Step((recharge(1),)))
