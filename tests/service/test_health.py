"""Readiness is right, within a second, whatever hangs."""

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from myaccount.appkeys import database_key, health_key
from myaccount.database.database import Database
from myaccount.database.engines import sqlite_engine
from myaccount.database.freshness import Freshness
from myaccount.journal.writer import Journal
from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import Recharge
from myaccount.migrations.runner import head_version
from myaccount.readiness import find_health
from myaccount.settings.schema import Config

from ..conftest import Client, Section, eventually
from ..helpers.actions import balance, open_users, send
from ..helpers.monitoring import ANSWER_SECONDS, ask, readiness
from ..helpers.servers import MariaDB, Redis, free_port
from ..helpers.services import Start

WELL = {"ready": True, "database": "ok", "schema": "ok", "queue": "ok", "redis": "not configured"}
AWAY = WELL | {"ready": False, "database": "away", "schema": "unknown"}
PROBES = 200


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """A server of its own, since it is killed. The service's user may do no more than a service should."""
    server = MariaDB(tmp_path_factory.mktemp("unwell") / "mariadb").start()
    with server.connect("root", "") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER shop@'%' IDENTIFIED BY 'secret'")
        cursor.execute(r"GRANT ALL ON `test\_%`.* TO shop@'%'")
    yield server
    server.kill()


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A server of its own, since it is killed."""
    server = Redis(tmp_path_factory.mktemp("unwell") / "redis").start()
    yield server
    server.stop()


async def assert_it_becomes(port: int, **checks: object) -> None:
    """Wait until that is what is answered, each time in time."""

    async def holds() -> bool:
        return await readiness(port) == WELL | checks

    await eventually(holds)


async def test_a_service_that_is_well_says_so(client: Client, config: Config) -> None:
    await assert_it_becomes(config["port"])
    async with client.get("/healthz") as response:
        assert (response.status, await response.json()) == (200, {"status": "ok"})


async def test_without_its_schema_it_is_not_ready(client: Client, config: Config, database: Database) -> None:
    there, elsewhere = "alembic_version", "elsewhere"
    await database.write(lambda c: c.execute(text(f"ALTER TABLE {there} RENAME TO {elsewhere}")))
    await assert_it_becomes(config["port"], ready=False, schema=f"at version none, not {head_version()}")
    await database.write(lambda c: c.execute(text(f"ALTER TABLE {elsewhere} RENAME TO {there}")))
    await assert_it_becomes(config["port"])


async def test_with_a_full_queue_it_is_not_ready(client: Client, config: Config, database: Database) -> None:
    def announce(event_id: int) -> None:
        pytest.fail("nothing of this is settled")

    # A journal whose writer was never begun takes what it is given and settles nothing.
    journal = Journal(database, announce, waiting_limit=2)
    client.app[health_key]._journal = journal
    waiting = [asyncio.create_task(journal.submit(Recharge(f"r{n}", "u1", Amount(1, 2)))) for n in range(2)]
    await asyncio.sleep(0)
    await assert_it_becomes(config["port"], ready=False, queue="full")
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_probing_changes_nothing_and_keeps_nobody_waiting(
    client: Client, config: Config, database: Database
) -> None:
    await open_users(client, "u1")

    async def probe(stop: asyncio.Event) -> None:
        while not stop.is_set():
            assert await client.app[database_key].probe(find_health) == ("ok", "ok", "")

    stop = asyncio.Event()
    probing = [asyncio.create_task(probe(stop)) for _ in range(2)]
    for n in range(50):
        assert (await send(client, "/recharge", orderId=f"r{n}", userId="u1", amount="1"))[0] == 200
    stop.set()
    await asyncio.gather(*probing)
    assert await balance(client, "u1") == "50.00"


async def test_probes_are_not_among_the_lines_of_the_log_but_others_are(
    client: Client, patient_probes: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "myaccount.access"):
        for path in ("/healthz", "/readyz", "/errors"):
            async with client.get(path) as response:
                assert response.status == 200
    assert [record.args[1] for record in caplog.records if record.name == "myaccount.access"] == ["/errors"]  # type: ignore[index]


class TestMariaDB:
    @pytest.fixture
    def backend(self, mysql_section: Section) -> Section:
        return {"mysql": mysql_section | {"user": "shop"}}

    async def test_while_the_server_is_dead_it_is_not_ready_and_then_it_is(
        self, client: Client, config: Config, mariadb: MariaDB
    ) -> None:
        await assert_it_becomes(config["port"])
        mariadb.kill()
        await assert_it_becomes(config["port"], **AWAY)
        await asyncio.to_thread(mariadb.start)
        await assert_it_becomes(config["port"])

    async def test_a_connection_that_was_lost_meanwhile_is_nothing_to_speak_of(
        self, client: Client, mariadb: MariaDB
    ) -> None:
        database = client.app[database_key]
        assert await database.probe(find_health) == ("ok", "ok", "")
        mariadb.kill()
        await asyncio.to_thread(mariadb.start)
        assert await database.probe(find_health) == ("ok", "ok", "")

    async def test_while_the_server_hangs_every_probe_is_answered_in_time(
        self, client: Client, config: Config, mariadb: MariaDB
    ) -> None:
        await assert_it_becomes(config["port"])
        mariadb.pause()
        try:
            await assert_it_becomes(config["port"], **AWAY)
            answers = [await asyncio.to_thread(ask, config["port"], "/readyz") for _ in range(5)]
            assert {answer.status for answer in answers} == {503}
            # But for one that came while this machine stood still.
            assert sum(answer.seconds >= ANSWER_SECONDS for answer in answers) <= 1
            assert (await asyncio.to_thread(ask, config["port"], "/healthz")).status == 200
        finally:
            mariadb.resume()
        await assert_it_becomes(config["port"])

    async def test_a_flood_of_probes_of_a_hanging_server_is_one_question(
        self, client: Client, config: Config, mariadb: MariaDB
    ) -> None:
        mariadb.pause()
        try:
            await assert_it_becomes(config["port"], **AWAY)
            probes = [asyncio.create_task(client.app[health_key].readiness()) for _ in range(PROBES)]

            def asking() -> int:
                return len([task for task in asyncio.all_tasks() if task.get_name() == "probe"])

            await eventually(lambda: asking() > 0 or all(probe.done() for probe in probes))
            # One of the database, and perhaps one of Redis.
            assert asking() <= 2
            assert {answer.database for answer in await asyncio.gather(*probes)} == {"away"}
        finally:
            mariadb.resume()
        await assert_it_becomes(config["port"])

    async def test_a_server_that_takes_no_writes_makes_it_not_ready(
        self, client: Client, config: Config, mariadb: MariaDB
    ) -> None:
        with mariadb.connect("root", "") as connection, connection.cursor() as cursor:
            cursor.execute("SET GLOBAL read_only = 1")
            try:
                await assert_it_becomes(config["port"], ready=False, database="not writable")
            finally:
                cursor.execute("SET GLOBAL read_only = 0")
        await assert_it_becomes(config["port"])

    async def test_what_others_have_locked_delays_no_probe(
        self, client: Client, config: Config, mariadb: MariaDB
    ) -> None:
        await open_users(client, "u1")
        with mariadb.connect("root", "", config["mysql"]["db"]) as other, other.cursor() as cursor:
            other.begin()
            # Not in the event loop: the service may be using the rows, and must be able to finish.
            await asyncio.to_thread(cursor.execute, "SELECT * FROM account FOR UPDATE")
            await assert_it_becomes(config["port"])
            other.rollback()
            await asyncio.to_thread(cursor.execute, "LOCK TABLES account WRITE")
            await assert_it_becomes(config["port"], **AWAY)
            cursor.execute("UNLOCK TABLES")
        await assert_it_becomes(config["port"])

    async def test_probes_need_none_of_the_connections_that_all_others_wait_for(
        self, client: Client, config: Config, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        database = client.app[database_key]
        holding, free = 0, asyncio.Event()

        async def hold(connection: AsyncConnection) -> None:
            nonlocal holding
            holding += 1
            await free.wait()

        holders = [asyncio.ensure_future(database.read(hold)) for _ in range(4)]
        await eventually(lambda: holding == 4)
        # From now on, a request that finds no free connection gives up after half a second.
        monkeypatch.setattr(database._engine.pool, "_timeout", 0.5)
        status, problem, _ = await send(client, "/querorder", orderId="r1")
        assert (status, problem["code"]) == (503, "overloaded")
        await assert_it_becomes(config["port"])
        free.set()
        await asyncio.gather(*holders)


class TestSQLite:
    @pytest.fixture
    def backend(self) -> Section:
        return {}

    async def test_a_file_that_another_writes_to_can_be_written_to(self, client: Client, config: Config) -> None:
        with closing(
            sqlite3.connect(config["sqlite_file"], isolation_level=None, check_same_thread=False)
        ) as other:
            # Not in the event loop: the service may be writing, and must be able to finish.
            await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
            # Somebody writes, so it can be written to.
            await assert_it_becomes(config["port"])

    async def test_a_file_that_takes_no_writes_makes_it_not_ready(self, client: Client, config: Config) -> None:
        file = Path(config["sqlite_file"])
        read_only = create_async_engine(f"sqlite+aiosqlite:///file:{file}?mode=ro&uri=true")
        database = Database(sqlite_engine(file, 1), sqlite_engine(file, 1), read_only, Freshness())
        assert await database.probe(find_health) == (
            "not writable",
            "ok",
            "takes no writes: attempt to write a readonly database",
        )
        await database.close()


class TestRedis:
    @pytest.fixture
    def queue(self, redis_section: Section) -> Section:
        return {"redis": redis_section}

    async def test_redis_is_reported_and_not_needed(
        self, client: Client, config: Config, redis_server: Redis
    ) -> None:
        await assert_it_becomes(config["port"], redis="ok")
        redis_server.pause()
        await assert_it_becomes(config["port"], redis="away")
        redis_server.resume()
        await assert_it_becomes(config["port"], redis="ok")
        redis_server.kill()
        await assert_it_becomes(config["port"], redis="away")
        await asyncio.to_thread(redis_server.start)
        await assert_it_becomes(config["port"], redis="ok")


async def test_the_process_answers_by_itself_on_both_ports(start: Start) -> None:
    metrics_port = free_port()
    service = await asyncio.to_thread(start, "python3", "myaccount", metrics={"port": metrics_port})
    for port in (metrics_port, int(service.address.rpartition(":")[2])):
        await assert_it_becomes(port)
        assert ask(port, "/healthz").text == '{"status": "ok"}\n'
