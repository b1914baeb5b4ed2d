"""Each engine's statements of a batch, run as the journal runs them, but with their parts in random order."""

import asyncio
import random
from collections.abc import AsyncIterator, Collection
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, Table, insert, select, text

from myaccount.database.database import Database, open_database
from myaccount.database.freshness import SKIPS_LOCKED
from myaccount.database.statements import Bound
from myaccount.database.times import utc_now
from myaccount.journal import batches as batches_module
from myaccount.journal import mysql_batch as mysql_module
from myaccount.journal import sqlite_batch as sqlite_module
from myaccount.journal.batches import BatchConnection, Locked
from myaccount.journal.posting import run_batch
from myaccount.ledger.records import Account, AccountChange, Bulk, DeclineRow, Entry, HoldState, Order
from myaccount.ledger.state import Known, State
from myaccount.model.ledger import account, account_change, decline, entry, order
from myaccount.settings.paths import working_path
from myaccount.settings.schema import Config

from ..conftest import Client, Section, eventually
from ..helpers.actions import first_row, open_users, send, transfer

# Far away, since the running service ends holds that have expired.
NOW = datetime(2100, 1, 2, 3, 4, 5, 6)
# Longer than any test waits for a lock.
WAIT = 60_000
USERS = [f"u{n}" for n in range(20)]


@pytest.fixture
async def keys(client: Client, database: Database) -> dict[str, int]:
    """The account keys of twenty users, in random order."""
    await open_users(client, *USERS)
    firsts, _, _ = await run_batch(database, lambda batch: batch.find_accounts(USERS, [], []))
    shuffled = [(row.user_id or "", row.key) for row in firsts]
    random.Random(1).shuffle(shuffled)
    return dict(shuffled)


def _state(now: datetime = NOW) -> State:
    return State(Known(keys={}, accounts={}, now=now))


async def _commit(database: Database, state: State, *events: str) -> list[int]:
    async def work(batch: BatchConnection) -> list[int]:
        await batch.begin([1], ["none"], wait_milliseconds=WAIT)
        return await batch.commit(state, events)

    return await run_batch(database, work)


async def _begin(database: Database, keys: Collection[int], order_ids: Collection[str]) -> Locked:
    async def work(batch: BatchConnection) -> Locked:
        locked = await batch.begin(keys, order_ids, wait_milliseconds=WAIT)
        await batch.rollback()
        return locked

    return await run_batch(database, work)


async def _rows(database: Database, table: Table) -> list[tuple[Any, ...]]:
    rows = await database.read(lambda connection: connection.execute(select(table)))
    return [tuple(row) for row in rows]


async def test_accounts_are_found_by_user_by_id_and_by_order(keys: dict[str, int], database: Database) -> None:
    def add(connection: Connection) -> None:
        more = {"account_type": "01", "user_id": "u3", "balance": 0, "floor": 0, "created_at": NOW}
        connection.execute(insert(account).values(account_id="yen", currency="JPY", **more))
        connection.execute(insert(account).values(account_id="more", currency="CNY", **more))

    await database.write(lambda connection: connection.run_sync(add))
    state = _state()
    state.new_orders.append(Order("o1", "02", keys["u1"], keys["u2"], 5))
    await _commit(database, state)
    work = partial(
        BatchConnection.find_accounts,
        user_ids=["u3", "nobody", "u1"],
        account_ids=["more", "outside CNY", "none"],
        order_ids=["o1", "o2"],
    )
    firsts, named, orders = await run_batch(database, work)
    assert {(row.user_id, row.account_id, row.currency) for row in firsts} == {
        ("u1", "a-u1", "CNY"),
        ("u3", "a-u3", "CNY"),
        ("u3", "yen", "JPY"),
    }
    assert {row.key for row in firsts} >= {keys["u1"], keys["u3"]}
    assert {(row.user_id, row.account_id) for row in named} == {("u3", "more"), (None, "outside CNY")}
    assert orders == [("o1", keys["u1"], keys["u2"])]


async def test_each_value_is_written_to_its_own_account_in_any_order(
    keys: dict[str, int], database: Database
) -> None:
    assert list(keys.values()) != sorted(keys.values())
    state = _state()
    for n, key in enumerate(keys.values()):
        state.changed_accounts[key] = Account(key, balance=100 + n, last_entry=900 - n, held=n % 3)
    # So that what is held is written as well.
    state.new_holds["h"] = HoldState("h", keys["u1"], keys["u2"], 1, 0, "held", NOW)
    await _commit(database, state)
    locked = await _begin(database, [*keys.values(), 1], ["none"])
    written = {key: (row.balance, row.last_entry, row.held) for key, row in locked.accounts.items()}
    assert written == {
        1: (0, 0, 0),
        **{key: (100 + n, 900 - n, n % 3) for n, key in enumerate(keys.values())},
    }


