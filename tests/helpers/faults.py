"""Faults of a MariaDB that is in use. Each is a context manager, which ends the fault at its exit."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from urllib.error import HTTPError

import pymysql
import pytest

from ..conftest import eventually
from .engines import runs_on
from .servers import MariaDB
from .services import Service


class Proxy:
    """The network between the service and its database. It can lose the replies to commits."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        # Where new connections lead. Open ones are not moved.
        self.host, self.to_port = host, port
        self._to_server: set[asyncio.StreamWriter] = set()
        self._to_client: set[asyncio.StreamWriter] = set()
        self.lets_in = True
        self.answers_to_lose = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        """Yield the port to connect to."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        yield server.sockets[0].getsockname()[1]
        server.close()
        self.cut()

    def cut(self) -> None:
        """Cut every connection that is open."""
        for writer in self._to_server | self._to_client:
            writer.close()

    async def _connected(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        if not self.lets_in:
            to_client.close()
            return
        with suppress(OSError):
            server, to_server = await asyncio.open_connection(self.host, self.to_port)
            self._to_server.add(to_server)
            self._to_client.add(to_client)
            answers = asyncio.ensure_future(_pass_on(server, to_client))
            while data := await client.read(2**16):
                to_server.write(data)
                if b"INSERT INTO `order`" in data and data.endswith(b"COMMIT") and self.answers_to_lose:
                    self.answers_to_lose -= 1
                    # The connection to the server stays open, so the server commits.
                    answers.cancel()
                    to_client.close()
                    return
            to_server.close()
        to_client.close()


async def _pass_on(server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await server.read(2**16):
            to_client.write(data)
    to_client.close()


@dataclass
class Scene:
    """What a fault works on; `refusals` returns the number of 503s so far."""

    mariadb: MariaDB
    proxy: Proxy
    database: str
    service: Service
    refusals: Callable[[], int]

    async def refuses(self) -> None:
        """Wait until a client got a 503."""
        before = self.refusals()
        await eventually(lambda: self.refusals() > before)

    async def logs(self, words: str) -> None:
        """Wait until the service logs these words again."""
        before = self.service.output.read_text().count(words)
        await eventually(lambda: self.service.output.read_text().count(words) > before)

    def failures(self) -> int:
        """Return how many of the service's transactions failed or timed out, each attempt counted."""
        log = self.service.output.read_text()
        return log.count("Transaction failed") + log.count("did not answer within")

    @contextmanager
    def cursor(self) -> Iterator[pymysql.cursors.Cursor]:
        with self.mariadb.connect(database=self.database) as connection, connection.cursor() as cursor:
            yield cursor


Fault = Callable[[Scene], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def killed(scene: Scene) -> AsyncIterator[None]:
    scene.mariadb.kill()
    await scene.refuses()
    yield
    # It listens before it takes sign-ins, and after enough such early connections it never answers anybody.
    scene.proxy.lets_in = not runs_on("oceanbase")
    await asyncio.to_thread(scene.mariadb.start)
    scene.proxy.lets_in = True


@asynccontextmanager
async def hanging(scene: Scene) -> AsyncIterator[None]:
    scene.mariadb.pause()
    await scene.refuses()
    yield
    scene.mariadb.resume()


@asynccontextmanager
async def read_only(scene: Scene) -> AsyncIterator[None]:
    with scene.cursor() as cursor:
        await asyncio.to_thread(cursor.execute, "SET GLOBAL read_only = 1")
        await scene.refuses()
        yield
        cursor.execute("SET GLOBAL read_only = 0")


@asynccontextmanager
async def locked(scene: Scene) -> AsyncIterator[None]:
    """Another transaction holds an account's row for longer than an order waits for it."""
    with scene.cursor() as cursor:
        cursor.execute("BEGIN")
        await asyncio.to_thread(cursor.execute, "SELECT id FROM account WHERE user_id = 'h1' FOR UPDATE")
        await scene.refuses()
        yield
        cursor.execute("ROLLBACK")


@asynccontextmanager
async def deadlocked(scene: Scene) -> AsyncIterator[None]:
    """Another transaction locks accounts in the opposite order. It has written more, so ours is the victim."""
    rows = ",".join(f"({number})" for number in range(5000))
    with scene.cursor() as cursor:
        cursor.execute("CREATE TABLE heavy (id BIGINT PRIMARY KEY) ENGINE=InnoDB")
        ended = asyncio.ensure_future(scene.logs("Deadlock found"))
        while not ended.done():
            cursor.execute("BEGIN")
            cursor.execute(f"INSERT INTO heavy VALUES {rows}")
            for user in ("h3", "h2", "h1"):
                await asyncio.to_thread(
                    cursor.execute, f"SELECT id FROM account WHERE user_id = '{user}' FOR UPDATE"
                )
                await asyncio.sleep(0.01)
            cursor.execute("ROLLBACK")
        cursor.execute("DROP TABLE heavy")
        yield


@asynccontextmanager
async def without_connections(scene: Scene) -> AsyncIterator[None]:
    """Openings wait for a table and hold every connection of the pool. The journal has its own connection."""

    def open_in_vain(number: int) -> tuple[int, str | None]:
        fields = {"userId": f"v{number}", "userName": "N", "sex": "F", "cardNum": "1", "accountId": f"a-v{number}"}
        try:
            scene.service.post("/openacc", **fields, accountType="01")
        except HTTPError as error:
            return error.code, error.headers["Retry-After"]
        return 200, None

    with scene.cursor() as cursor:
        await asyncio.to_thread(cursor.execute, "LOCK TABLES user WRITE")
        openings = [asyncio.create_task(asyncio.to_thread(open_in_vain, number)) for number in range(10)]
        assert set(await asyncio.gather(*openings)) == {(503, "1")}
        yield
        cursor.execute("UNLOCK TABLES")


@asynccontextmanager
async def answers_lost(scene: Scene) -> AsyncIterator[None]:
    """Three times, the connection is cut after COMMIT was sent."""
    scene.proxy.answers_to_lose = 3
    await eventually(lambda: not scene.proxy.answers_to_lose)
    yield


_STOPS = pytest.mark.not_on("foreign", because="it stops the server, or what it takes from everyone")
_FINDS_DEADLOCKS = pytest.mark.not_on("oceanbase", because="it looks for no deadlocks: locks time out")
_LOCKS_TABLES = pytest.mark.not_on("oceanbase", because="LOCK TABLES locks nothing there")

FAULTS = (
    pytest.param(killed, marks=_STOPS),
    pytest.param(hanging, marks=_STOPS),
    pytest.param(read_only, marks=_STOPS),
    pytest.param(locked),
    pytest.param(deadlocked, marks=_FINDS_DEADLOCKS),
    pytest.param(without_connections, marks=_LOCKS_TABLES),
    pytest.param(answers_lost),
)
