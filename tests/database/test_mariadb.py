"""What only a server does: it locks rows, hangs, cuts connections, and dies."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.database import engines
from myaccount.database import freshness as freshness_module
from myaccount.database import retries as retries_module
from myaccount.database.database import Database, open_database
from myaccount.database.times import utc_now
from myaccount.journal.mysql_batch import MysqlBatch
from myaccount.model.ledger import account, order
from myaccount.settings.schema import CONFIGURATION, Config

from ..conftest import PATIENCE_SECONDS, Client, Section, eventually
from ..helpers.actions import assert_books_balance, balance, first_row, open_users, send, transfer
from ..helpers.engines import new_server, runs_on
from ..helpers.servers import MariaDB


class TestMariaDB:
    @pytest.fixture
    def backend(self, mysql_section: Section) -> Section:
        return {"mysql": mysql_section}

    @pytest.fixture
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(retries_module, "FIRST_PAUSE_SECONDS", 0.001)

    async def test_sessions_are_strict_and_read_committed(self, database: Database) -> None:
        query = text(
            "SHOW VARIABLES WHERE Variable_name IN ('sql_mode', 'character_set_client', 'ob_trx_lock_timeout',"
            " 'innodb_lock_wait_timeout', 'transaction_isolation', 'tx_isolation')"
        )
        found = await database.read(lambda connection: connection.execute(query))
        variables = {row[0]: row[1] for row in found}
        # Servers have one of the two names; OceanBase has both.
        isolation = {variables.pop(name, None) for name in ("transaction_isolation", "tx_isolation")}
        assert isolation - {None} == {"READ-COMMITTED"}
        lock_timeout = variables.get("ob_trx_lock_timeout") or variables["innodb_lock_wait_timeout"]
        assert lock_timeout in ("1000000", "1")
        assert (variables["sql_mode"], variables["character_set_client"]) == ("STRICT_ALL_TABLES", "utf8mb4")

    @pytest.mark.not_on("oceanbase", because="LOCK TABLES locks nothing there")
    async def test_while_a_backup_locks_the_tables_they_can_be_read(
        self, client: Client, mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The check whether the server takes writes must not wait for the end of the backup."""
        monkeypatch.setattr(freshness_module, "CHECKED_SECONDS", 0)
        await open_users(client, "u1")
        with mariadb.connect("root", "") as other, other.cursor() as cursor:
            await asyncio.to_thread(cursor.execute, "FLUSH TABLES WITH READ LOCK")
            for _ in range(2):
                assert await balance(client, "u1") == "0.00"
            cursor.execute("UNLOCK TABLES")

    async def test_a_connection_that_the_server_closed_while_idle_is_replaced_before_use(
        self,
        mariadb: MariaDB,
        mysql_section: Section,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level("INFO")
        # Where the server has no timeout for idle transactions, the service sets this one for its connections.
        monkeypatch.setattr(freshness_module, "IDLE_TIMEOUT_SECONDS", 1)
        with mariadb.connect() as other, other.cursor() as cursor:
            cursor.execute("SELECT @@GLOBAL.wait_timeout")
            (before,) = cursor.fetchone() or (0,)
            cursor.execute("SET GLOBAL wait_timeout = 1")

            async def none_is_left() -> bool:
                cursor.execute(
                    "SELECT COUNT(*) FROM information_schema.processlist WHERE db = %s", (mysql_section["db"],)
                )
                return cursor.fetchone() == (0,)

            async with open_database(CONFIGURATION.check({"mysql": mysql_section}), Path()) as database:
                one = text("SELECT 1")
                assert await database.read(lambda connection: first_row(connection, one)) == (1,)
                await eventually(none_is_left)
                # Only that connection was to be closed, not the one that replaces it.
                cursor.execute(f"SET GLOBAL wait_timeout = {before}")
                monkeypatch.setattr(freshness_module, "IDLE_TIMEOUT_SECONDS", PATIENCE_SECONDS)
                caplog.clear()
                assert await database.read(lambda connection: first_row(connection, one)) == (1,)
        assert "attempt" not in caplog.text

    @pytest.fixture
    def patient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The wait for a lock is longer than the wait for a connection."""
        monkeypatch.setattr(freshness_module, "LOCK_TIMEOUT_SECONDS", 60)
        monkeypatch.setattr(engines, "POOL_TIMEOUT_SECONDS", 0.5)

    @pytest.mark.not_on("oceanbase", because="LOCK TABLES locks nothing there")
    async def test_without_a_free_connection_the_reply_is_a_quick_503(
        self, patient: None, client: Client, config: Config, mariadb: MariaDB, mysql_section: Section
    ) -> None:
        await open_users(client, "u1")
        with mariadb.connect(database=mysql_section["db"]) as other, other.cursor() as cursor:
            await asyncio.to_thread(cursor.execute, "LOCK TABLES account_change WRITE")
            queries = [asyncio.ensure_future(send(client, "/accountlog", accountId="a-u1")) for _ in range(20)]
            # All but those that have a connection and wait for the table.
            await eventually(lambda: sum(query.done() for query in queries) >= 16)
            refusals = [query.result() for query in queries if query.done()]
            assert {(status, reply["code"]) for status, reply, _ in refusals} == {(503, "overloaded")}
            cursor.execute("UNLOCK TABLES")
        statuses = [status for status, _, _ in await asyncio.gather(*queries)]
        # The service's own tasks may have had one, too.
        assert set(statuses) == {200, 503}
        assert statuses.count(503) >= 16

    @pytest.mark.usefixtures("long_locks")
    async def test_a_deadlock_is_resolved_by_a_retry(self, database: Database) -> None:
        """Two transactions that lock two rows in opposite order: the server ends one of them, or both."""
        both_have_one = asyncio.Barrier(2)
        tries: list[int] = []

        def locking(first: int, second: int) -> Any:
            async def work(connection: AsyncConnection) -> None:
                tries.append(first)
                # Only at first, or they could deadlock again: an engine may end both at the same time.
                opposed = len(tries) <= 2
                for key in (first, second) if opposed else (1, 2):
                    await connection.execute(update(account).where(account.c.id == key).values(floor=None))
                    if opposed and key == first:
                        await both_have_one.wait()

            return work

        two = account.insert().values(
            id=2,
            account_id="two",
            account_type="t",
            currency="CNY",
            balance=0,
            created_at=utc_now(),
        )
        await database.write(lambda connection: connection.execute(two))
        await asyncio.gather(database.write(locking(1, 2)), database.write(locking(2, 1)))
        # OceanBase does not detect deadlocks: its lock timeout ends one of the waits, or both.
        assert len(tries) == 3 or (runs_on("oceanbase") and len(tries) == 4)

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
            await asyncio.to_thread(cursor.execute, "SELECT * FROM account FOR UPDATE")
            order = asyncio.ensure_future(send(client, "/recharge", orderId="r1", userId="u1", amount="1"))
            await asyncio.sleep(0.1)
            assert not order.done()
            other.rollback()
        assert (await order)[0] == 200

    async def test_an_order_whose_commit_got_no_answer_is_posted_once(
        self, client: Client, database: Database, monkeypatch: pytest.MonkeyPatch, impatient: None
    ) -> None:
        """The connection is lost after the commit and before its answer."""
        await open_users(client, "u1")
        lost = 0
        original = MysqlBatch.commit

        async def commit(self: MysqlBatch, *decided: Any) -> list[int]:
            nonlocal lost
            event_ids = await original(self, *decided)
            lost += 1
            if lost == 1:
                raise ConnectionResetError("the answer never came")
            return event_ids

        monkeypatch.setattr(MysqlBatch, "commit", commit)
        status, _, replayed = await send(client, "/recharge", orderId="r1", userId="u1", amount="1")
        assert (status, replayed, lost) == (200, True, 2)
        assert await balance(client, "u1") == "1.00"

    @pytest.mark.not_on("foreign", because="it stops the server for a while")
    async def test_a_database_that_does_not_answer_is_a_503_within_the_timeout(
        self, client: Client, mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await open_users(client, "u1")
        monkeypatch.setattr(retries_module, "TRANSACTION_TIMEOUT_SECONDS", 0.3)
        mariadb.pause()
        try:
            answers = await asyncio.gather(
                send(client, "/recharge", orderId="r1", userId="u1", amount="1"),
                send(client, "/queryacc", userId="u1"),
            )
        finally:
            mariadb.resume()
        assert [(status, body["code"]) for status, body, _ in answers] == [(503, "unavailable")] * 2
        monkeypatch.setattr(retries_module, "TRANSACTION_TIMEOUT_SECONDS", PATIENCE_SECONDS)
        assert (await send(client, "/recharge", orderId="r1", userId="u1", amount="1"))[0] == 200
        assert await balance(client, "u1") == "1.00"


@pytest.mark.not_on("foreign", because="it kills the server")
class TestMariaDBDies:
    """A separate server, since it is killed."""

    @pytest.fixture
    def mariadb(self, tmp_path: Path) -> Iterator[MariaDB]:
        server = new_server(tmp_path / "mariadb").start()
        yield server
        server.kill()

    @pytest.fixture
    def backend(self, mysql_section: Section) -> Section:
        return {"mysql": mysql_section}

    async def test_after_a_kill_and_a_restart_no_acknowledged_order_is_lost_and_orders_go_on(
        self, client: Client, database: Database, mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retries_module, "FIRST_PAUSE_SECONDS", 0.001)
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


async def test_cancelled_work_ends_and_leaves_only_usable_connections(
    client: Client, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """aiomysql closes the connection, and raises an error about that instead of the cancellation."""
    caplog.set_level(logging.INFO)

    async def sleep(connection: AsyncConnection) -> None:
        begun.set()
        await connection.execute(text("SELECT SLEEP(300)"))

    for way in (database.read, database.write):
        for _ in range(5):
            begun = asyncio.Event()
            task = asyncio.create_task(way(sleep))
            await begun.wait()
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task], timeout=PATIENCE_SECONDS)
            assert task.cancelled()
            assert await database.read(lambda c: first_row(c, text("SELECT 1"))) == (1,)
    assert "Transaction failed" not in caplog.text