async def test_without_holds_what_is_held_stays(keys: dict[str, int], database: Database) -> None:
    key = keys["u1"]
    state = _state()
    state.changed_accounts[key] = Account(key, balance=9, held=4)
    state.new_holds["h"] = HoldState("h", key, 1, 4, 0, "held", NOW)
    await _commit(database, state)
    state = _state()
    state.changed_accounts[key] = Account(key, balance=8, held=4)
    await _commit(database, state)
    locked = await _begin(database, [key], [])
    assert (locked.accounts[key].balance, locked.accounts[key].held) == (8, 4)


async def test_a_locked_account_has_all_that_the_rules_need(keys: dict[str, int], database: Database) -> None:
    locked = await _begin(database, [keys["u1"], 1], [])
    assert locked.accounts == {
        1: Account(1, floor=None, account_id="outside CNY"),
        keys["u1"]: Account(keys["u1"], account_id="a-u1", user_id="u1"),
    }
    assert abs(locked.now - utc_now()) < timedelta(minutes=1)


PLAIN = [Order("o2", "02", 2, 3, 5), Order("o'1\\", "02", 3, 2, 7, "declined", "insufficient_funds", "k3y")]
WHOLE = Order(
    "零%s", "04", 1, 2, 2**46, "posted", None, "k3y", "f" * 32, "it's %s", "b\\1", "a 'note' \\%s 零", "r", 2**45
)


@pytest.mark.parametrize("orders", [PLAIN, [WHOLE], [*PLAIN, WHOLE]], ids=["plain", "whole", "both"])
async def test_orders_are_written_and_read_back_unchanged(
    orders: list[Order], keys: dict[str, int], database: Database
) -> None:
    state = _state()
    state.new_orders += orders
    assert len(await _commit(database, state, '["%s"]', "[]")) == 2
    locked = await _begin(database, keys.values(), ["零%s", "o'1\\", "O2", "nothing", "o2"])
    assert locked.orders == {row.order_id: row for row in orders}
    assert {row[8] for row in await _rows(database, order)} == {NOW}


@pytest.mark.parametrize("held", [None, 2**62])
async def test_entries_are_written(held: int | None, keys: dict[str, int], database: Database) -> None:
    entries = [Entry(2, 1, "o'%s", -5, -5, held), Entry(3, 1, "o'%s", 5, 2**62), Entry(2, 2, "零", 1, -(2**62))]
    state = _state()
    state.new_entries += entries
    await _commit(database, state)
    assert await _rows(database, entry) == sorted(tuple(row) for row in entries)


@pytest.mark.parametrize("held", [None, 2**62])
async def test_declines_are_written_and_numbered(
    held: int | None, keys: dict[str, int], database: Database
) -> None:
    u1, u2, u3 = (keys[user] for user in ("u1", "u2", "u3"))
    state = _state()
    declines = [DeclineRow(u1, 1, "o'%s", 0, -(2**62), held), DeclineRow(u1, 2, "零", 7, 2**62)]
    state.new_declines += declines
    # One declined alone, the other one posted.
    state.changed_accounts |= {u1: Account(u1, last_decline=2), u2: Account(u2, balance=5, last_entry=1)}
    await _commit(database, state)
    assert await _rows(database, decline) == [tuple(row) for row in declines]
    locked = (await _begin(database, [u1, u2, u3], [])).accounts
    assert {key: (row.balance, row.last_entry, row.last_decline) for key, row in locked.items()} == {
        u1: (0, 0, 2),
        u2: (5, 1, 0),
        u3: (0, 0, 0),
    }


