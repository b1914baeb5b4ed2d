"""Each engine's statements of a batch, run as the journal runs them, but with their parts in random order."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence

import pytest
from sqlalchemy import select, text

from myaccount.database.database import Database, open_database
from myaccount.database.times import utc_now
from myaccount.journal import mysql_batch as mysql_module
from myaccount.journal.batches import Balances, BatchConnection
from myaccount.journal.posting import run_batch
from myaccount.ledger.decide import Account, Order
from myaccount.model.ledger import account, order
from myaccount.settings.paths import working_path
from myaccount.settings.schema import Config

from ..conftest import Client, Section, eventually
from ..helpers.actions import first_row, open_users, send, transfer

NOW = utc_now()
# Longer than any test waits for a lock.
WAIT = 60_000
USERS = [f"u{n}" for n in range(20)]


@pytest.fixture
async def keys(client: Client, database: Database) -> dict[str, int]:
    """The account keys of twenty users, in random order."""
    await open_users(client, *USERS)
    found = await run_batch(database, lambda batch: batch.find_first_accounts(USERS))
    shuffled = list(found.items())
    random.Random(1).shuffle(shuffled)
    return dict(shuffled)


async def _commit(
    database: Database, orders: Sequence[Order] = (), balances: Balances | None = None, body: str = "[]"
) -> int | None:
    async def work(batch: BatchConnection) -> int | None:
        await batch.begin({"": 1}, ["none"], wait_milliseconds=WAIT)
        return await batch.commit(orders, balances or {}, body, NOW)

    return await run_batch(database, work)


async def _balances(database: Database) -> dict[int, tuple[int, int]]:
    rows = await database.read(lambda connection: connection.execute(select(account)))
    return {row.id: (row.balance, row.last_entry) for row in rows}


async def test_each_user_is_found_with_the_oldest_account(keys: dict[str, int], database: Database) -> None:
    found = await run_batch(database, lambda batch: batch.find_first_accounts(["u3", "nobody", "u1"]))
    assert found == {"u3": keys["u3"], "u1": keys["u1"]}


async def test_each_balance_is_written_to_its_own_account_in_any_order(
    keys: dict[str, int], database: Database
) -> None:
    balances = {key: (100 + n, 900 - n) for n, key in enumerate(keys.values())}
    assert list(balances) != sorted(balances)
    await _commit(database, balances=balances)
    assert await _balances(database) == {1: (0, 0), **balances}


async def test_accounts_are_returned_by_party_and_only_to_their_owners(
    keys: dict[str, int], database: Database
) -> None:
    asked = {**keys, "": 1, "stranger": keys["u0"]}
    # As if u2 had u1's key: u2 must not get u1's row, and u1 must.
    asked["u2"] = keys["u1"]

    async def work(batch: BatchConnection) -> dict[str, Account]:
        accounts, _ = await batch.begin(asked, ["none"], wait_milliseconds=WAIT)
        await batch.rollback()
        return accounts

    found = await run_batch(database, work)
    expected = {party: key for party, key in asked.items() if party not in ("stranger", "u2")}
    assert {party: row.id for party, row in found.items()} == expected


async def test_orders_are_written_and_read_back_unchanged(keys: dict[str, int], database: Database) -> None:
    one, two = keys["u1"], keys["u2"]
    orders = [
        Order("o2", "02", one, two, 5, 1, 2),
        Order("o'1\\", "02", two, one, 7, 3, 4, "declined", "insufficient_funds"),
        Order("零%s", "01", 1, two, 2**46, -(2**46), 2**46),
    ]
    assert await _commit(database, orders, body='["%s"]') is not None

    async def work(batch: BatchConnection) -> dict[str, Order]:
        _, found = await batch.begin(keys, ["零%s", "o'1\\", "O2", "nothing", "o2"], wait_milliseconds=WAIT)
        await batch.rollback()
        return found

    assert await run_batch(database, work) == {row.order_id: row for row in orders}


class TestMariaDB:
    @pytest.fixture
    def backend(self, mysql_section: Section) -> Section:
        return {"mysql": mysql_section}

    @pytest.fixture
    async def another(self, config: Config, database: Database) -> AsyncIterator[Database]:
        async with open_database(config, working_path(config["sqlite_file"])) as another:
            yield another

    @pytest.mark.not_on("oceanbase", because="its EXPLAIN has another form")
    async def test_rows_are_locked_by_the_primary_key_in_its_order(
        self, keys: dict[str, int], database: Database
    ) -> None:
        """For a small table, the optimiser would otherwise choose a scan or another index."""

        async def work(batch: mysql_module.MysqlBatch) -> str:
            statement, _ = batch._lock_accounts(keys.values(), None)
            return statement

        statement = await run_batch(database, work)  # type: ignore[arg-type]
        plan = await database.read(lambda connection: connection.execute(text(f"EXPLAIN {statement}")))
        row = plan.mappings().one()
        assert (row["table"], row["type"], row["key"]) == ("account", "range", "PRIMARY")

    @pytest.mark.not_on("oceanbase", because="no counter tells that a session waits for a lock")
    async def test_orders_are_looked_up_after_their_accounts_are_locked(
        self,
        keys: dict[str, int],
        database: Database,
        another: Database,
    ) -> None:
        """So an order that another process has just committed is found, and not decided again."""
        parties = {"": 1, "u1": keys["u1"]}
        made = Order("o1", "01", 1, keys["u1"], 5, -5, 5)
        locked, go_on = asyncio.Event(), asyncio.Event()

        async def first(batch: BatchConnection) -> None:
            await batch.begin(parties, ["o1"], wait_milliseconds=WAIT)
            locked.set()
            await go_on.wait()
            await batch.commit([made], {1: (-5, 1), keys["u1"]: (5, 1)}, "[]", utc_now())

        async def second(batch: BatchConnection) -> tuple[dict[str, Account], dict[str, Order]]:
            await batch._run((f"SET SESSION innodb_lock_wait_timeout = {WAIT}", ()))
            found = await batch.begin(parties, ["o1"], wait_milliseconds=WAIT)
            await batch.rollback()
            return found

        one = asyncio.ensure_future(run_batch(database, first))
        await locked.wait()
        two = asyncio.ensure_future(run_batch(another, second))

        async def waits() -> bool:
            # Not innodb_trx, which InnoDB does not refresh for a client that polls it.
            status = text("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")
            row = await database.read(lambda connection: first_row(connection, status))
            return row is not None and row[1] != "0"

        await eventually(waits)
        go_on.set()
        await one
        accounts, orders = await two
        assert (accounts["u1"].balance, accounts["u1"].last_entry) == (5, 1)
        assert orders == {"o1": made}

    async def test_a_batch_that_wants_few_of_many_rows_locks_no_others(
        self, client: Client, keys: dict[str, int], database: Database
    ) -> None:
        assert (await send(client, "/recharge", orderId="r1", userId="u5", amount="5"))[0] == 200

        async def work(batch: BatchConnection) -> None:
            await batch.begin({"u1": keys["u1"], "u3": keys["u3"]}, ["none"], wait_milliseconds=WAIT)
            assert await transfer(client, "t1", "u5", "u2", "1") == (200, "posted", False)
            await batch.rollback()

        await run_batch(database, work)


async def test_a_written_order_is_in_the_table(keys: dict[str, int], database: Database) -> None:
    row = Order("o1", "01", 1, keys["u1"], 5, -5, 5)
    await _commit(database, [row])
    found = await database.read(lambda connection: connection.execute(select(order)))
    assert found.mappings().one() == {"id": 1, **row._asdict(), "created_at": NOW}
