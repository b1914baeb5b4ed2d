"""What else happens to a connection while a request is under way: the same with the fast path and without it."""

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, cast

import pytest
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from myaccount import serving
from myaccount.appkeys import ending_key
from myaccount.database.coalescing import Coalescer
from myaccount.journal.posting import Posted, Poster
from myaccount.ledger.commands import Command
from myaccount.main import create_app
from myaccount.protocol import Connection
from myaccount.readiness import Health
from myaccount.serving import GracefulRunner
from myaccount.settings.schema import Config

from ..conftest import Section, eventually
from ..helpers.both_ways import moment
from ..helpers.plain_requests import request

OPENING = {
    "userId": "u1", "userName": "N", "sex": "F", "cardNum": "6222", "accountId": "a1", "accountType": "01",
}  # fmt: skip


# A request of each kind that may be under way.
KINDS = pytest.mark.parametrize("path", ["/recharge", "/queryacc"])


class Gate:
    """Holds the journal's batches and queries back while it is shut, and counts those that have come."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.come = 0

    def shut(self) -> None:
        self.open.clear()
        self.come = 0

    async def has_come(self) -> None:
        await eventually(lambda: self.come > 0)

    async def pass_through(self) -> None:
        self.come += 1
        await self.open.wait()


class Running(NamedTuple):
    """A service, and a client's connection to it."""

    runner: GracefulRunner
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def connections(self) -> list[RequestHandler]:
        """The service's side of all connections."""
        assert self.runner.server is not None
        return self.runner.server.connections

    def send(self, *order_ids: str) -> None:
        for order_id in order_ids:
            self.writer.write(request("/recharge", {"orderId": order_id, "userId": "u1", "amount": "1"}))

    def send_to(self, path: str) -> None:
        if path == "/recharge":
            self.send("r1")
        else:
            self.writer.write(request(path, {"userId": "u1"}))

    async def reply(self) -> bytes:
        async with asyncio.timeout(60):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
            return head + await self.reader.readexactly(length)

    def leave(self) -> None:
        """Reset the connection."""
        reset = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        self.writer.transport.abort()

    async def rest(self) -> bytes:
        """Return what comes until the service closes the connection."""
        async with asyncio.timeout(60):
            return await self.reader.read()


@pytest.fixture
def backend() -> Section:
    """The connections do not depend on the database."""
    return {}


@pytest.fixture(params=[True, False], ids=["fast path", "ordinary way"])
def settings(request: pytest.FixtureRequest, config: Config) -> Config:
    return {**config, "fast_path": request.param, "listener": {"enabled": False}}


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate, post, fetch = Gate(), Poster.post, Coalescer._fetch_apart

    async def held(self: Poster, commands: Sequence[Command], *, wait: bool = True) -> Posted:
        await gate.pass_through()
        return await post(self, commands, wait=wait)

    async def held_query(self: Coalescer[Any, Any], keys: Sequence[Any]) -> dict[Any, Any]:
        await gate.pass_through()
        return await fetch(self, keys)

    monkeypatch.setattr(Poster, "post", held)
    monkeypatch.setattr(Coalescer, "_fetch_apart", held_query)
    return gate


@pytest.fixture
async def service(settings: Config, gate: Gate) -> AsyncIterator[Running]:
    async with running(settings) as service:
        yield service
        gate.open.set()


@asynccontextmanager
async def running(settings: Config) -> AsyncIterator[Running]:
    """Run a service; it may be ended before the end."""
    runner = GracefulRunner(create_app(settings))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", settings["port"]).start()
    reader, writer = await asyncio.open_connection("127.0.0.1", settings["port"])
    service = Running(runner, reader, writer)
    try:
        writer.write(request("/openacc", OPENING))
        assert (await service.reply()).startswith(b"HTTP/1.1 200")
        yield service
    finally:
        writer.close()
        await runner.cleanup()


def lines_of(log: pytest.LogCaptureFixture, path: str) -> list[str]:
    """Return what the access log has about requests to a path."""
    lines = [record.getMessage() for record in log.records if record.name == "myaccount.access"]
    return [line.rpartition(" ms")[0].rpartition(" ")[0] for line in lines if path in line]


