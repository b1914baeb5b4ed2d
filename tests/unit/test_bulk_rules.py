"""The rules of bulks: all or none, in the order given."""

from dataclasses import replace

from myaccount.ledger.commands import AtomicBulk, Capture, Hold, OrderCommand, Recharge, Refund, Transfer, Withdraw
from myaccount.ledger.money import Amount
from tests.helpers.comparison import answer
from tests.helpers.plain_ledger import Answer
from tests.helpers.stored_books import StoredBooks


def books_with(**balances: int) -> StoredBooks:
    """Return books where each of these users has an account with this balance."""
    books = StoredBooks()
    for user_id, balance in balances.items():
        books.open(f"{user_id}-1", user_id)
        if balance:
            books.send(Recharge(f"first {user_id}", user_id, Amount(balance)))
    return books


def bulk(*orders: OrderCommand, bulk_id: str = "b") -> AtomicBulk:
    return AtomicBulk(bulk_id, tuple(replace(order, bulk_id=bulk_id) for order in orders))


def test_an_order_about_one_that_is_declined_with_the_bulk_is_declined_with_it() -> None:
    books = books_with(ann=10, bob=0)
    sent = bulk(Hold("h", "ann", "bob", Amount(11)), Capture("c", "h"), Refund("f", "c"))
    (outcome,) = books.send(sent)
    parts = (Answer("insufficient_funds"), Answer("bulk_declined"), Answer("bulk_declined"))
    assert answer(outcome) == Answer("insufficient_funds", parts=parts, failed=0)


def test_an_order_of_a_declined_bulk_that_is_refused_whatever_happens_has_the_bulk_refused() -> None:
    books = books_with(ann=10, bob=0)
    hold = Hold("h", "ann", "bob", Amount(11))
    cases = {
        Refund("f", "h"): "not_refundable",
        Capture("c", "h", Amount(1001, 3)): "invalid_request",
        Capture("c", "x"): "order_not_found",
    }
    for other, code in cases.items():
        (outcome,) = books.send(bulk(hold, other))
        assert answer(outcome) == Answer(code, failed=1)
    (outcome,) = books.send(bulk(Transfer("t", "ann", "bob", Amount(11)), Capture("c", "t")))
    assert answer(outcome) == Answer("not_a_hold", failed=1)
    assert books.orders.keys() == {"first ann"}


def test_what_a_declined_bulk_would_have_refunded_is_not_refunded() -> None:
    books = books_with(ann=10, bob=0)
    books.send(bulk(Transfer("t", "ann", "bob", Amount(4)), Refund("f", "t"), Withdraw("w", "bob", Amount(1))))
    assert {order_id: order.refunded for order_id, order in books.orders.items()} == dict.fromkeys(books.orders, 0)
