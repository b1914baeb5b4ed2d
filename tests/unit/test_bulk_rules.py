"""The rules of bulks: all or none, in the order given."""

from dataclasses import replace
from datetime import timedelta

import pytest

from myaccount.ledger.account_commands import Freeze
from myaccount.ledger.changes import DECLINE
from myaccount.ledger.commands import AtomicBulk, NameBulk
from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import (
    Capture,
    Extend,
    Hold,
    OrderCommand,
    Recharge,
    Refund,
    Release,
    Transfer,
    Withdraw,
)
from myaccount.ledger.references import AccountId
from tests.helpers.comparison import answer
from tests.helpers.example_books import books_with, books_with_hold, bulk
from tests.helpers.plain_ledger import Answer
from tests.helpers.promises import check_promises
from tests.helpers.stored_books import StoredBooks

DONE, DECLINED = Answer(), Answer("bulk_declined")
ONE = Amount(1)


def sent(books: StoredBooks, command: AtomicBulk | NameBulk) -> Answer:
    (outcome,) = books.send(command)
    check_promises(books)
    return answer(outcome)


def test_an_order_sees_what_those_before_it_did() -> None:
    books = books_with(ann=0, bob=0, cem=0)
    orders = (
        Recharge("r", "ann", Amount(10)),
        Transfer("t", "ann", "bob", Amount(10)),
        Hold("h", "bob", "cem", Amount(10)),
        Capture("c", "h"),
        Refund("f", "c", Amount(4)),
        Withdraw("w", "bob", Amount(4)),
    )
    assert sent(books, bulk(*orders)) == Answer(parts=(DONE,) * 6)
    assert [books.balance(account_id) for account_id in ("ann-1", "bob-1", "cem-1")] == [0, 0, 600]
    assert {order.bulk_id for order in books.orders.values()} == {"b"}


def test_if_one_is_declined_all_are_recorded_as_declined() -> None:
    books = books_with(ann=10, bob=0)
    before = [replace(account) for account in books.accounts.values()]
    orders: list[OrderCommand] = [
        Hold("h", "ann", "bob", ONE),
        Withdraw("w", "ann", Amount(10)),
        Release("l", "h"),
        Capture("c", "h"),
    ]
    answered = sent(books, bulk(*orders))
    assert answered == Answer(
        "insufficient_funds", parts=(DECLINED, answered.parts[1], DECLINED, DECLINED), failed=1
    )
    assert answered.parts[1].code == "insufficient_funds"
    assert {order_id: order.reason for order_id, order in books.orders.items()} == {
        "first ann": None,
        "h": "bulk_declined",
        "w": "insufficient_funds",
        "l": "bulk_declined",
        "c": "bulk_declined",
    }
    # No money has moved. Each of the four orders is a decline of ann's account.
    declines = {account.account_id: account.last_decline for account in books.accounts.values()}
    assert declines == {"outside CNY": 0, "ann-1": 4, "bob-1": 0}
    assert ([replace(account, last_decline=0) for account in books.accounts.values()], books.holds) == (before, {})
    assert [change.change_type for change in books.told[1:]] == [DECLINE] * 4


def test_the_first_that_is_declined_is_named_although_others_would_be() -> None:
    books = books_with(ann=10, bob=0)
    orders: list[OrderCommand] = [
        Recharge("r", "bob", ONE),
        Withdraw("w", "ann", Amount(11)),
        Transfer("t", "bob", "ann", Amount(2)),
    ]
    answered = sent(books, bulk(*orders))
    assert (answered.code, answered.failed) == ("insufficient_funds", 1)
    assert books.orders["t"].reason == "bulk_declined"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_if_one_is_refused_nothing_is_recorded_whatever_else_is_declined(place: int) -> None:
    books = books_with(ann=10, bob=0)
    orders: list[OrderCommand] = [Transfer("t1", "ann", "bob", ONE), Withdraw("w", "ann", Amount(11))]
    orders.insert(place, Recharge("r", "zoe", ONE))
    assert sent(books, bulk(*orders)) == Answer("user_not_found", failed=place)
    assert books.orders.keys() == {"first ann"}
    assert not books.bulks
    # The bulk's id and those of its orders stay free.
    assert sent(books, bulk(orders[1 if place == 0 else 0])).code is None


