"""`myaccount verify` checks promises 2 and 3 from the tables alone, and finds planted errors."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.cli import entry as cli
from myaccount.database.database import Database
from myaccount.journal import account_verification, verification
from myaccount.model.ledger import account, order
from myaccount.settings.schema import Config

from ..conftest import Client
from ..helpers.actions import open_users, send, transfer

Plant = Callable[[AsyncConnection], Awaitable[object]]


async def _differences(database: Database) -> list[str]:
    return [difference async for difference in verification.verify_books(database, lambda done, count: None)]


@pytest.fixture
async def books(client: Client, database: Database) -> Database:
    await open_users(client, "u1", "u2", "u3")
    await send(client, "/recharge", orderId="r1", userId="u1", amount="100")
    await transfer(client, "t1", "u1", "u2", "30")
    await transfer(client, "t2", "u2", "u3", "1000")
    return database


async def test_the_books_of_the_service_balance(books: Database) -> None:
    assert await _differences(books) == []


async def _raise_a_balance(connection: AsyncConnection) -> None:
    await connection.execute(update(account).where(account.c.user_id == "u2").values(balance=3001))


async def _lose_a_posting(connection: AsyncConnection) -> None:
    await connection.execute(delete(order).where(order.c.order_id == "t1"))


async def _post_twice(connection: AsyncConnection) -> None:
    row = (await connection.execute(select(order).where(order.c.order_id == "t1"))).mappings().one()
    await connection.execute(insert(order).values({**row, "id": None, "order_id": "t1-again"}))


async def _write_a_wrong_balance(connection: AsyncConnection) -> None:
    await connection.execute(update(order).where(order.c.order_id == "t1").values(to_balance=3001))


async def _write_a_wrong_first_balance(connection: AsyncConnection) -> None:
    await connection.execute(update(order).where(order.c.order_id == "r1").values(to_balance=1))


async def _skip_an_entry_number(connection: AsyncConnection) -> None:
    await connection.execute(update(account).where(account.c.user_id == "u2").values(last_entry=2))


async def _let_a_decline_change_a_balance(connection: AsyncConnection) -> None:
    await connection.execute(update(order).where(order.c.order_id == "t2").values(from_balance=0))


async def _pass_a_floor(connection: AsyncConnection) -> None:
    if connection.dialect.name == "sqlite":
        await connection.execute(text("PRAGMA ignore_check_constraints = 1"))
    else:
        # MySQL before 8.0.16 has no such constraint, and cannot drop it.
        with suppress(DBAPIError):
            await connection.execute(text("ALTER TABLE account DROP CONSTRAINT ck_account_floor"))
    await connection.execute(update(account).where(account.c.user_id == "u2").values(floor=5000))


BREAK = "Account {}: the balance after order {!r} is not the previous balance plus or minus its amount."
NUMBER = "Account {}: its last entry has the number {}, but it has {} entries."
LOST = "Account a-u1: the balance is 70.00, but its orders make it {}."
WON = "Account a-u2: the balance is 30.00, but its orders make it {}."


@pytest.mark.parametrize(
    ("plant", "differences"),
    [
        (
            _raise_a_balance,
            [
                "Account a-u2: the balance is 30.01, but its orders make it 30.00.",
                "All balances add up to 0.01, not to zero.",
            ],
        ),
        (
            _lose_a_posting,
            [
                LOST.format("100.00"),
                WON.format("0.00"),
                NUMBER.format("a-u1", 2, 1),
                BREAK.format("a-u2", "t2"),
                NUMBER.format("a-u2", 1, 0),
            ],
        ),
        (_skip_an_entry_number, [NUMBER.format("a-u2", 2, 1)]),
        # The last order of its account: no later one could show the error.
        (_write_a_wrong_balance, [BREAK.format("a-u2", "t1")]),
        (_write_a_wrong_first_balance, [BREAK.format("a-u1", "r1")]),
        (_let_a_decline_change_a_balance, [BREAK.format("a-u2", "t2")]),
        (
            _post_twice,
            [
                LOST.format("40.00"),
                WON.format("60.00"),
                BREAK.format("a-u1", "t1-again"),
                NUMBER.format("a-u1", 2, 3),
                BREAK.format("a-u2", "t1-again"),
                NUMBER.format("a-u2", 1, 2),
            ],
        ),
        (_pass_a_floor, ["Account a-u2: the balance 30.00 is below its floor 50.00."]),
    ],
)
async def test_planted_errors_are_found(books: Database, plant: Plant, differences: list[str]) -> None:
    await books.write(plant)
    assert await _differences(books) == differences


async def test_an_accounts_turnover_may_exceed_64_bits(books: Database) -> None:
    async def much(connection: AsyncConnection) -> None:
        row = (await connection.execute(select(order).where(order.c.order_id == "t1"))).mappings().one()
        there = {**row, "id": None, "amount": 2**62, "from_balance": 7000 - 2**62, "to_balance": 3000 + 2**62}
        back = {**there, "from_account": row["to_account"], "to_account": row["from_account"]}
        back |= {"from_balance": 3000, "to_balance": 7000}
        for n in range(3):
            await connection.execute(insert(order).values({**there, "order_id": f"there-{n}"}))
            await connection.execute(insert(order).values({**back, "order_id": f"back-{n}"}))
        both = account.c.user_id.in_(["u1", "u2"])
        await connection.execute(update(account).where(both).values(last_entry=account.c.last_entry + 6))

    await books.write(much)
    assert await _differences(books) == []


async def test_all_pages_of_accounts_are_verified(books: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification_queries, "_PAGE", verification_queries._PAGE.limit(1))
    await books.write(_raise_a_balance)
    progress: list[tuple[int, int]] = []
    found = [
        difference async for difference in verification.verify_books(books, lambda *done: progress.append(done))
    ]
    assert len(found) == 2
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]


async def test_it_is_one_consistent_read_while_orders_go_on(
    books: Database, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Money is moved between any two pages."""
    monkeypatch.setattr(verification_queries, "_PAGE", verification_queries._PAGE.limit(1))
    moved = 0

    async def read_and_let_others_move(
        connection: AsyncConnection, after: int
    ) -> list[verification_queries.AccountBook]:
        nonlocal moved
        books = await verification_queries.read_books(connection, after)
        moved += 1
        assert (await transfer(client, f"m{moved}", "u1", "u3", "1"))[0] == 200
        return books

    monkeypatch.setattr(verification, "read_books", read_and_let_others_move)
    assert await _differences(books) == []
    assert moved > 4


async def test_the_command_prints_differences_and_has_an_exit_status(
    books: Database, config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "verify.yaml"
    file.write_text(json.dumps(config))
    arguments = ["verify", "-c", str(file)]
    assert await asyncio.to_thread(cli.main, arguments) == 0
    assert capsys.readouterr().out == "The books balance.\n"
    await books.write(_lose_a_posting)
    assert await asyncio.to_thread(cli.main, arguments) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "5 differences."
    assert await asyncio.to_thread(cli.main, ["verify", "-c", str(tmp_path / "nowhere.yaml")]) == 2
