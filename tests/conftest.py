"""The service on each backend and each queue, and what the tests look at it with."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web_runner import BaseRunner

from myaccount import serving
from myaccount.main import create_app
from myaccount.resources import resource, working_path
from myaccount.serving import Runner
from myaccount.settings import CONFIGURATION, Config
from myaccount.store.database import Database, open_database

from .bank import bank_of
from .engines import new_server, pytest_collection_modifyitems, pytest_report_header
from .receivers import receiver, receiving
from .servers import MariaDB, Redis, free_port
from .services import start

__all__ = [
    "bank_of",
    "pytest_collection_modifyitems",
    "pytest_report_header",
    "receiver",
    "receiving",
    "start",
]

Client = TestClient[web.Request, web.Application]
Section = dict[str, Any]


class Server(TestServer):
    """aiohttp's test server, with the service's own way to run and to end."""

    async def _make_runner(self, **kwargs: Any) -> BaseRunner:
        return Runner(self.app)


@pytest.fixture(scope="session", autouse=True)
def _end_soon() -> Iterator[None]:
    """Nobody stands before the services of this process who would let go of a connection by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving, "DRAIN_SECONDS", 0.5)
        yield


class ClientOf(Client):
    """A client whose server is another's to close."""

    async def close(self) -> None:
        await self.session.close()


# `make soak` has much more of everything.
PATIENCE = 6 if int(os.environ.get("SOAK_ROUNDS", "1")) > 1 else 1


async def eventually(condition: Callable[[], bool | Awaitable[bool]], timeout_seconds: float = 20) -> None:
    """Return once the condition holds; for what gives no event to wait for."""
    async with asyncio.timeout(timeout_seconds * PATIENCE):
        while True:
            holds = condition()
            if holds if isinstance(holds, bool) else await holds:
                return
            await asyncio.sleep(0.01)


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    server = new_server(tmp_path_factory.mktemp("mariadb") / "server").start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = Redis(tmp_path_factory.mktemp("redis") / "server").start()
    yield server
    server.stop()


@pytest.fixture
def mysql_section(mariadb: MariaDB) -> Section:
    """A database of its own, set up by hand as the README says."""
    database = mariadb.new_database()
    mariadb.run_script(database, resource("sql/sql.sql"))
    return {
        "host": mariadb.host,
        "port": mariadb.port,
        "db": database,
        "user": mariadb.user,
        "password": mariadb.password,
        "minsize": 1,
        "maxsize": 5,
        "connect_timeout": 5,
    }


@pytest.fixture
def redis_section(redis_server: Redis) -> Section:
    with redis_server.client() as client:
        client.flushall()
    return {"host": "127.0.0.1", "port": redis_server.port, "minsize": 1, "maxsize": 5}


@pytest.fixture(params=["sqlite", "mariadb"])
def backend(request: pytest.FixtureRequest) -> Section:
    """The part of the configuration that chooses the database."""
    if request.param == "sqlite":
        return {}
    return {"mysql": request.getfixturevalue("mysql_section")}


@pytest.fixture
def queue() -> Section:
    """The part of the configuration that chooses the queue: in the process, unless a test says otherwise."""
    return {}


@pytest.fixture
def config(backend: Section, queue: Section, tmp_path: Any) -> Config:
    data = {
        "port": free_port(),
        "sqlite_file": str(tmp_path / "myaccount.db"),
        "log_folder": str(tmp_path / "logs"),
    }
    checked: Config = CONFIGURATION.check(data | backend | queue)
    return checked


@pytest.fixture
async def client(config: Config, aiohttp_client: Callable[..., Awaitable[Client]]) -> Client:
    """The service, answering on the port of its configuration."""
    return await aiohttp_client(Server(create_app(config), port=config["port"]))


@pytest.fixture
async def database(config: Config, client: Client) -> AsyncIterator[Database]:
    """A second way to the database of the running service."""
    async with open_database(config, working_path(config["sqlite_file"])) as database:
        yield database
