"""Each engine's statements of a batch's openings: what they find, lock and insert."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.database.database import Database
from myaccount.database.freshness import SKIPS_LOCKED
from myaccount.database.statements import Bound
from myaccount.database.times import utc_now
from myaccount.journal.batches import BatchConnection
from myaccount.journal.mysql_batch import MysqlBatch
from myaccount.journal.posting import run_batch
from myaccount.journal.round_trips import StillLocked
from myaccount.ledger.account_commands import Opening
from myaccount.ledger.opening_rules import KnownIds
from myaccount.ledger.records import OpenedAccount, OpenedUser
from myaccount.ledger.references import Reference, TeamRow, UserRow
from myaccount.ledger.state import Known, State
from myaccount.model.inbox import team
from myaccount.model.ledger import account, user

from ..conftest import Client, Section
from ..helpers.actions import open_users, send
from ..helpers.holding import Holding
from ..helpers.journals import addition, opening

NOW = utc_now()
ODD = OpenedUser("u'%s\\", "it's \\%s 零", "男", "6222 \"'", NOW)
OTHER = OpenedUser("A", "B", "F", "C", NOW + timedelta(seconds=1))
TEAM = "t'%s\\零"
ACCOUNTS = [
    OpenedAccount("z'%s\\", "it's", ODD.user_id, TEAM, "KWD", ODD.created_at),
    OpenedAccount("a", "\\%s", ODD.user_id, None, "CNY", OTHER.created_at),
    OpenedAccount("零", "01", OTHER.user_id, None, "JPY", OTHER.created_at),
]


async def _insert(database: Database) -> None:
    """Insert the users and accounts above, and the outside worlds of two new currencies."""

    async def work(batch: BatchConnection) -> None:
        await batch.find_ids([addition("nobody", "a")], wait_milliseconds=None)
        await batch.insert_opened([ODD, OTHER], {"KWD": ODD.created_at, "JPY": OTHER.created_at}, ACCOUNTS)
        await batch.commit(State(Known(keys={}, accounts={}, now=NOW)), [])

    await run_batch(database, work)


async def test_what_is_opened_is_inserted_and_found(client: Client, database: Database) -> None:
    assert (await send(client, "/team", teamId=TEAM, teamName="T"))[0] == 200
    await _insert(database)
    columns = (account.c.account_id, account.c.account_type, account.c.user_id, account.c.team_id)
    more = (account.c.currency, account.c.created_at, account.c.balance, account.c.floor, account.c.held)
    rows = await database.read(lambda c: c.execute(select(*columns, *more).order_by(account.c.id)))
    # The oldest account of a user has the least key.
    assert [tuple(row) for row in rows][1:] == [
        ("outside KWD", "external", None, None, "KWD", ODD.created_at, 0, None, 0),
        ("outside JPY", "external", None, None, "JPY", OTHER.created_at, 0, None, 0),
        *[(*row, 0, 0, 0) for row in ACCOUNTS],
    ]
    users = await database.read(lambda c: c.execute(select(user).order_by(user.c.user_id)))
    assert [tuple(row)[1:] for row in users] == [tuple(OTHER), tuple(ODD)]

    async def find(batch: BatchConnection) -> KnownIds:
        commands: list[Opening] = [
            opening(ODD.user_id, ACCOUNTS[0].account_id, "KWD", TEAM),
            opening("U'%s\\", "A", "USD", "t"),
            addition(OTHER.user_id, "零", "JPY"),
            addition("nobody", "none"),
        ]
        found = await batch.find_ids(commands, wait_milliseconds=60_000)
        await batch.rollback()
        return found

    found = await run_batch(database, find)
    assert found.users == {ODD.user_id: ODD, OTHER.user_id: OTHER}
    ids = {row.account_id: row for row in ACCOUNTS}
    assert {name: row for name, row in found.accounts.items() if row.user_id} == {
        name: ids[name] for name in ("z'%s\\", "零")
    }
    assert (found.teams, found.currencies, found.locked) == ({TEAM}, {"CNY", "KWD", "JPY"}, set())


class TestMariaDB:
    @pytest.fixture
    def backend(self, mysql_section: Section) -> Section:
        return {"mysql": mysql_section}

    @pytest.fixture
    def queue(self) -> Section:
        # It locks the rows of those who get messages.
        return {"listener": {"enabled": False}}

    async def test_rows_that_another_transaction_holds_are_waited_for_or_named(
        self, client: Client, database: Database, holding: Holding
    ) -> None:
        await open_users(client, "u1", "u2")
        for team_id in ("t1", "t2"):
            await send(client, "/team", teamId=team_id, teamName="T")
        commands: list[Opening] = [
            addition("u1", "b1", team_id="t1"),
            addition("u2", "b2", team_id="t2"),
            opening("u2", "a-u2"),
        ]

        async def find(batch: BatchConnection, milliseconds: int | None) -> KnownIds:
            try:
                return await batch.find_ids(commands, wait_milliseconds=milliseconds)
            finally:
                # At once. The locks of a connection that is closed may stay for a moment.
                await batch.rollback()

        rows: tuple[tuple[str, Reference], ...] = (
            ("SELECT id FROM user WHERE user_id = 'u2' FOR UPDATE", UserRow("u2")),
            ("SELECT id FROM team WHERE team_id = 't1' FOR UPDATE", TeamRow("t1")),
        )
        for statement, locked in rows:
            async with holding(statement):
                found = await run_batch(database, lambda batch: find(batch, None))
                assert (found.locked, found.teams, {*found.users}) == ({locked}, {"t1", "t2"}, {"u1", "u2"})
                with pytest.raises(StillLocked):
                    await run_batch(database, lambda batch: find(batch, 50))

    async def test_rows_are_locked_in_the_order_of_all_transactions(self, database: Database) -> None:
        """Teams, then users, each by their ids; and an account is read before its user."""
        statements: list[Bound] = []

        class Noting(MysqlBatch):
            async def _run(self, *run: Bound) -> list[list[Any]]:
                statements.extend(run)
                return [[] for _ in run]

        async def work(batch: BatchConnection) -> None:
            batch = Noting(batch)  # type: ignore[arg-type]
            users = ("b", "c", "a")
            commands = [addition(name, f"{name}1", team_id=f"t{name}") for name in users]
            await batch.find_ids(commands, wait_milliseconds=None)
            await batch.insert_opened([ODD._replace(user_id=name) for name in users], {}, ())

        await run_batch(database, lambda batch: work((batch._driver, batch._info)))  # type: ignore[arg-type]
        tables = [statement.split("FROM ")[-1].split()[0] for statement, _ in statements[:5]]
        assert tables == ["team", "user", "team", "account", "user"]
        assert [list(values) for _, values in statements[:2]] == [["ta", "tb", "tc"], ["a", "b", "c"]]
        assert list(statements[5][1])[::4] == ["a", "b", "c"]

    @pytest.mark.not_on("oceanbase", because="its EXPLAIN has another form")
    @pytest.mark.parametrize("table", ["user", "team"])
    async def test_rows_are_locked_by_the_index_of_their_ids(
        self, client: Client, database: Database, table: str
    ) -> None:
        """For a small table, the optimiser would otherwise scan it, and lock other rows."""

        async def fill(connection: AsyncConnection) -> None:
            ids = [f"id{n}" for n in range(200)]
            teams = [{"team_id": id_, "team_name": "T", "created_at": NOW} for id_ in ids]
            users = [
                {"user_id": id_, "user_name": "N", "sex": "F", "card_num": "6", "created_at": NOW} for id_ in ids
            ]
            await connection.execute(insert(team), teams)
            await connection.execute(insert(user), users)

        await database.write(fill)
        # MySQL 8 scans the whole index of a table of which it knows no rows.
        await database.read(lambda connection: connection.execute(text("ANALYZE TABLE user, team")))

        async def work(batch: MysqlBatch) -> Bound:
            return batch._lock_rows(table, ["id0", "id1", "id2"], None)

        statement, values = await run_batch(database, work)  # type: ignore[arg-type]
        explain = text(f"EXPLAIN {statement % tuple(map(repr, values))}")
        row = (await database.read(lambda connection: connection.execute(explain))).mappings().one()
        assert (row["type"], row["key"]) == ("range", f"uq_{table}_{table}_id")

    async def test_a_server_that_does_not_lock_what_it_skips_is_not_told_to_skip(self, database: Database) -> None:
        async def work(batch: MysqlBatch) -> tuple[str, str]:
            batch._info = {SKIPS_LOCKED: True}
            (skipping, _), batch._info = batch._lock_rows("user", ["u1"], None), {SKIPS_LOCKED: False}
            return skipping, batch._lock_rows("user", ["u1"], None)[0]

        skipping, waiting = await run_batch(database, work)  # type: ignore[arg-type]
        assert skipping == f"{waiting} SKIP LOCKED"
