"""Fixtures: the service on each database and each queue, and clients for it."""

import asyncio
import gc
import inspect
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web_runner import BaseRunner
from hypothesis import HealthCheck, settings

from myaccount import serving
from myaccount.database import engines, freshness, retries
from myaccount.database.database import Database, open_database
from myaccount.journal import blocked
from myaccount.main import create_app
from myaccount.migrations import startup
from myaccount.migrations.startup import prepare_schema
from myaccount.observability import log_handlers
from myaccount.serving import GracefulRunner
from myaccount.settings.paths import working_path
from myaccount.settings.schema import CONFIGURATION, Config

from .helpers.bank import bank_of
from .helpers.browsers import chromium
from .helpers.engine_tests import (
    pytest_collection_modifyitems,
    pytest_report_header,
    pytest_terminal_summary,
    pytest_testnodedown,
)
from .helpers.engines import new_server, runs_on
from .helpers.holding import holding
from .helpers.journals import another, batches
from .helpers.receivers import receiver, receiving
from .helpers.servers import MariaDB, Redis, free_port
from .helpers.services import start

__all__ = [
    "another",
    "bank_of",
    "batches",
    "chromium",
    "holding",
    "pytest_collection_modifyitems",
    "pytest_report_header",
    "pytest_terminal_summary",
    "pytest_testnodedown",
    "receiver",
    "receiving",
    "start",
]

# The machine may be busy with other tests: how long an example takes says nothing.
settings.register_profile("no deadline", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no deadline")

Client = TestClient[web.Request, web.Application]
Section = dict[str, Any]


# In memory, since databases wait for the disk. What a killed process has written there is kept.
MEMORY = Path("/dev/shm")  # noqa: S108 - each run makes a folder of its own in it
if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 * 2**30:
    tempfile.tempdir = str(MEMORY)


class Server(TestServer):
    """aiohttp's test server, with the service's own runner."""

    async def _make_runner(self, **kwargs: Any) -> BaseRunner:
        return GracefulRunner(self.app)


@pytest.fixture(scope="session", autouse=True)
def _end_soon() -> Iterator[None]:
    """Shorten the wait for connections at the end: without a proxy in front, nobody closes idle ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving, "DRAIN_SECONDS", 0.5)
        yield


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Remove the handlers that a command set up in this test, since its output is closed afterwards.

    The next test has the level of before.
    """
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
    for handler in [handler for handler in root.handlers if type(handler).__module__ == log_handlers.__name__]:
        root.removeHandler(handler)
        handler.close()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return two workers more than there are processors, since many tests wait, but none more beside OceanBase.

    Each worker has a server of its own, and OceanBase takes a gigabyte.
    """
    return (os.cpu_count() or 1) + (0 if os.environ.get("ENGINE") == "oceanbase" else 2)


def pytest_collection_finish() -> None:
    """Keep thousands of collected tests out of each garbage collection, which took a tenth of the time."""
    gc.collect()
    gc.freeze()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Make a hanging coroutine fail at the line where it waits. pytest-timeout shows only the event loop."""
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
        seconds = float(item.config.getoption("timeout") or item.config.getini("timeout")) / 2
        item.obj = _limited(item.obj, seconds)


def _limited(test: Callable[..., Awaitable[None]], seconds: float) -> Callable[..., Awaitable[None]]:
    @wraps(test)
    async def limited(*args: object, **kwargs: object) -> None:
        async with asyncio.timeout(seconds):
            await test(*args, **kwargs)

    return limited


class ClientOf(Client):
    """A client that does not close its server."""

    async def close(self) -> None:
        await self.session.close()


# The time limit where a service and a test wait for each other: longer than a busy machine stalls.
PATIENCE_SECONDS = 60

# `make soak` has much more of everything.
PATIENCE = 6 if int(os.environ.get("SOAK_ROUNDS", "1")) > 1 else 1


async def eventually(condition: Callable[[], bool | Awaitable[bool]], timeout_seconds: float = 60) -> None:
    """Wait until the condition holds. Only for what has no event to wait for."""
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


def new_section(mariadb: MariaDB) -> Section:
    """Return the section of a configuration that names a new database."""
    return {
        "host": mariadb.host,
        "port": mariadb.port,
        "db": mariadb.new_ledger(),
        "user": mariadb.user,
        "password": mariadb.password,
        "minsize": 1,
        "maxsize": 5,
        "connect_timeout": 5,
    }


@pytest.fixture
def mysql_section(mariadb: MariaDB) -> Section:
    """A database of its own."""
    mariadb.prepare_for_test()
    return new_section(mariadb)


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


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated embedded file. Tests copy it, because a migration takes longer than most of them."""
    file = tmp_path_factory.mktemp("embedded") / "myaccount.db"

    async def migrate() -> None:
        config = CONFIGURATION.check({"sqlite_file": str(file)})
        async with open_database(config, file) as database:
            await prepare_schema(database)

    asyncio.run(migrate())
    return file


@pytest.fixture
def config(backend: Section, queue: Section, migrated_file: Path, tmp_path: Path) -> Config:
    if "mysql" not in backend:
        shutil.copy(migrated_file, tmp_path / "myaccount.db")
    data = {
        "port": free_port(),
        "sqlite_file": str(tmp_path / "myaccount.db"),
        "log_folder": str(tmp_path / "logs"),
        # No order is refused because the machine stands still.
        "journal": {"waiting_seconds": PATIENCE_SECONDS},
    }
    checked: Config = CONFIGURATION.check(data | backend | queue)
    return checked


@pytest.fixture
def never_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let service and database wait for each other: on a machine that stands still, none is taken to be away."""
    monkeypatch.setattr(blocked, "WAIT_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(retries, "TRANSACTION_TIMEOUT_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(startup, "TRANSACTION_TIMEOUT_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(freshness, "IDLE_TIMEOUT_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(engines, "POOL_TIMEOUT_SECONDS", PATIENCE_SECONDS)


@pytest.fixture
def long_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let transactions wait for each other's locks as long as a machine that stands still needs."""
    # OceanBase ends deadlocks only by this timeout.
    if not runs_on("oceanbase"):
        monkeypatch.setattr(freshness, "LOCK_TIMEOUT_SECONDS", PATIENCE_SECONDS)


@pytest.fixture
async def client(config: Config, aiohttp_client: Callable[..., Awaitable[Client]]) -> Client:
    """The service, answering on the port of its configuration."""
    return await aiohttp_client(Server(create_app(config), port=config["port"]))


@pytest.fixture
async def unheard(config: Config) -> AsyncIterator[Client]:
    """A service that dispatches no events: inboxes get messages only when they are read."""
    config["listener"]["enabled"] = False
    async with Server(create_app(config)) as server, ClientOf(server) as client:
        yield client


@pytest.fixture
async def database(config: Config, client: Client) -> AsyncIterator[Database]:
    """A second connection to the database of the running service."""
    async with open_database(config, working_path(config["sqlite_file"])) as database:
        yield database
