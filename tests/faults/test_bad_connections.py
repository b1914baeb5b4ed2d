"""Clients that send too much, too slowly, or what can be read in two ways: straight, and through nginx."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from myaccount import serving
from myaccount.main import create_app

from ..conftest import Server, eventually, new_section
from ..helpers.deployments import BEHIND_NGINX, Nginx, port_of, start_gunicorn, workers_of
from ..helpers.servers import MariaDB
from ..helpers.services import Service, starting

SLOW = 500
# After so long, a slow client is disconnected.
SLOW_SECONDS = 2
ATTEMPTS = 3
MIB = 2**20
HEAD = (
    b"POST /queryacc HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n"
)


@pytest.fixture(scope="module")
def service(mariadb: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One for all tests: whatever a client sends, it serves the next."""
    with starting(tmp_path_factory.mktemp("service")) as start:
        yield start_gunicorn(start, 2, mysql=new_section(mariadb), **BEHIND_NGINX)


@pytest.fixture(scope="module")
def nginx(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    nginx = Nginx(tmp_path_factory.mktemp("before") / "nginx", port_of(service)).start()
    yield nginx
    nginx.stop()


@pytest.fixture
def hasty_nginx(service: Service, tmp_path: Path) -> Iterator[Nginx]:
    nginx = Nginx(tmp_path / "nginx", port_of(service), slow_seconds=SLOW_SECONDS).start()
    yield nginx
    nginx.stop()


@pytest.fixture(params=["straight", "nginx"])
def port(request: pytest.FixtureRequest, service: Service, nginx: Nginx) -> int:
    return port_of(service) if request.param == "straight" else nginx.port


async def _answer(port: int, *sent: bytes) -> tuple[int, bytes]:
    """Return the status and the rest of the answer, after which the connection must be closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(60):
            for part in sent:
                writer.write(part)
                await writer.drain()
    except (ConnectionError, TimeoutError):
        # It is not taken any more: the answer has come, or nothing comes.
        pass
    answer = b""
    with suppress(ConnectionError):
        async with asyncio.timeout(60):
            # In parts, since what came before a reset counts.
            while part := await reader.read(2**16):
                answer += part
    writer.close()
    found = re.match(rb"HTTP/1\.[01] (\d+)", answer)
    return int(found[1]) if found else 0, answer


async def _serves(port: int) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{port}/queryacc", data={"userId": "u1"}) as response,
    ):
        assert (response.status, await response.json()) == (200, {"result": []})


async def _serves_at_last(port: int) -> None:
    """As `_serves`, where slow clients are disconnected: this process is one if the machine stands still."""
    for _ in range(ATTEMPTS):
        began = time.monotonic()
        try:
            return await _serves(port)
        except aiohttp.ClientConnectionError:
            assert time.monotonic() - began > SLOW_SECONDS / 2
    raise AssertionError(f"{ATTEMPTS} requests in succession were not served")


def _memory_mib(service: Service) -> float:
    return max(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / MIB for pid in workers_of(service))


def _open_files(service: Service) -> int:
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in workers_of(service))


async def test_a_header_of_20_kib_is_refused(port: int) -> None:
    status, answer = await _answer(port, HEAD + b"X-Long: " + b"x" * 20_000 + b"\r\n\r\n")
    assert status == 400, answer
    await _serves(port)


async def test_a_body_of_100_mb_is_refused_and_takes_no_memory(port: int, service: Service) -> None:
    await _serves(port)
    before = _memory_mib(service)
    length = b"Content-Length: %d\r\n\r\n" % (100 * MIB)
    status, answer = await _answer(port, HEAD + length, *[b"x" * MIB] * 100)
    # A client that is still sending may find the connection closed before it has seen the answer.
    assert status in (413, 0), answer
    chunks = [b"100000\r\n" + b"x" * MIB + b"\r\n"] * 100
    status, answer = await _answer(port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *chunks)
    assert status in (413, 0), answer
    assert _memory_mib(service) - before < 20
    await _serves(port)


async def test_a_body_a_little_too_large_is_answered_as_the_contract_says(port: int) -> None:
    body = b"userId=" + b"x" * 17_000
    status, answer = await _answer(port, HEAD + b"Content-Length: %d\r\n\r\n" % len(body), body)
    assert status == 413
    assert b"application/problem+json" in answer
    assert b'"code": "payload_too_large"' in answer


async def test_lengths_that_contradict_each_other_are_refused(port: int) -> None:
    for lengths in (
        b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nuserId=u1\r\n0\r\n\r\n",
        b"Content-Length: 9\r\nContent-Length: 8\r\n\r\nuserId=u1",
        b"Transfer-Encoding: chunked, identity\r\n\r\n9\r\nuserId=u1\r\n0\r\n\r\n",
        b"Content-Length: +9\r\n\r\nuserId=u1",
    ):
        status, answer = await _answer(port, HEAD + lengths)
        assert status in (400, 501), answer
    await _serves(port)


async def test_500_slow_connections_are_closed_by_nginx_and_the_others_served(
    service: Service, hasty_nginx: Nginx
) -> None:
    for _ in range(20):
        await _serves_at_last(hasty_nginx.port)
    before = _memory_mib(service)
    await _be_slow(hasty_nginx.port)
    assert _memory_mib(service) - before < 5


@pytest.fixture
async def hasty(config: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """The port of a service that does not wait for long: by itself it takes more than a minute."""
    monkeypatch.setattr(serving, "KEEPALIVE_SECONDS", SLOW_SECONDS)
    server = Server(create_app(config), port=config["port"])
    await server.start_server()
    yield config["port"]
    await server.close()


async def test_500_slow_connections_are_closed_by_the_service_and_the_others_served(hasty: int) -> None:
    await _be_slow(hasty)


async def test_500_slow_connections_take_little_memory_and_leave_none_taken(service: Service) -> None:
    port = port_of(service)
    for _ in range(20):
        await _serves(port)
    memory, files = _memory_mib(service), _open_files(service)
    # Of the connections before, some may not be closed yet; one to the database may come.
    others = 20
    for _ in range(3):
        async with _slow_connections(port):
            await eventually(lambda: _open_files(service) > files + SLOW - others)
            await _serves(port)
        await eventually(lambda: _open_files(service) < files + others)
    assert _memory_mib(service) - memory < 10


async def _be_slow(port: int) -> None:
    """Have many connections whose request never becomes whole, and see that they are closed."""
    async with _slow_connections(port) as readers:
        await _serves_at_last(port)
        closed = asyncio.gather(*[_until_closed(reader) for reader in readers])
        while not closed.done():
            await _serves_at_last(port)
        await closed


@asynccontextmanager
async def _slow_connections(port: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    async with AsyncExitStack() as stack:
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(SLOW)]
        for _, writer in connections:
            stack.callback(writer.close)
            writer.write(HEAD[:20])
        yield [reader for reader, _ in connections]


async def _until_closed(reader: asyncio.StreamReader) -> None:
    try:
        async with asyncio.timeout(60):
            await reader.read()
    except ConnectionError:
        pass
