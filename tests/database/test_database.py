"""Transactions are retried after a short failure; a longer one is a 503, and loses nothing."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable

import pymysql
import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.util.concurrency import greenlet_spawn

from myaccount.appkeys import database_key
from myaccount.database import database as database_module
from myaccount.database import freshness as freshness_module
from myaccount.database import retries as retries_module
from myaccount.database.database import SQLITE_CONNECTIONS, Database, DriverConnection
from myaccount.database.times import utc_now
from myaccount.errors import Unavailable
from myaccount.journal.batches import BatchConnection
from myaccount.journal.posting import run_batch
from myaccount.ledger.records import Order
from myaccount.ledger.state import Known, State
from myaccount.model.ledger import account, order
from myaccount.settings.schema import Config

from ..conftest import PATIENCE_SECONDS, Client, Section, eventually
from ..helpers.actions import balance, first_row, open_users, send


async def test_work_is_run_again_after_a_duplicate_key_and_committed_once(database: Database) -> None:
    tries = 0

    async def work(connection: AsyncConnection) -> int:
        nonlocal tries
        tries += 1
        # The first time it is the external account's key, which exists already.
        key = 1 if tries == 1 else 1000
        row = {"id": key, "account_id": f"x{key}", "account_type": "t", "currency": "CNY", "balance": 0}
        await connection.execute(account.insert(), row | {"created_at": utc_now()})
        return key

    assert await database.write(work) == 1000
    assert tries == 2


async def test_a_duplicate_key_in_every_attempt_is_raised(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries_module, "FIRST_PAUSE_SECONDS", 0.001)
    again = account.insert().values(
        id=1, account_id="x", account_type="t", currency="CNY", balance=0, created_at=utc_now()
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
        await cursor.execute("SELECT * FROM nowhere")

    with pytest.raises(Exception, match=r"no such table|exist"):
        await database.write(work)
    assert tries == 1


async def test_what_work_raises_itself_rolls_back_and_is_raised(database: Database) -> None:
    async def work(connection: AsyncConnection) -> None:
        await connection.execute(update(account).values(balance=5))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(work)
    assert await database.read(lambda connection: connection.scalar(select(account.c.balance))) == 0


async def test_a_batch_that_fails_releases_its_locks(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness_module, "LOCK_TIMEOUT_SECONDS", 20)

    async def work(batch: BatchConnection) -> None:
        await batch.begin([1], ["o1"], wait_milliseconds=None)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run_batch(client.app[database_key], work)
    await database.write(lambda connection: connection.execute(update(account).values(floor=None)))


async def test_a_batch_that_is_given_up_lets_the_next_one_begin(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SQLite, an open statement would keep the locks until Python collects its garbage."""
    open_statements: list[object] = []

    async def hang(connection: DriverConnection) -> None:
        cursor = await connection.driver.cursor()
        open_statements.append(cursor)
        for statement in (
            "BEGIN IMMEDIATE" if database.embedded else "BEGIN",
            "UPDATE account SET floor = NULL",
            "SELECT id FROM account",
        ):
            await cursor.execute(statement)
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(retries_module, "TRANSACTION_TIMEOUT_SECONDS", 0.5)
        with pytest.raises(Unavailable):
            await database.write_on_driver(hang)
    await database.write(lambda connection: connection.execute(update(account).values(floor=None)))


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_the_next_writer_of_the_file_begins_when_a_failed_batch_has_ended_its_transaction(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    async def spawn(invalidate: Callable[[], None]) -> None:
        # The next writer could begin now.
        for _ in range(20):
            await asyncio.sleep(0)
        seen.append("ended")
        await greenlet_spawn(invalidate)

    async def write(connection: DriverConnection) -> None:
        seen.append("begun")

    async def fail(connection: DriverConnection) -> None:
        waiting.append(asyncio.create_task(database.write_on_driver(write, beside_orders=True)))
        raise ZeroDivisionError

    # Its connection is open by now, which takes a while.
    await database.write_on_driver(write, beside_orders=True)
    seen.clear()
    monkeypatch.setattr(database_module, "greenlet_spawn", spawn)
    waiting: list[asyncio.Task[None]] = []
    with pytest.raises(ZeroDivisionError):
        await database.write_on_driver(fail)
    await waiting[0]
    assert seen == ["ended", "begun"]


async def test_a_batch_whose_last_statement_fails_leaves_nothing(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_users(client, "u1")
    monkeypatch.setattr(retries_module, "FIRST_PAUSE_SECONDS", 0.001)

    async def work(batch: BatchConnection) -> None:
        ((row,), _, _) = await batch.find_accounts(["u1"], [], [])
        locked = await batch.begin([row.key, 1], ["o1"], wait_milliseconds=None)
        state = State(Known(keys={}, accounts=locked.accounts, now=locked.now))
        state.new_orders.append(Order("o1", "02", row.key, 1, 5))
        # The table's CHECK refuses a balance below the floor, after the order was inserted.
        state.move(state.account(row.key), state.account(1), "o1", 5)
        await batch.commit(state, ["[]"])

    with pytest.raises((Unavailable, sqlite3.IntegrityError, pymysql.err.Error)):
        await run_batch(client.app[database_key], work)
    assert await database.read(lambda connection: connection.scalar(select(func.count()).select_from(order))) == 0
    assert await balance(client, "u1") == "0.00"


async def _then_fail(work: Awaitable[None]) -> None:
    """Fail, so that nothing is left open."""
    await work
    raise ZeroDivisionError


class TestSQLite:
    @pytest.fixture
    def backend(self) -> Section:
        return {}

    async def test_commits_are_synced_to_disk_and_writers_take_the_lock_at_once(
        self, database: Database, config: Config
    ) -> None:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            query = text(f"PRAGMA {pragma}")
            assert await database.read(lambda connection, query=query: first_row(connection, query)) == (value,)  # type: ignore[misc]

        async def work(_: object) -> None:
            other = sqlite3.connect(config["sqlite_file"], timeout=0, isolation_level=None)
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
            other.close()

        await database.write(work)

        async def batch_work(batch: BatchConnection) -> None:
            await batch.begin([1], ["o1"], wait_milliseconds=None)
            await work(batch)

        with pytest.raises(ZeroDivisionError):
            await run_batch(database, lambda batch: _then_fail(batch_work(batch)))

    async def test_writers_take_turns_in_the_order_of_their_arrival(self, database: Database) -> None:
        """SQLite itself lets any of those that wait go first, and the others may wait until their timeout."""
        for _ in range(6):
            order_of_work: list[int] = []
            free = asyncio.Event()

            async def first(connection: AsyncConnection) -> None:
                await free.wait()  # noqa: B023

            async def later(number: int) -> None:
                async def work(connection: AsyncConnection) -> None:
                    order_of_work.append(number)  # noqa: B023

                await database.write(work)

            writers = [asyncio.ensure_future(database.write(first))]
            for number in range(3):
                await asyncio.sleep(0.02)
                writers.append(asyncio.ensure_future(later(number)))
            await asyncio.sleep(0.02)
            free.set()
            await asyncio.gather(*writers)
            assert order_of_work == [0, 1, 2]

    async def test_writers_that_wait_have_no_connection_and_a_batch_waits_only_for_the_one_that_writes(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(database_module, "OPENING_SECONDS", PATIENCE_SECONDS)
        order_of_work: list[str] = []
        begun, free = asyncio.Event(), asyncio.Event()

        async def write(name: str) -> None:
            async def work(connection: AsyncConnection) -> None:
                order_of_work.append(name)
                begun.set()
                await free.wait()

            await database.write(work)

        async def batch() -> None:
            async def work(_: BatchConnection) -> None:
                order_of_work.append("batch")

            await run_batch(database, work)

        await database.open_batch_connection()
        first = asyncio.create_task(write("first"))
        await begun.wait()
        waiting = [asyncio.create_task(write(f"waits {number}")) for number in range(SQLITE_CONNECTIONS)]
        # They wait by then: a read waits for the database's thread, and they for nothing before.
        for _ in range(3):
            assert await database.read(lambda connection: connection.scalar(select(1))) == 1
        waiting.append(asyncio.create_task(batch()))
        await eventually(lambda: database.connections()[0] == 2)
        free.set()
        await asyncio.gather(first, *waiting)
        assert order_of_work[:2] == ["first", "batch"]

    async def test_a_file_locked_by_another_program_is_a_503_until_it_is_released(
        self, client: Client, config: Config, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await open_users(client, "u1")
        monkeypatch.setattr(retries_module, "ATTEMPTS", 1)
        other = sqlite3.connect(config["sqlite_file"], isolation_level=None, check_same_thread=False)
        # In a thread: the service may be writing, and must be able to finish.
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
        status, problem, _ = await send(client, "/recharge", orderId="r1", userId="u1", amount="1")
        other.rollback()
        other.close()
        assert (status, problem["code"]) == (503, "unavailable")
        assert (await send(client, "/recharge", orderId="r1", userId="u1", amount="1"))[0] == 200
