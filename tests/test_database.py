"""A database that fails for a moment is asked again; one that stays away makes a 503 and loses nothing."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from sqlalchemy import TextClause, func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.configuration import Config
from myaccount.keys import database_key
from myaccount.ledger.decide import Order
from myaccount.ledger.errors import Unavailable
from myaccount.model.tables import account, order
from myaccount.store import database as database_module
from myaccount.store.batches import BatchConnection
from myaccount.store.database import Database
from myaccount.store.mysql_batch import MysqlBatch

from .actions import assert_books_balance, balance, open_users, send, transfer
from .conftest import Client, Section
from .servers import MariaDB


async def test_work_that_clashes_is_run_again_and_then_committed_once(database: Database) -> None:
    tries = 0

    async def work(connection: AsyncConnection) -> int:
        nonlocal tries
        tries += 1
        # The key of the external account exists already: the first time, this is a clash.
        key = 1 if tries == 1 else 1000
        row = {"id": key, "account_id": f"x{key}", "account_type": "t", "currency": "CNY", "balance": 0}
        await connection.execute(account.insert(), row | {"created_at": database_module.utc_now()})
        return key

    assert await database.write(work) == 1000
    assert tries == 2


async def test_work_that_clashes_every_time_is_a_fault_and_is_told_as_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "FIRST_PAUSE_SECONDS", 0.001)
    again = account.insert().values(
        id=1, account_id="x", account_type="t", currency="CNY", balance=0, created_at=database_module.utc_now()
    )
    with pytest.raises(IntegrityError):
        await database.write(lambda connection: connection.execute(again))


async def test_a_statement_that_is_wrong_is_not_run_again(database: Database) -> None:
    tries = 0

    async def work(connection: AsyncConnection) -> None:
        nonlocal tries
        tries += 1
        driver = (await connection.get_raw_connection()).driver_connection
        cursor = await driver.cursor()  # type: ignore[union-attr]
        # SQLite calls a missing table a state of the database, but a parameter too many is a fault to it too.
        wrong = ("SELECT 1", (1,)) if connection.dialect.name == "sqlite" else ("SELECT * FROM nowhere", ())
        await cursor.execute(*wrong)

    with pytest.raises(Exception, match=r"(?i)bindings|exist"):
        await database.write(work)
    assert tries == 1


async def test_what_work_raises_itself_rolls_back_and_is_raised(database: Database) -> None:
    async def work(connection: AsyncConnection) -> None:
        await connection.execute(update(account).values(balance=5))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(work)
    assert await database.read(lambda connection: connection.scalar(select(account.c.balance))) == 0


async def test_a_batch_that_fails_lets_go_of_what_it_locked(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(batch: BatchConnection) -> None:
        await batch.begin([1], ["o1"])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await client.app[database_key].batch(work)
    monkeypatch.setattr(database_module, "TRANSACTION_TIMEOUT_SECONDS", 0.5)
    await database.write(lambda connection: connection.execute(update(account).values(floor=None)))


async def test_a_batch_whose_last_statement_fails_leaves_nothing(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_users(client, "u1")
    monkeypatch.setattr(database_module, "FIRST_PAUSE_SECONDS", 0.001)

    async def work(batch: BatchConnection) -> None:
        keys = await batch.find_first_accounts(["u1"])
        await batch.begin(keys.values(), ["o1"])
        # The table itself refuses a balance below the floor, after the order went in.
        await batch.commit(
            [Order("o1", "02", keys["u1"], 1, 5, -5, 5)], {keys["u1"]: -5}, database_module.utc_now()
        )

    with pytest.raises((Unavailable, sqlite3.IntegrityError, pymysql.err.Error)):
        await client.app[database_key].batch(work)
    assert await database.read(lambda connection: connection.scalar(select(func.count()).select_from(order))) == 0
    assert await balance(client, "u1") == "0.00"


async def _then_fail(work: Awaitable[None]) -> None:
    """Fail, so that nothing is left open."""
    await work
    raise ZeroDivisionError


async def _row(connection: AsyncConnection, query: TextClause) -> tuple[Any, ...] | None:
    row = (await connection.execute(query)).first()
    return tuple(row) if row else None


class TestMariaDB:
    @pytest.fixture
    def backend(self, mysql_section: Section) -> Section:
        return {"mysql": mysql_section}

    @pytest.fixture
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(database_module, "FIRST_PAUSE_SECONDS", 0.001)

    async def test_sessions_are_strict_and_see_what_was_committed(self, database: Database) -> None:
        query = text("SELECT @@sql_mode, @@innodb_lock_wait_timeout, @@tx_isolation, @@character_set_client")
        row = await database.read(lambda connection: _row(connection, query))
        assert row == ("STRICT_ALL_TABLES", 2, "READ-COMMITTED", "utf8mb4")

    async def test_without_a_free_connection_a_503_comes_quickly(
        self, client: Client, config: Config, mariadb: MariaDB, mysql_section: Section
    ) -> None:
        await open_users(client, "u1")
        with mariadb.connect(database=mysql_section["db"]) as other, other.cursor() as cursor:
            cursor.execute("LOCK TABLES `order` WRITE")
            queries = [asyncio.ensure_future(send(client, "/querorder", orderId="r1")) for _ in range(20)]
            done, _ = await asyncio.wait(queries, return_when=asyncio.FIRST_COMPLETED)
            assert {(query.result()[0], query.result()[1]["code"]) for query in done} == {(503, "overloaded")}
            cursor.execute("UNLOCK TABLES")
        answers = await asyncio.gather(*queries)
        assert sorted(status for status, _, _ in answers) == [404] * 4 + [503] * 16

    async def test_a_deadlock_is_resolved_by_trying_again(self, database: Database) -> None:
        """Two transactions that lock two rows in opposite order: the server ends one of them."""
        both_have_one = asyncio.Barrier(2)
        tries: list[int] = []

        def locking(first: int, second: int) -> Any:
            async def work(connection: AsyncConnection) -> None:
                tries.append(first)
                await connection.execute(update(account).where(account.c.id == first).values(floor=None))
                if len(tries) <= 2:
                    await both_have_one.wait()
                await connection.execute(update(account).where(account.c.id == second).values(floor=None))

            return work

        two = account.insert().values(
            id=2,
            account_id="two",
            account_type="t",
            currency="CNY",
            balance=0,
            created_at=database_module.utc_now(),
        )
        await database.write(lambda connection: connection.execute(two))
        await asyncio.gather(database.write(locking(1, 2)), database.write(locking(2, 1)))
        assert len(tries) == 3

    async def test_a_connection_cut_in_a_transaction_is_replaced(
        self, database: Database, mariadb: MariaDB
    ) -> None:
        tries = 0

        async def work(connection: AsyncConnection) -> int:
            nonlocal tries
            tries += 1
            if tries == 1:
                id_ = await connection.scalar(text("SELECT CONNECTION_ID()"))
                with mariadb.connect() as other, other.cursor() as cursor:
                    cursor.execute(f"KILL {id_}")
            result = await connection.execute(update(account).values(floor=None))
            return result.rowcount

        assert await database.write(work) == 1
        assert tries == 2

    async def test_orders_wait_for_a_lock_held_elsewhere(
        self, client: Client, mariadb: MariaDB, mysql_section: Section
    ) -> None:
        await open_users(client, "u1")
        with mariadb.connect(database=mysql_section["db"]) as other, other.cursor() as cursor:
            other.begin()
            cursor.execute("SELECT * FROM account FOR UPDATE")
            order = asyncio.ensure_future(send(client, "/recharge", orderId="r1", userId="u1", amount="1"))
            await asyncio.sleep(0.1)
            assert not order.done()
            other.rollback()
        assert (await order)[0] == 200

    async def test_work_whose_commit_was_not_answered_is_settled_by_its_order_id(
        self, client: Client, database: Database, monkeypatch: pytest.MonkeyPatch, impatient: None
    ) -> None:
        """The connection is lost after the server has committed and before it said so."""
        await open_users(client, "u1")
        lost = 0
        original = MysqlBatch.commit

        async def commit(self: MysqlBatch, *decided: Any) -> None:
            nonlocal lost
            await original(self, *decided)
            lost += 1
            if lost == 1:
                raise ConnectionResetError("the answer never came")

        monkeypatch.setattr(MysqlBatch, "commit", commit)
        status, _, replayed = await send(client, "/recharge", orderId="r1", userId="u1", amount="1")
        assert (status, replayed, lost) == (200, True, 2)
        assert await balance(client, "u1") == "1.00"

    async def test_a_database_that_does_not_answer_makes_a_503_in_time(
        self, client: Client, mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await open_users(client, "u1")
        monkeypatch.setattr(database_module, "TRANSACTION_TIMEOUT_SECONDS", 0.3)
        mariadb.pause()
        try:
            answers = await asyncio.gather(
                send(client, "/recharge", orderId="r1", userId="u1", amount="1"),
                send(client, "/queryacc", userId="u1"),
            )
        finally:
            mariadb.resume()
        assert [(status, body["code"]) for status, body, _ in answers] == [(503, "unavailable")] * 2
        monkeypatch.setattr(database_module, "TRANSACTION_TIMEOUT_SECONDS", 5)
        assert (await send(client, "/recharge", orderId="r1", userId="u1", amount="1"))[0] == 200
        assert await balance(client, "u1") == "1.00"


class TestMariaDBDies:
    """A server of its own, since it is killed."""

    @pytest.fixture
    def mariadb(self, tmp_path: Path) -> Iterator[MariaDB]:
        server = MariaDB(tmp_path / "mariadb").start()
        yield server
        server.kill()

    @pytest.fixture
    def backend(self, mysql_section: Section) -> Section:
        return {"mysql": mysql_section}

    async def test_killed_and_restarted_nothing_acknowledged_is_lost_and_orders_go_on(
        self, client: Client, database: Database, mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(database_module, "FIRST_PAUSE_SECONDS", 0.001)
        await open_users(client, "u1", "u2")
        await send(client, "/recharge", orderId="r0", userId="u1", amount="100")
        acknowledged = [f"t{n}" for n in range(50) if (await transfer(client, f"t{n}", "u1", "u2", "1"))[0] == 200]
        under_way = [asyncio.ensure_future(transfer(client, f"k{n}", "u1", "u2", "0.01")) for n in range(50)]
        await asyncio.sleep(0)
        mariadb.kill()
        await asyncio.gather(*under_way)

        async with client.post("/recharge", data={"orderId": "r1", "userId": "u1", "amount": "1"}) as response:
            problem = await response.json(content_type=None)
        assert (response.status, problem["code"]) == (503, "unavailable")
        assert int(response.headers["Retry-After"]) > 0
        assert (await send(client, "/openacc", userId="u3", userName="N", sex="F", cardNum="1", accountId="a3",
                           accountType="01"))[0] == 503  # fmt: skip

        mariadb.start()
        assert (await send(client, "/recharge", orderId="r1", userId="u1", amount="1"))[0] == 200
        answers = [await transfer(client, f"k{n}", "u1", "u2", "0.01") for n in range(50)]
        assert {status for status, _, _ in answers} == {200}
        assert len(acknowledged) == 50
        known = select(func.count()).select_from(order).where(order.c.order_id.in_(acknowledged))
        assert await database.read(lambda connection: connection.scalar(known)) == 50
        assert await balance(client, "u2") == "50.50"
        await assert_books_balance(database)


class TestSQLite:
    @pytest.fixture
    def backend(self) -> Section:
        return {}

    async def test_a_commit_is_on_the_disk_and_a_writer_has_the_lock_from_its_beginning(
        self, database: Database, config: Config
    ) -> None:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            query = text(f"PRAGMA {pragma}")
            assert await database.read(lambda connection, query=query: _row(connection, query)) == (value,)  # type: ignore[misc]

        async def work(_: object) -> None:
            other = sqlite3.connect(config["sqlite_file"], timeout=0, isolation_level=None)
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
            other.close()

        await database.write(work)

        async def batch_work(batch: BatchConnection) -> None:
            await batch.begin([1], ["o1"])
            await work(batch)

        with pytest.raises(ZeroDivisionError):
            await database.batch(lambda batch: _then_fail(batch_work(batch)))

    async def test_a_file_locked_by_another_program_makes_a_503_until_it_is_let_go(
        self, client: Client, config: Config, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await open_users(client, "u1")
        monkeypatch.setattr(database_module, "ATTEMPTS", 1)
        other = sqlite3.connect(config["sqlite_file"], isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        status, problem, _ = await send(client, "/recharge", orderId="r1", userId="u1", amount="1")
        other.rollback()
        other.close()
        assert (status, problem["code"]) == (503, "unavailable")
        assert (await send(client, "/recharge", orderId="r1", userId="u1", amount="1"))[0] == 200
