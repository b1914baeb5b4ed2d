"""`myaccount verify` checks promises 2 and 3 from the tables alone, and finds planted errors."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.cli import entry as cli
from myaccount.database.database import Database
from myaccount.journal import account_verification, verification
from myaccount.settings.schema import Config

from ..conftest import Client
from ..helpers.actions import open_users, send, transfer

Plant = Callable[[AsyncConnection], Awaitable[object]]


async def _differences(database: Database) -> list[str]:
    return [difference async for difference in verification.verify_books(database, lambda done, count: None)]


@pytest.fixture
def config(config: Config) -> Config:
    """Without a listener, which would go on changing the inboxes that a test has planted an error in."""
    config["listener"]["enabled"] = False
    return config


@pytest.fixture
async def books(client: Client, database: Database) -> Database:
    """Orders of each kind: u1 has 75.00, of which 15.00 are held, and u2 25.00; u3 has 500 yen."""
    await open_users(client, "u1", "u2", "u3")
    await send(client, "/addaccount", userId="u3", accountId="y-u3", accountType="01", currency="JPY")
    assert (await transfer(client, "d1", "u1", "u2", "1000"))[0] == 409
    for path, fields in (
        ("/recharge", {"orderId": "r1", "userId": "u1", "amount": "100"}),
        ("/transfer", {"orderId": "t1", "fromuserId": "u1", "touserId": "u2", "amount": "30"}),
        ("/refund", {"orderId": "f1", "originalOrderId": "t1", "amount": "10"}),
        ("/hold", {"orderId": "h1", "fromuserId": "u1", "touserId": "u2", "amount": "20"}),
        ("/capture", {"orderId": "c1", "holdOrderId": "h1", "amount": "5"}),
        ("/hold", {"orderId": "h2", "fromuserId": "u1", "amount": "1"}),
        ("/extend", {"orderId": "e2", "holdOrderId": "h2", "expiresIn": "60"}),
        ("/release", {"orderId": "x2", "holdOrderId": "h2"}),
        ("/recharge", {"orderId": "r2", "accountId": "y-u3", "amount": "600"}),
        ("/withdraw", {"orderId": "w2", "accountId": "y-u3", "amount": "100"}),
    ):
        status, body, _ = await send(client, path, **fields)
        assert status == 200, body
        if fields["orderId"] == "t1":
            assert (await transfer(client, "d2", "u1", "u2", "1000"))[0] == 409
    assert (await transfer(client, "t2", "u2", "u3", "1000"))[0] == 409
    # The payee is told.
    await send(client, "/freeze", accountId="y-u3", frozen="all", reason="why")
    assert (await send(client, "/recharge", orderId="r3", accountId="y-u3", amount="1"))[0] == 409
    return database


async def test_the_books_of_the_service_balance(books: Database) -> None:
    assert await _differences(books) == []


def _sql(*statements: str, dropped: tuple[str, str] | None = None) -> Plant:
    """Run the statements, which may violate the CHECK of that table and name."""

    async def plant(connection: AsyncConnection) -> None:
        if dropped is not None and connection.dialect.name == "sqlite":
            await connection.execute(text("PRAGMA ignore_check_constraints = 1"))
        elif dropped is not None:
            # MySQL before 8.0.16 has no such constraint, and cannot drop it.
            with suppress(DBAPIError):
                await connection.execute(text("ALTER TABLE `{}` DROP CONSTRAINT {}".format(*dropped)))
        for statement in statements:
            await connection.execute(text(statement))

    return plant


def _fault(plant: Plant, *differences: str) -> tuple[Plant, list[str]]:
    return plant, sorted(differences)


U1, U2 = "(SELECT id FROM account WHERE user_id = 'u1')", "(SELECT id FROM account WHERE user_id = 'u2')"
COLUMNS = "order_id, order_type, from_account, to_account, amount, status, created_at"
BREAK = "Account {}: the balance after order {!r} is not the previous balance plus its amount."
STRAY = "Account {}: it has an entry of {} for order {!r}, which did not move that."
MISSING = "Order {!r}: its entry of {} in account {} is missing."
AVAILABLE = ("account", "ck_account_available")

PLANTED = {
    "a balance is raised": _fault(
        _sql("UPDATE account SET balance = 2501 WHERE user_id = 'u2'"),
        "Account a-u2: the balance is 25.01, but its entries make it 25.00.",
        "All balances in CNY add up to 0.01, not to zero.",
    ),
    "a balance in another currency is raised": _fault(
        _sql("UPDATE account SET balance = 501 WHERE account_id = 'y-u3'"),
        "Account y-u3: the balance is 501, but its entries make it 500.",
        "All balances in JPY add up to 1, not to zero.",
    ),
    "money moves from one currency to another": _fault(
        _sql(
            "UPDATE account SET balance = balance - 1 WHERE user_id = 'u2'",
            "UPDATE account SET balance = balance + 1 WHERE account_id = 'y-u3'",
        ),
        "Account a-u2: the balance is 24.99, but its entries make it 25.00.",
        "Account y-u3: the balance is 501, but its entries make it 500.",
        "All balances in CNY add up to -0.01, not to zero.",
        "All balances in JPY add up to 1, not to zero.",
    ),
    "an inbox is ahead of its account": _fault(
        _sql(
            f"DELETE FROM inbox_mark WHERE account = {U1}",
            f"INSERT INTO inbox_mark (account, number) VALUES ({U1}, 5)",
        ),
        "Account a-u1: its user's inbox has messages up to entry 5, but its last entry is 4.",
    ),
    "an inbox has a mark of no account": _fault(
        _sql("INSERT INTO inbox_mark (account, number) VALUES (99, 2)"),
        "An inbox has messages about 2 entries of an account that does not exist.",
    ),
    "an inbox is ahead of its account's declines": _fault(
        _sql(
            f"DELETE FROM inbox_mark WHERE account = {U1}",
            f"INSERT INTO inbox_mark (account, number, declines) VALUES ({U1}, 4, 3)",
        ),
        "Account a-u1: its user's inbox has messages up to decline 3, but its last decline is 2.",
    ),
    "a decline in the middle is lost": _fault(
        _sql(f"DELETE FROM decline WHERE account = {U1} AND number = 1"),
        "Account a-u1: its 1 declines have numbers from 2 to 2.",
    ),
    "the last decline is lost": _fault(
        _sql(f"DELETE FROM decline WHERE account = {U1} AND number = 2"),
        "Account a-u1: its last decline has the number 1, not 2.",
    ),
    "all declines are lost": _fault(
        _sql(f"DELETE FROM decline WHERE account = {U1}"),
        "Account a-u1: its last decline has the number 0, not 2.",
    ),
    "an account skips a decline number": _fault(
        _sql("UPDATE account SET last_decline = 3 WHERE user_id = 'u1'"),
        "Account a-u1: its last decline has the number 2, not 3.",
    ),
    "a decline is there twice": _fault(
        _sql(
            f"INSERT INTO decline VALUES ({U1}, 3, 'd1', 4, 7500, NULL)",
            "UPDATE account SET last_decline = 3 WHERE user_id = 'u1'",
        ),
        "Account a-u1: its 3 declines are of 2 orders.",
    ),
    "a decline is of an order that was posted": _fault(
        _sql(f"UPDATE decline SET order_id = 't1' WHERE account = {U1} AND number = 1"),
        "Account a-u1: its decline 1 is of order 't1', which was not declined for it.",
    ),
    "a decline is of no order": _fault(
        _sql("DELETE FROM `order` WHERE order_id = 'd1'"),
        "Account a-u1: its decline 1 is of order 'd1', which was not declined for it.",
    ),
    "a decline is of the account that is not told": _fault(
        _sql(
            f"UPDATE decline SET account = {U2}, entry = 0, balance = 0 WHERE order_id = 'd2'",
            "UPDATE account SET last_decline = 3 - last_decline WHERE user_id IN ('u1', 'u2')",
            # The inbox may have been caught up.
            f"DELETE FROM inbox_mark WHERE account = {U1}",
        ),
        "Account a-u2: its decline 2 is of order 'd2', which was not declined for it.",
    ),
    "a decline has another balance than its account by then": _fault(
        _sql(f"UPDATE decline SET balance = 1 WHERE account = {U1} AND number = 2"),
        "Account a-u1: its decline 2 has the balance 0.01, but it was 70.00 after entry 2.",
    ),
    "a decline came after an entry that is missing": _fault(
        _sql(f"UPDATE decline SET entry = 9 WHERE account = {U1} AND number = 2"),
        "Account a-u1: its decline 2 came after entry 9, which is missing.",
    ),
    "an entry in the middle is lost": _fault(
        _sql(f"DELETE FROM entry WHERE account = {U1} AND order_id = 'f1'"),
        "Account a-u1: the balance is 75.00, but its entries make it 65.00.",
        "Account a-u1: its 3 entries have numbers from 1 to 4.",
        BREAK.format("a-u1", "c1"),
        MISSING.format("f1", "10.00", "a-u1"),
    ),
    "the first entry is lost": _fault(
        _sql(f"DELETE FROM entry WHERE account = {U1} AND order_id = 'r1'"),
        "Account a-u1: the balance is 75.00, but its entries make it -25.00.",
        "Account a-u1: its 3 entries have numbers from 2 to 4.",
        BREAK.format("a-u1", "t1"),
        MISSING.format("r1", "100.00", "a-u1"),
    ),
    "the last entry is lost": _fault(
        _sql(f"DELETE FROM entry WHERE account = {U2} AND order_id = 'c1'"),
        "Account a-u2: the balance is 25.00, but its entries make it 20.00.",
        "Account a-u2: its last entry has the number 2, not 3.",
        "Account a-u2: its decline 1 came after entry 3, which is missing.",
        MISSING.format("c1", "5.00", "a-u2"),
    ),
    "an entry is there twice": _fault(
        _sql(
            f"INSERT INTO entry (account, number, order_id, amount, balance) VALUES ({U1}, 5, 't1', -3000, 4500)"
        ),
        "Account a-u1: the balance is 75.00, but its entries make it 45.00.",
        "Account a-u1: its last entry has the number 5, not 4.",
        "Account a-u1: it has 2 entries of -30.00 for order 't1'.",
    ),
    "an account skips an entry number": _fault(
        _sql("UPDATE account SET last_entry = 4 WHERE user_id = 'u2'"),
        "Account a-u2: its last entry has the number 3, not 4.",
    ),
    "an entry has another amount": _fault(
        _sql(f"UPDATE entry SET amount = 2900 WHERE account = {U2} AND order_id = 't1'"),
        "Account a-u2: the balance is 25.00, but its entries make it 24.00.",
        BREAK.format("a-u2", "t1"),
        STRAY.format("a-u2", "29.00", "t1"),
        MISSING.format("t1", "30.00", "a-u2"),
    ),
    # No later entry could show it.
    "the last balance after an entry is wrong": _fault(
        _sql(f"UPDATE entry SET balance = 2501 WHERE account = {U2} AND order_id = 'c1'"),
        BREAK.format("a-u2", "c1"),
        "Account a-u2: its decline 1 has the balance 25.00, but it was 25.01 after entry 3.",
    ),
    "the first balance after an entry is wrong": _fault(
        _sql(f"UPDATE entry SET balance = 1 WHERE account = {U1} AND order_id = 'r1'"),
        BREAK.format("a-u1", "r1"),
    ),
    "an order is lost": _fault(
        _sql("DELETE FROM `order` WHERE order_id = 'c1'"),
        STRAY.format("a-u1", "-5.00", "c1"),
        STRAY.format("a-u2", "5.00", "c1"),
        "Hold 'h1': 5.00 is captured, but its captures add up to 0.00.",
    ),
    "an order that was refunded is lost": _fault(
        _sql("DELETE FROM `order` WHERE order_id = 't1'"),
        STRAY.format("a-u1", "-30.00", "t1"),
        STRAY.format("a-u2", "30.00", "t1"),
        "Order 't1': 0.00 is refunded, but its refunds add up to 10.00.",
    ),
    "a declined order moved money": _fault(
        _sql("UPDATE `order` SET status = 'declined' WHERE order_id = 'r1'"),
        STRAY.format("outside CNY", "-100.00", "r1"),
        STRAY.format("a-u1", "100.00", "r1"),
    ),
    "an order that only changes a hold moved money": _fault(
        _sql("UPDATE `order` SET order_type = '07' WHERE order_id = 'r1'"),
        STRAY.format("outside CNY", "-100.00", "r1"),
        STRAY.format("a-u1", "100.00", "r1"),
    ),
    "an order names another payee": _fault(
        _sql(f"UPDATE `order` SET to_account = {U2} WHERE order_id = 'r1'"),
        STRAY.format("a-u1", "100.00", "r1"),
        MISSING.format("r1", "100.00", "a-u2"),
    ),
    "a posted order moved nothing": _fault(
        _sql(f"INSERT INTO `order` ({COLUMNS}) VALUES ('t9', '02', {U1}, {U2}, 1, 'posted', '2026-01-01')"),
        MISSING.format("t9", "-0.01", "a-u1"),
        MISSING.format("t9", "0.01", "a-u2"),
    ),
    "less is refunded than the refunds": _fault(
        _sql("UPDATE `order` SET refunded = 900 WHERE order_id = 't1'"),
        "Order 't1': 9.00 is refunded, but its refunds add up to 10.00.",
    ),
    "an order without refunds is refunded": _fault(
        _sql("UPDATE `order` SET refunded = 1 WHERE order_id = 'w2'"),
        "Order 'w2': 1 is refunded, but its refunds add up to 0.",
    ),
    "refunds exceed their order": _fault(
        _sql(
            "UPDATE `order` SET refunded = 3001 WHERE order_id = 't1'",
            "UPDATE `order` SET amount = 3001 WHERE order_id = 'f1'",
            "UPDATE entry SET amount = 3001, balance = 10001 WHERE order_id = 'f1' AND amount > 0",
            "UPDATE entry SET amount = -3001, balance = -1 WHERE order_id = 'f1' AND amount < 0",
            "UPDATE entry SET balance = 9501 WHERE order_id = 'c1' AND amount < 0",
            "UPDATE entry SET balance = 499 WHERE order_id = 'c1' AND amount > 0",
            "UPDATE account SET balance = 9501 WHERE user_id = 'u1'",
            "UPDATE account SET balance = 499 WHERE user_id = 'u2'",
            dropped=("order", "ck_order_refunded"),
        ),
        "Account a-u2: its decline 1 has the balance 25.00, but it was 4.99 after entry 3.",
        "Order 't1': its refunds of 30.01 are more than its amount 30.00.",
    ),
    "more is held than the holds have left": _fault(
        _sql("UPDATE account SET held = 1600 WHERE user_id = 'u1'"),
        "Account a-u1: 16.00 is held, but its open holds have 15.00 left.",
    ),
    "a hold has more left than its amount": _fault(
        _sql("UPDATE hold SET remaining = 1600 WHERE order_id = 'h1'"),
        "Account a-u1: 15.00 is held, but its open holds have 16.00 left.",
        "Hold 'h1': 16.00 left and 5.00 captured are more than its amount 20.00.",
    ),
    "an open hold lost a part of its amount": _fault(
        _sql(
            "UPDATE hold SET remaining = 1400 WHERE order_id = 'h1'",
            "UPDATE account SET held = 1400 WHERE user_id = 'u1'",
        ),
        "Hold 'h1': it is open, and 14.00 left and 5.00 captured are less than its amount 20.00.",
    ),
    "a hold has less captured than its captures": _fault(
        _sql("UPDATE hold SET captured = 400 WHERE order_id = 'h1'"),
        "Hold 'h1': it is open, and 15.00 left and 4.00 captured are less than its amount 20.00.",
        "Hold 'h1': 4.00 is captured, but its captures add up to 5.00.",
    ),
    "a hold that ended has something left": _fault(
        _sql("UPDATE hold SET remaining = 1 WHERE order_id = 'h2'"),
        "Hold 'h2': it has ended, and 0.01 is left.",
    ),
    "a hold that ended is due": _fault(
        _sql("UPDATE hold SET due_at = expires_at WHERE order_id = 'h2'"),
        "Hold 'h2': it has ended, and is due.",
    ),
    "an open hold has nothing left": _fault(
        _sql("UPDATE hold SET remaining = 0 WHERE order_id = 'h1'"),
        "Account a-u1: 15.00 is held, but its open holds have 0.00 left.",
        "Hold 'h1': it is open, with nothing left.",
    ),
    "an open hold is never due": _fault(
        _sql("UPDATE hold SET due_at = NULL WHERE order_id = 'h1'"),
        "Hold 'h1': it is open, and not due when it expires.",
    ),
    "an open hold is due too early": _fault(
        _sql("UPDATE hold SET due_at = '2026-01-01 00:00:00.000000' WHERE order_id = 'h1'"),
        "Hold 'h1': it is open, and not due when it expires.",
    ),
    "a hold is lost": _fault(
        _sql("DELETE FROM hold WHERE order_id = 'h1'"),
        "Account a-u1: 15.00 is held, but its open holds have 0.00 left.",
        "Order 'h1': it is a posted hold, and the table of holds lacks it.",
        "Hold 'h1': 0.00 is captured, but its captures add up to 5.00.",
    ),
    "a hold has another payee than its order": _fault(
        _sql(f"UPDATE hold SET payee = {U1} WHERE order_id = 'h1'"),
        "Hold 'h1': no posted hold has this order id and these accounts.",
    ),
    "a hold's order is lost": _fault(
        _sql("DELETE FROM `order` WHERE order_id = 'h2'"),
        "Hold 'h2': no posted hold has this order id and these accounts.",
    ),
    "a balance is below its floor": _fault(
        _sql("UPDATE account SET floor = 5000 WHERE user_id = 'u2'", dropped=AVAILABLE),
        "Account a-u2: the balance 25.00 is below its floor 50.00.",
    ),
    "a balance less what is held is below its floor": _fault(
        _sql("UPDATE account SET floor = 6001 WHERE user_id = 'u1'", dropped=AVAILABLE),
        "Account a-u1: the balance 75.00, less 15.00 held, is below its floor 60.01.",
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
async def test_planted_errors_are_found(books: Database, planted: str) -> None:
    plant, differences = PLANTED[planted]
    await books.write(plant)
    assert sorted(await _differences(books)) == differences


async def test_an_account_in_a_currency_that_is_not_known_is_verified(books: Database) -> None:
    await books.write(_sql("UPDATE account SET currency = 'OLD', balance = balance + 1 WHERE currency = 'JPY'"))
    assert (await _differences(books))[-1] == "All balances in OLD add up to 2, not to zero."


async def test_an_accounts_turnover_may_exceed_64_bits(books: Database) -> None:
    amount = 2**62
    orders, entries = [], []
    for n in range(3):
        for name, payer, payee, balances in (
            ("there", U1, U2, (7500 - amount, 2500 + amount)),
            ("back", U2, U1, (2500, 7500)),
        ):
            orders.append(f"('{name}-{n}', '02', {payer}, {payee}, {amount}, 'posted', '2026-01-01')")
            for key, signed, balance in zip((payer, payee), (-amount, amount), balances, strict=True):
                number = (5 if key == U1 else 4) + 2 * n + (name == "back")
                entries.append(f"({key}, {number}, '{name}-{n}', {signed}, {balance})")
    await books.write(
        _sql(
            f"INSERT INTO `order` ({COLUMNS}) VALUES {', '.join(orders)}",
            f"INSERT INTO entry (account, number, order_id, amount, balance) VALUES {', '.join(entries)}",
            "UPDATE account SET last_entry = last_entry + 6 WHERE account_id IN ('a-u1', 'a-u2')",
        )
    )
    assert await _differences(books) == []


async def test_all_pages_of_accounts_are_verified(books: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_verification, "PAGE_LIMIT", 1)
    await books.write(PLANTED["a balance is raised"][0])
    progress: list[tuple[int, int]] = []
    found = [
        difference async for difference in verification.verify_books(books, lambda *done: progress.append(done))
    ]
    assert len(found) == 2
    assert progress == [(n, 6) for n in range(1, 7)]


async def test_it_is_one_consistent_read_while_orders_go_on(
    books: Database, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Money is moved between any two pages."""
    monkeypatch.setattr(account_verification, "PAGE_LIMIT", 1)
    moved = 0

    async def read_and_let_others_move(
        connection: AsyncConnection, after: int
    ) -> list[account_verification.AccountBook]:
        nonlocal moved
        books = await account_verification.read_books(connection, after)
        moved += 1
        assert (await transfer(client, f"m{moved}", "u1", "u3", "1"))[0] == 200
        return books

    monkeypatch.setattr(verification, "read_books", read_and_let_others_move)
    assert await _differences(books) == []
    assert moved > 6


async def test_the_command_prints_differences_and_has_an_exit_status(
    books: Database, config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "verify.yaml"
    file.write_text(json.dumps(config))
    arguments = ["verify", "-c", str(file)]
    assert await asyncio.to_thread(cli.main, arguments) == 0
    assert capsys.readouterr().out == "The books balance.\n"
    await books.write(PLANTED["an entry in the middle is lost"][0])
    assert await asyncio.to_thread(cli.main, arguments) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "4 differences."
    assert await asyncio.to_thread(cli.main, ["verify", "-c", str(tmp_path / "nowhere.yaml")]) == 2