@KINDS
async def test_shutdown_waits_for_the_request_under_way(
    service: Running, gate: Gate, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    caplog.set_level(logging.INFO)
    gate.shut()
    service.send_to(path)
    await gate.has_come()
    ending = asyncio.create_task(service.runner.cleanup())
    await service.runner.app[ending_key].wait()
    assert lines_of(caplog, path) == []
    gate.open.set()
    reply = await service.reply()
    assert reply.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close\r\n" in reply
    assert await service.rest() == b""
    await ending
    assert lines_of(caplog, path) == [f"POST {path} 200"]


@KINDS
async def test_shutdown_waits_beyond_the_drain_for_the_request_under_way(
    service: Running, gate: Gate, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(serving, "DRAIN_SECONDS", 0)
    gate.shut()
    service.send_to(path)
    await gate.has_come()
    (connection,) = service.connections
    ending = asyncio.create_task(service.runner.cleanup())
    # aiohttp has begun to end the connection, and waits for what is under way.
    await eventually(lambda: connection._handler_waiter is not None)
    gate.open.set()
    assert b"\r\nConnection: close\r\n" in await service.reply()
    assert await service.rest() == b""
    await ending


# A page of an inbox takes two queries.
@pytest.mark.parametrize("path", ["/recharge", "/queryacc", "/messages"])
async def test_shutdown_gives_a_request_up_that_takes_too_long(
    settings: Config, gate: Gate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    closing, close = asyncio.Event(), Health.close

    async def noted(self: Health) -> None:
        closing.set()
        await close(self)

    monkeypatch.setattr(Health, "close", noted)
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(serving, "DRAIN_SECONDS", 0)
    monkeypatch.setattr(serving, "SHUTDOWN_SECONDS", 0.1)
    async with running(settings) as service:
        gate.shut()
        service.send_to(path)
        await gate.has_come()
        service.send_to(path)
        ending = asyncio.create_task(service.runner.cleanup())
        assert await service.rest() == b""
        # Nothing more begins while its resources close.
        await closing.wait()
        gate.open.set()
        await ending
        assert gate.come == 1
    assert lines_of(caplog, path) == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@KINDS
async def test_a_request_whose_client_leaves_is_answered_and_logged(
    service: Running, gate: Gate, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    caplog.set_level(logging.INFO)
    gate.shut()
    service.send_to(path)
    await gate.has_come()
    (connection,) = service.connections
    service.leave()
    await eventually(lambda: connection.transport is None)
    # Shutdown would wait for it.
    assert service.connections == [connection]
    gate.open.set()
    await eventually(lambda: service.connections == [])
    assert lines_of(caplog, path) == [f"POST {path} 200"]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_requests_that_came_meanwhile_are_answered_in_their_order(service: Running, gate: Gate) -> None:
    gate.shut()
    service.send("r1")
    await gate.has_come()
    service.writer.write(request("/querorder", {"orderId": "r1"}))
    service.send("r1", "r2")
    await moment()
    gate.open.set()
    replies = [await service.reply() for _ in range(4)]
    assert [reply[9:12] for reply in replies] == [b"200"] * 4
    assert b'"ORDER_ID": "r1"' in replies[1]
    assert [b"Idempotent-Replayed" in reply for reply in replies] == [False, False, True, False]


async def test_a_client_that_sends_no_more_gets_its_replies(service: Running, gate: Gate) -> None:
    gate.shut()
    service.send("r1")
    await gate.has_come()
    (connection,) = cast("list[Connection]", service.connections)
    service.send("r2")
    service.writer.write_eof()
    await eventually(lambda: connection.sends_no_more)
    gate.open.set()
    replies = [await service.reply() for _ in range(2)]
    assert [b"\r\nConnection: close\r\n" in reply for reply in replies] == [False, True]
    assert await service.rest() == b""
    await eventually(lambda: service.connections == [])


async def test_a_client_that_sends_no_more_than_one_order_gets_its_reply(service: Running, gate: Gate) -> None:
    gate.shut()
    service.send("r1")
    await gate.has_come()
    service.writer.write_eof()
    await moment()
    gate.open.set()
    assert (await service.reply()).startswith(b"HTTP/1.1 200 OK\r\n")
    assert await service.rest() == b""
    await eventually(lambda: service.connections == [])


async def test_a_connection_that_is_idle_after_an_order_is_closed(settings: Config, gate: Gate) -> None:
    async with running(settings) as service:
        gate.shut()
        service.send("r1")
        await gate.has_come()
        (connection,) = service.connections
        # The order under way keeps the connection.
        _let_its_time_be_over(connection)
        gate.open.set()
        assert (await service.reply()).startswith(b"HTTP/1.1 200 OK\r\n")
        await eventually(lambda: connection._keepalive_handle is not None)
        _let_its_time_be_over(connection)
        assert await service.rest() == b""


def _let_its_time_be_over(connection: RequestHandler) -> None:
    """Do what aiohttp does when a connection has been open without a request for long enough."""
    if connection._keepalive_handle is not None:
        connection._keepalive_handle.cancel()
    connection._next_keepalive_close_time = 0.0
    connection._process_keepalive()


async def test_a_client_that_reads_no_replies_gets_no_further_order_done(service: Running, gate: Gate) -> None:
    gate.shut()
    service.send("r1")
    await gate.has_come()
    (connection,) = service.connections
    # As the transport does when it holds more than it should.
    connection.pause_writing()
    gate.open.set()
    assert (await service.reply()).startswith(b"HTTP/1.1 200 OK\r\n")
    service.send("r2")
    await moment()
    assert gate.come == 1
    connection.resume_writing()
    assert (await service.reply()).startswith(b"HTTP/1.1 200 OK\r\n")
    assert gate.come == 2


async def test_a_client_that_leaves_without_reading_its_reply_leaves_nothing(service: Running, gate: Gate) -> None:
    gate.shut()
    service.send("r1")
    await gate.has_come()
    (connection,) = service.connections
    connection.pause_writing()
    gate.open.set()
    assert (await service.reply()).startswith(b"HTTP/1.1 200 OK\r\n")
    service.leave()
    await eventually(lambda: service.connections == [])
    assert not connection._request_in_progress


async def test_an_order_that_comes_while_replies_are_unread_waits(service: Running, gate: Gate) -> None:
    (connection,) = service.connections
    connection.pause_writing()
    gate.come = 0
    service.send("r1")
    assert (await service.reply()).startswith(b"HTTP/1.1 200 OK\r\n")
    service.send("r2")
    await moment()
    assert gate.come == 1
    connection.resume_writing()
    assert (await service.reply()).startswith(b"HTTP/1.1 200 OK\r\n")
