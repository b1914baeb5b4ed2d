"""The database's address leads to another server: a replica that took over, perhaps without the newest rows."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from myaccount.database import freshness as freshness_module
from myaccount.ledger.changes import CHANGE_TYPES
from myaccount.listener import hold_sweeper as sweeper_module
from myaccount.main import create_app
from myaccount.settings.paths import resource
from myaccount.settings.schema import Config

from ..conftest import Client, Section, Server, eventually
from ..helpers.actions import balance, open_users, send, transfer
from ..helpers.faults import Proxy
from ..helpers.receivers import Receiving
from ..helpers.servers import MariaDB, program


class Pair:
    """An old and a new server with the same database, and the address that leads to one of them."""

    def __init__(self, old: MariaDB, new: MariaDB, database: str) -> None:
        self.old = old
        self.new = new
        self.database = database
        self.proxy = Proxy(old.port)

    def copy(self) -> None:
        """Copy the old server's data to the new one."""
        options = ["--no-defaults", "--host=127.0.0.1", f"--user={MariaDB.user}", f"--password={MariaDB.password}"]
        dump = subprocess.run(
            [program("mariadb-dump", "mariadb-client"), *options, f"--port={self.old.port}", self.database],
            check=True,
            capture_output=True,
        )
        subprocess.run(
            [program("mariadb", "mariadb-client"), *options, f"--port={self.new.port}", self.database],
            input=dump.stdout,
            check=True,
        )

    def on_new(self, statement: str) -> object:
        return self._first(self.new, statement)

    def on_old(self, statement: str) -> object:
        return self._first(self.old, statement)

    def _first(self, server: MariaDB, statement: str) -> object:
        with server.connect(database=self.database) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone()
        return row[0] if row else None

    def demote_old(self) -> None:
        """Make the old server read-only, with its connections still open; the address leads to the new one."""
        _set_read_only(self.old, 1)
        self.proxy.to_port = self.new.port


def _set_read_only(server: MariaDB, value: int) -> None:
    with server.connect("root", "") as connection, connection.cursor() as cursor:
        cursor.execute(f"SET GLOBAL read_only = {value}")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MariaDB, MariaDB]]:
    started = [MariaDB(tmp_path_factory.mktemp(name) / "server").start() for name in ("old", "new")]
    for server in started:
        with server.connect("root", "") as connection, connection.cursor() as cursor:
            # A user with all privileges may write to a read-only server.
            cursor.execute("CREATE USER shop@'%' IDENTIFIED BY 'secret'")
            cursor.execute(r"GRANT ALL ON `test\_%`.* TO shop@'%'")
    yield started[0], started[1]
    for server in started:
        server.kill()


@pytest.fixture
async def pair(servers: tuple[MariaDB, MariaDB]) -> AsyncIterator[Pair]:
    old, new = servers
    database = old.new_database()
    assert new.new_database() == database
    pair = Pair(old, new, database)
    yield pair
    for server in servers:
        _set_read_only(server, 0)


@pytest.fixture
async def backend(pair: Pair) -> AsyncIterator[Section]:
    for server in (pair.old, pair.new):
        server.run_script(pair.database, resource("sql/sql.sql"))
    async with pair.proxy.open() as port:
        yield {
            "mysql": {
                "host": "127.0.0.1", "port": port, "db": pair.database, "user": "shop", "password": "secret",
            },
            # It would open connections at unpredictable times.
            "listener": {"enabled": False},
        }  # fmt: skip


