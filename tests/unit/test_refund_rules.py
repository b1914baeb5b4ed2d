"""The rules of refunds: what can be given back, how much, and by whom."""

import pytest

from myaccount.ledger.account_commands import Close, Freeze, Frozen
from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import (
    Capture,
    Hold,
    OrderCommand,
    Recharge,
    Refund,
    Release,
    Transfer,
    Withdraw,
)
from myaccount.ledger.references import AccountId
from tests.helpers.example_books import books_with, books_with_hold
from tests.helpers.stored_books import StoredBooks

REFUNDABLE: list[tuple[list[OrderCommand], int, int, int]] = [
    # What is done; and the balances of the outside, ann and bob after `o`, of 4.00, is refunded.
    ([Recharge("o", "ann", Amount(4))], -1000, 1000, 0),
    ([Transfer("o", "ann", "bob", Amount(4))], -1000, 1000, 0),
    ([Withdraw("o", "ann", Amount(4))], -1000, 1000, 0),
    ([Hold("h", "ann", "bob", Amount(6)), Capture("o", "h", Amount(4))], -1000, 1000, 0),
]


def balances(books: StoredBooks) -> tuple[int, int, int]:
    return (books.balance("outside CNY"), books.balance("ann-1"), books.balance("bob-1"))


@pytest.mark.parametrize(("done", "outside", "ann", "bob"), REFUNDABLE)
def test_a_refund_moves_the_money_back(done: list[OrderCommand], outside: int, ann: int, bob: int) -> None:
    books = books_with(ann=10, bob=0)
    assert set(books.codes(*done)) == {None}
    (outcome,) = books.send(Refund("f", "o"))
    assert outcome.error is None
    assert balances(books) == (outside, ann, bob)
    assert (books.orders["o"].refunded, books.orders["f"].amount, books.orders["f"].target) == (400, 400, "o")


@pytest.mark.parametrize(("done", "outside", "ann", "bob"), REFUNDABLE)
def test_all_refunds_of_an_order_never_exceed_it(
    done: list[OrderCommand], outside: int, ann: int, bob: int
) -> None:
    """What is captured counts, not what was reserved."""
    books = books_with(ann=10, bob=0)
    books.send(*done)
    books.send(Recharge("more", "bob", Amount(100)), Recharge("more 2", "ann", Amount(100)))
    refunds = [Refund("f1", "o", Amount(401, 2)), Refund("f2", "o", Amount(3)), Refund("f3", "o", Amount(101, 2))]
    assert books.codes(*refunds) == ["refund_exceeds_order", None, "refund_exceeds_order"]
    assert books.codes(Refund("f4", "o")) == [None]
    assert books.orders["f4"].amount == 100
    again = [Refund("f5", "o"), Refund("f6", "o", Amount(1, 2))]
    assert books.codes(*again) == ["refund_exceeds_order"] * 2
    assert books.orders["o"].refunded == 400
    assert balances(books) == (outside - 20000, ann + 10000, bob + 10000)


def test_two_refunds_of_60_of_100_at_once_give_back_60() -> None:
    books = books_with(ann=100, bob=100)
    books.send(Transfer("o", "ann", "bob", Amount(100)))
    refunds = [Refund("f1", "o", Amount(60)), Refund("f2", "o", Amount(60))]
    assert books.codes(*refunds) == [None, "refund_exceeds_order"]
    assert (books.balance("ann-1"), books.orders["o"].refunded) == (6000, 6000)


def test_a_refund_sent_again_is_paid_once() -> None:
    books = books_with(ann=10, bob=10)
    books.send(Transfer("o", "ann", "bob", Amount(6)))
    refund = Refund("f", "o", Amount(2))
    assert [outcome.replayed for outcome in books.send(refund, refund)] == [False, True]
    assert books.send(refund)[0].replayed
    assert books.orders["o"].refunded == 200


@pytest.mark.parametrize(("left", "code"), [(4, None), (3, "insufficient_funds")])
def test_the_payee_pays_the_refund_and_is_never_overdrawn(left: int, code: str | None) -> None:
    books = books_with(ann=10, bob=0)
    books.send(Transfer("o", "ann", "bob", Amount(4)))
    if left < 4:
        books.send(Hold("h", "bob", None, Amount(4 - left)))
    assert books.codes(Refund("f", "o")) == [code]
    assert books.orders["o"].refunded == (0 if code else 400)
    assert balances(books) == ((-1000, 1000, 0) if code is None else (-1000, 600, 400))


PAYER_FROZEN: list[tuple[Frozen, str | None]] = [
    ("debits", None),
    # What is owed to it is no new money.
    ("credits", None),
    ("all", "account_frozen"),
]


@pytest.mark.parametrize(("frozen", "code"), PAYER_FROZEN)
def test_an_account_that_may_receive_nothing_takes_refunds(frozen: Frozen, code: str | None) -> None:
    for order in (Transfer("o", "ann", "bob", Amount(4)), Withdraw("o", "ann", Amount(4))):
        books = books_with(ann=10, bob=0)
        books.send(order, Freeze("c", AccountId("ann-1"), frozen, "court"))
        assert books.codes(Refund("f", "o")) == [code]


PAYEE_FROZEN: list[tuple[Frozen, str | None]] = [
    ("debits", "account_frozen"),
    ("credits", None),
    ("all", "account_frozen"),
]


@pytest.mark.parametrize(("frozen", "code"), PAYEE_FROZEN)
def test_an_account_that_may_pay_nothing_pays_no_refund(frozen: Frozen, code: str | None) -> None:
    books = books_with(ann=10, bob=0)
    books.send(Transfer("o", "ann", "bob", Amount(4)), Freeze("c", AccountId("bob-1"), frozen, "court"))
    assert books.codes(Refund("f", "o")) == [code]


def test_a_closed_account_takes_no_refund() -> None:
    books = books_with(ann=4, bob=0)
    books.send(Transfer("o", "ann", "bob", Amount(4)), Close("c", AccountId("ann-1"), "left"))
    assert books.codes(Refund("f", "o")) == ["account_closed"]
    assert books.orders["o"].refunded == 0


NOT_REFUNDABLE: list[OrderCommand] = [
    Transfer("o", "ann", "bob", Amount(1000)),
    Hold("o", "ann", "bob", Amount(1)),
    Refund("o", "first ann", Amount(1)),
    Release("o", "h"),
]


@pytest.mark.parametrize("order", NOT_REFUNDABLE)
@pytest.mark.parametrize("amount", [None, Amount(1, 2)])
def test_only_what_moved_money_forward_is_refundable(order: OrderCommand, amount: Amount | None) -> None:
    books = books_with_hold()
    books.send(order)
    assert "o" in books.orders
    (outcome,) = books.send(Refund("f", "o", amount))
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.field) == ("not_refundable", "original_order_id")
    assert "f" not in books.orders


def test_a_refund_of_an_order_that_there_is_not_is_refused() -> None:
    books = books_with(ann=10)
    (outcome,) = books.send(Refund("f", "x"))
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.field) == ("order_not_found", "original_order_id")
    assert books.codes(Refund("f", "first ann", Amount(1001, 3))) == ["invalid_request"]
    assert "f" not in books.orders


def test_a_refund_is_in_the_currency_of_its_order() -> None:
    books = StoredBooks()
    books.open("yen", "ann", "JPY")
    books.send(Recharge("o", "ann", Amount(100)))
    assert books.codes(Refund("f1", "o", Amount(15, 1)), Refund("f2", "o", Amount(15))) == [
        "invalid_request",
        None,
    ]
    assert books.balance("yen") == 85
