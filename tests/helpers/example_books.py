"""Books to begin an example with."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from myaccount.ledger.changes import HOLD_ENDS
from myaccount.ledger.commands import AtomicBulk
from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import Hold, OrderCommand, Recharge

from .stored_books import StoredBooks


def books_with(**balances: int) -> StoredBooks:
    """Return books where each of these users has an account in CNY, such as `ann-1`, with this balance."""
    books = StoredBooks()
    for user_id, balance in balances.items():
        books.open(f"{user_id}-1", user_id)
        if balance:
            books.send(Recharge(f"first {user_id}", user_id, Amount(balance)))
    return books


def books_with_hold(amount: int = 6, payee: str | None = "bob", seconds: int | None = None) -> StoredBooks:
    """Return books where ann has 10.00, of which the hold `h` reserves so much for bob."""
    books = books_with(ann=10, bob=0)
    life = None if seconds is None else timedelta(seconds=seconds)
    assert books.codes(Hold("h", "ann", payee, Amount(amount), life)) == [None]
    return books


def bulk(*orders: OrderCommand, bulk_id: str = "b") -> AtomicBulk:
    """Return an atomic bulk of these orders."""
    changed: list[Any] = list(orders)
    return AtomicBulk(bulk_id, tuple(replace(order, bulk_id=bulk_id) for order in changed))


def ends_told(books: StoredBooks) -> list[tuple[str, int]]:
    """Return the ends of holds that were told, and their amounts."""
    return [(change.change_type, change.amount) for change in books.told if change.change_type in HOLD_ENDS]