def test_nobody_spends_what_a_bulk_would_have_moved() -> None:
    books = books_with(ann=10, bob=0)
    taken = bulk(Transfer("t1", "ann", "bob", Amount(10)), Transfer("t2", "ann", "bob", ONE))
    spend = [Withdraw("w1", "bob", ONE), Withdraw("w2", "ann", Amount(10))]
    assert books.codes(Withdraw("w0", "ann", Amount(1, 2)), Recharge("r", "ann", Amount(1, 2)), taken, *spend) == [
        None,
        None,
        "insufficient_funds",
        "insufficient_funds",
        None,
    ]
    check_promises(books)


def test_a_hold_is_after_a_declined_bulk_as_it_was_before_in_the_batch() -> None:
    books = books_with_hold()
    taken = bulk(Capture("c2", "h", Amount(2)), Withdraw("w", "ann", Amount(10)))
    assert books.codes(Capture("c1", "h", ONE), taken, Capture("c3", "h", Amount(5))) == [
        None,
        "insufficient_funds",
        None,
    ]
    check_promises(books)


def test_bulks_of_one_batch_see_each_other_as_far_as_they_are_done() -> None:
    books = books_with(ann=10, bob=0)
    codes = books.codes(
        Freeze("c", AccountId("bob-1"), "debits", "court"),
        bulk(Hold("h", "ann", "bob", Amount(6)), Transfer("t1", "bob", "ann", ONE), bulk_id="b1"),
        bulk(Hold("h2", "ann", "bob", Amount(6)), bulk_id="b2"),
        bulk(Capture("c2", "h2", Amount(2)), Extend("e", "h2", timedelta(seconds=9)), bulk_id="b3"),
        bulk(Capture("c3", "h2", Amount(5)), bulk_id="b4"),
        Capture("c4", "h2"),
    )
    assert codes == [None, "account_frozen", None, None, "capture_exceeds_hold", None]
    assert (books.balance("bob-1"), books.named("ann-1").held, [*books.holds]) == (600, 0, ["h2"])
    check_promises(books)


# An order about one that is declined with the bulk.


def test_an_order_about_one_that_is_declined_with_the_bulk_is_declined_with_it() -> None:
    books = books_with(ann=10, bob=0)
    answered = sent(books, bulk(Hold("h", "ann", "bob", Amount(11)), Capture("c", "h", ONE), Refund("f", "c")))
    assert answered == Answer(
        "insufficient_funds", parts=(Answer("insufficient_funds"), DECLINED, DECLINED), failed=0
    )
    # From the payee of the capture to its payer.
    assert books.orders["f"][2:5] == (books.named("bob-1").id, books.named("ann-1").id, 100)


@pytest.mark.parametrize(
    ("first", "other", "code"),
    [
        (Hold("o", "ann", "bob", Amount(11)), Refund("f", "o"), "not_refundable"),
        (Hold("o", "ann", "bob", Amount(11)), Capture("c", "o", Amount(1001, 3)), "invalid_request"),
        (Hold("o", "ann", "bob", Amount(11)), Capture("c", "x"), "order_not_found"),
        (Transfer("o", "ann", "bob", Amount(11)), Capture("c", "o"), "not_a_hold"),
        (Transfer("o", "ann", "bob", Amount(11)), Refund("f", "o", Amount(1001, 3)), "invalid_request"),
    ],
)
def test_it_is_refused_if_it_would_be_whatever_happens(
    first: OrderCommand, other: OrderCommand, code: str
) -> None:
    books = books_with(ann=10, bob=0)
    assert sent(books, bulk(first, other)) == Answer(code, failed=1)
    assert books.orders.keys() == {"first ann"}


def test_an_order_about_one_that_was_declined_before_the_bulk_is_refused() -> None:
    books = books_with(ann=10, bob=0)
    books.send(Hold("h", "ann", "bob", Amount(11)))
    assert sent(books, bulk(Withdraw("w", "ann", Amount(11)), Capture("c", "h"))) == Answer("not_a_hold", failed=1)


def test_what_a_declined_bulk_would_have_refunded_or_captured_is_as_before() -> None:
    books = books_with_hold()
    books.send(Transfer("t1", "ann", "bob", Amount(4)))
    held = replace(books.holds["h"])
    orders: list[OrderCommand] = [
        Refund("f1", "t1", ONE),
        Transfer("t2", "bob", "ann", ONE),
        Refund("f2", "t2"),
        Capture("c", "h", ONE),
    ]
    assert sent(books, bulk(*orders, Withdraw("w", "bob", Amount(100)))).code == "insufficient_funds"
    assert [books.orders[order_id].refunded for order_id in ("t1", "t2")] == [0, 0]
    assert books.holds == {"h": held}