@pytest.fixture
def swept_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweeper of holds takes no connection again."""
    monkeypatch.setattr(sweeper_module, "SWEEP_SECONDS", 3600)


async def _name(client: Client) -> str:
    status, body, _ = await send(client, "/queryacc", userId="u1")
    assert status == 200
    name: str = body["result"][0]["USER_NAME"]
    return name


async def test_a_user_that_the_new_server_lost_is_not_confused_with_the_new_owner_of_the_key(
    client: Client, pair: Pair
) -> None:
    await open_users(client, "u1")
    await asyncio.to_thread(pair.copy)
    await open_users(client, "lost1")
    assert (await send(client, "/recharge", orderId="r1", userId="lost1", amount="100"))[0] == 200
    pair.proxy.to_port = pair.new.port
    pair.proxy.cut()
    await open_users(client, "new1")
    # The key that lost1 had on the old server.
    assert pair.on_new("SELECT id FROM account WHERE user_id = 'new1'") == 3
    assert (await send(client, "/recharge", orderId="r2", userId="lost1", amount="100"))[0] == 404
    assert (await send(client, "/recharge", orderId="r3", userId="new1", amount="1"))[0] == 200
    assert (await transfer(client, "t1", "lost1", "u1", "1"))[:2] == (404, "user_not_found")
    assert (await balance(client, "new1"), await balance(client, "u1")) == ("1.00", "0.00")


async def test_a_write_that_the_old_server_refuses_replaces_every_connection(
    client: Client, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness_module, "CHECKED_SECONDS", 3600)
    await open_users(client, "u1")
    # Every connection is open, including the journal's.
    assert (await send(client, "/recharge", orderId="r0", userId="u1", amount="1"))[0] == 200
    await asyncio.gather(*[send(client, "/querorder", orderId="r1") for _ in range(10)])
    await asyncio.to_thread(pair.copy)
    pair.on_new("UPDATE user SET user_name = 'on the new server'")
    pair.demote_old()
    assert (await send(client, "/recharge", orderId="r1", userId="u1", amount="1"))[0] == 200
    answers = await asyncio.gather(*[send(client, "/querorder", orderId="r1") for _ in range(10)])
    assert [status for status, _, _ in answers] == [200] * 10
    assert await _name(client) == "on the new server"
    await open_users(client, "u2")
    assert pair.on_new("SELECT COUNT(*) FROM account") == 3


async def test_an_opening_that_the_old_server_refuses_goes_to_the_new_one(client: Client, pair: Pair) -> None:
    await open_users(client, "u1")
    await asyncio.to_thread(pair.copy)
    pair.demote_old()
    await open_users(client, "u2")
    assert pair.on_new("SELECT COUNT(*) FROM account") == 3


async def test_a_service_that_only_reads_notices_that_its_server_is_no_longer_the_writer(
    client: Client, pair: Pair
) -> None:
    await open_users(client, "u1")
    await asyncio.to_thread(pair.copy)
    pair.on_new("UPDATE user SET user_name = 'on the new server'")
    pair.demote_old()

    async def reads_the_new_one() -> bool:
        return await _name(client) == "on the new server"

    await eventually(reads_the_new_one)


async def test_a_service_that_only_reads_reads_the_new_server_once_the_interval_of_the_checks_is_over(
    swept_once: None, unheard: Client, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else that runs by itself finds out before."""
    now = time.monotonic()

    def clock() -> float:
        nonlocal now
        now += 1e-6
        return now

    monkeypatch.setattr(freshness_module, "time", SimpleNamespace(monotonic=clock))
    await open_users(unheard, "u1")
    await asyncio.gather(*[_name(unheard) for _ in range(10)])
    await asyncio.to_thread(pair.copy)
    pair.on_new("UPDATE user SET user_name = 'on the new server'")
    pair.demote_old()
    # Only the clock makes the next reads check.
    assert await _name(unheard) == "N"
    now += freshness_module.CHECKED_SECONDS
    assert {await _name(unheard) for _ in range(10)} == {"on the new server"}


@pytest.mark.parametrize("commits", ["the same process", "another process"])
async def test_an_event_that_is_committed_on_the_new_server_is_delivered(
    commits: str, pair: Pair, config: Config, receiver: Receiving, aiohttp_client: Any
) -> None:
    endpoint = {"url": receiver.url, "events": sorted(CHANGE_TYPES), "timeout_seconds": 5.0, "trust_env": False}
    taking: Any = {**config, "callbacks": [endpoint]}
    listening: Any = {**taking, "listener": {"enabled": True}}
    listener = await aiohttp_client(Server(create_app(listening)))
    client = listener if commits == "the same process" else await aiohttp_client(Server(create_app(taking)))
    await open_users(client, "u1")
    await receiver.receiver.until_called(1)
    await eventually(lambda: pair.on_old("SELECT COUNT(*) FROM event") == 0)
    await eventually(lambda: pair.on_old("SELECT COUNT(*) FROM delivery") == 0)
    await asyncio.to_thread(pair.copy)
    pair.demote_old()
    assert (await send(client, "/recharge", orderId="r1", userId="u1", amount="1"))[0] == 200
    await eventually(lambda: receiver.receiver.received() == {"a-u1": 1, "r1": 1})
    async with listener.get("/messages", params={"userId": "u1"}) as response:
        types = [message["MESSAGE_TYPE"] for message in (await response.json())["result"]]
    assert types == ["recharge", "account_opened"]
    assert pair.on_new("SELECT COUNT(*) FROM event") == 0


async def test_a_database_that_is_read_only_everywhere_can_be_read(
    client: Client, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each use of a connection checks the server.
    monkeypatch.setattr(freshness_module, "CHECKED_SECONDS", 0)
    await open_users(client, "u1")
    _set_read_only(pair.old, 1)
    for _ in range(3):
        assert await balance(client, "u1") == "0.00"
    assert (await send(client, "/recharge", orderId="r1", userId="u1", amount="1"))[0] == 503
    _set_read_only(pair.old, 0)
    assert (await send(client, "/recharge", orderId="r1", userId="u1", amount="1"))[0] == 200