async def test_a_batch_without_declines_writes_no_number_of_them(
    keys: dict[str, int], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A posted order costs nothing more."""
    key = keys["u1"]
    state = _state()
    state.changed_accounts[key] = Account(key, last_decline=3)
    state.new_declines.append(DeclineRow(key, 3, "o1", 0, 0))
    await _commit(database, state)
    sent: list[str] = []
    for batch in (mysql_module.MysqlBatch, sqlite_module.SqliteBatch):

        async def run(self: Any, *statements: Bound, original: Any = batch._run) -> list[list[Any]]:
            sent.extend(statement for statement, _ in statements)
            found: list[list[Any]] = await original(self, *statements)
            return found

        monkeypatch.setattr(batch, "_run", run)
    state = _state()
    state.changed_accounts[key] = Account(key, balance=8, last_entry=1)
    await _commit(database, state)
    assert not [statement for statement in sent if statement.startswith("UPDATE") and "last_decline" in statement]
    assert not [statement for statement in sent if "INTO decline" in statement]
    assert (await _begin(database, [key], [])).accounts[key].last_decline == 3


async def test_what_was_refunded_is_written_to_its_own_order(keys: dict[str, int], database: Database) -> None:
    state = _state()
    state.new_orders += [Order(f"o{n}", "02", 2, 3, 100) for n in range(5)]
    # In the batch that makes the order, and in a later one.
    state.refunded = {"o1": 7, "o3": 100}
    await _commit(database, state)
    state = _state()
    state.refunded = {"o3": 99, "o0": 5}
    await _commit(database, state)
    found = (await _begin(database, [1], [f"o{n}" for n in range(5)])).orders
    assert {order_id: row.refunded for order_id, row in found.items()} == {
        "o0": 5,
        "o1": 7,
        "o2": 0,
        "o3": 99,
        "o4": 0,
    }


async def test_holds_are_written_changed_and_found(keys: dict[str, int], database: Database) -> None:
    later, sooner = NOW + timedelta(hours=1), NOW - timedelta(microseconds=1)
    holds = {
        "h'1": HoldState("h'1", 2, 3, 5, 0, "held", later),
        "h2": HoldState("h2", 2, 1, 6, 0, "held", sooner),
        "h3": HoldState("h3", 4, 1, 7, 0, "held", NOW),
        "h4": HoldState("h4", 4, 1, 0, 8, "captured", sooner),
    }
    state = _state()
    state.new_holds |= holds
    await _commit(database, state)

    async def find(ids: Collection[str], payers: Collection[int]) -> tuple[dict[str, HoldState], list[int]]:
        return await run_batch(database, lambda batch: batch.find_holds(ids, payers, NOW))

    assert await find(["h'1", "none"], []) == ({"h'1": holds["h'1"]}, [])
    assert await find(["h4"], [2, 4]) == ({name: holds[name] for name in ("h2", "h3", "h4")}, [])
    assert await find([], [3]) == ({}, [])
    state = _state()
    holds["h2"].remaining, holds["h2"].status = 0, "expired"
    holds["h3"].expires_at = later
    state.changed_holds |= {"h2": holds["h2"], "h3": holds["h3"]}
    await _commit(database, state)
    assert await find([], [2, 4]) == ({}, [])
    assert (await find(list(holds), []))[0] == holds


async def test_expired_holds_come_in_pages(
    keys: dict[str, int], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The payers of whom more may have expired are named: those of greater keys than the page comes to."""
    monkeypatch.setattr(batches_module, "EXPIRED_LIMIT", 2)
    state = _state()
    for n, payer in enumerate((4, 2, 3, 4)):
        end = NOW - timedelta(seconds=10 - n)
        state.new_holds[f"h{n}"] = HoldState(f"h{n}", payer, 1, 5, 0, "held", end)
    await _commit(database, state)

    async def find(*payers: int) -> tuple[list[str], list[int]]:
        found, unfinished = await run_batch(database, lambda batch: batch.find_holds([], payers, NOW))
        return sorted(found), sorted(unfinished)

    assert await find(5, 4, 2, 3) == (["h1", "h2"], [3, 4, 5])
    assert await find(4) == (["h0", "h3"], [4])
    assert await find(5, 3) == (["h2"], [])


async def test_bulks_are_written_and_found(keys: dict[str, int], database: Database) -> None:
    bulks = [Bulk("b'%s", "0" * 32), Bulk("零", "1" * 32)]
    state = _state()
    state.new_bulks += bulks
    await _commit(database, state)
    found = await run_batch(database, lambda batch: batch.find_bulks(["零", "b'%s", "none"]))
    assert found == {bulk.bulk_id: bulk for bulk in bulks}


async def test_changes_of_accounts_are_written_and_kept(keys: dict[str, int], database: Database) -> None:
    key = keys["u1"]
    state = _state()
    state.account_changes += [
        AccountChange("c1", key, "frozen", "debits", "it's %s", "it's '%s"),
        AccountChange("c2", key, "floor", -500, "零"),
        AccountChange("c3", keys["u2"], "status", "closed", "x"),
    ]
    changed = Account(key, -400, -500, 7, 100, "debits", account_id="a-u1", user_id="u1", last_decline=9)
    closed = Account(keys["u2"], status="closed", account_id="a-u2", user_id="u2")
    other = Account(keys["u3"], 400, last_entry=1, account_id="a-u3", user_id="u3")
    state.changed_accounts |= {account.id: account for account in (other, closed, changed)}
    await _commit(database, state)
    accounts = (await _begin(database, [key, keys["u2"], keys["u3"]], [])).accounts
    assert accounts == state.changed_accounts
    # The table's CHECK must see the limit and the balance at once.
    state = _state()
    state.account_changes.append(AccountChange("c4", key, "floor", 0, "x"))
    last = {"last_decline": 10, "account_id": "a-u1", "user_id": "u1"}
    state.changed_accounts[key] = Account(key, 5, 0, 8, 0, "debits", **last)  # type: ignore[arg-type]
    await _commit(database, state)
    assert (await _begin(database, [key], [])).accounts == state.changed_accounts
    found = await run_batch(database, lambda batch: batch.find_account_changes(["c3", "c9", "c1"]))
    assert found == {"c1", "c3"}
    assert [row[1:] for row in await _rows(database, account_change)] == [
        ("c1", key, "frozen", "debits", "it's %s", NOW, "it's '%s"),
        ("c2", key, "floor", "-500", "零", NOW, None),
        ("c3", keys["u2"], "status", "closed", "x", NOW, None),
        ("c4", key, "floor", "0", "x", NOW, None),
    ]


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

    @pytest.mark.not_on("oceanbase", because="its EXPLAIN has another form")
    async def test_two_thousand_rows_are_locked_by_the_primary_key_in_its_order(
        self, keys: dict[str, int], database: Database
    ) -> None:
        """MariaDB would join a table of so many keys, and lock the rows in any order."""

        async def work(batch: mysql_module.MysqlBatch) -> str:
            statement, _ = batch._lock_accounts(range(1, 2001), None)
            return statement

        statement = await run_batch(database, work)  # type: ignore[arg-type]
        plan = await database.read(lambda connection: connection.execute(text(f"EXPLAIN {statement}")))
        assert [row["select_type"] for row in plan.mappings()] == ["SIMPLE"]

    async def test_a_server_that_does_not_lock_what_it_skips_is_not_told_to_skip(self, database: Database) -> None:
        async def work(batch: mysql_module.MysqlBatch) -> tuple[str, str]:
            batch._info = {SKIPS_LOCKED: True}
            (skipping, _), batch._info = batch._lock_accounts([1], None), {SKIPS_LOCKED: False}
            return skipping, batch._lock_accounts([1], None)[0]

        skipping, waiting = await run_batch(database, work)  # type: ignore[arg-type]
        assert (skipping, waiting) == (f"{waiting} SKIP LOCKED", skipping.removesuffix(" SKIP LOCKED"))
        assert waiting.endswith(" FOR UPDATE")

    @pytest.mark.not_on("oceanbase", because="no counter tells that a session waits for a lock")
    async def test_orders_are_looked_up_after_their_accounts_are_locked(
        self,
        keys: dict[str, int],
        database: Database,
        another: Database,
    ) -> None:
        """So an order that another process has just committed is found, and not decided again."""
        both = (1, keys["u1"])
        made = _state(utc_now())
        made.new_orders.append(Order("o1", "01", *both, 5))
        made.changed_accounts |= {1: Account(1, -5, None, 1), both[1]: Account(both[1], 5, 0, 1)}
        locked, go_on = asyncio.Event(), asyncio.Event()

        async def first(batch: BatchConnection) -> None:
            await batch.begin(both, ["o1"], wait_milliseconds=WAIT)
            locked.set()
            await go_on.wait()
            await batch.commit(made, ["[]"])

        async def second(batch: BatchConnection) -> Locked:
            await batch._run((f"SET SESSION innodb_lock_wait_timeout = {WAIT}", ()))
            found = await batch.begin(both, ["o1"], wait_milliseconds=WAIT)
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
        seen = await two
        assert (seen.accounts[both[1]].balance, seen.accounts[both[1]].last_entry) == (5, 1)
        assert list(seen.orders.values()) == made.new_orders

    async def test_a_batch_that_wants_few_of_many_rows_locks_no_others(
        self, client: Client, keys: dict[str, int], database: Database
    ) -> None:
        assert (await send(client, "/recharge", orderId="r1", userId="u5", amount="5"))[0] == 200

        async def work(batch: BatchConnection) -> None:
            await batch.begin([keys["u1"], keys["u3"]], ["none"], wait_milliseconds=WAIT)
            assert await transfer(client, "t1", "u5", "u2", "1") == (200, "posted", False)
            await batch.rollback()

        await run_batch(database, work)
