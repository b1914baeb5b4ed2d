"""The rules of holds: what is reserved, what of it is paid, and how it ends."""

from dataclasses import replace
from datetime import timedelta

import pytest

from myaccount.ledger.account_commands import Close, Freeze, Limit
from myaccount.ledger.changes import (
    HOLD_CAPTURED,
)
from myaccount.ledger.commands import Command
from myaccount.ledger.decide import decide
from myaccount.ledger.money import MAX_AMOUNT, MAX_BALANCE, Amount
from myaccount.ledger.order_commands import (
    Capture,
    Extend,
    Hold,
    OrderCommand,
    Refund,
    Release,
    Transfer,
    Withdraw,
)
from myaccount.ledger.records import CAPTURED, HELD
from myaccount.ledger.references import AccountId
from tests.helpers.example_books import books_with, books_with_hold, ends_told

ANN = AccountId("ann-1")
WEEK_SECONDS = 604800


def test_a_hold_moves_nothing_and_what_it_reserves_is_not_available() -> None:
    books = books_with_hold()
    ann = books.named("ann-1")
    assert (ann.balance, ann.held, ann.last_entry) == (1000, 600, 1)
    refund = Refund("f", "first ann")
    spend: list[Command] = [
        Transfer("t", "ann", "bob", Amount(401, 2)),
        Withdraw("w", "ann", Amount(401, 2)),
        Hold("h2", "ann", None, Amount(401, 2)),
        refund,
    ]
    assert set(books.codes(*spend)) == {"insufficient_funds"}
    assert books.codes(Hold("h3", "ann", None, Amount(2)), Transfer("t2", "ann", "bob", Amount(2))) == [None, None]
    assert books.named("ann-1").held == 800


def test_a_credit_can_be_reserved_too() -> None:
    books = books_with(ann=0, bob=0)
    books.send(Limit("c", ANN, Amount(5), "vip"))
    assert books.codes(Hold("h", "ann", "bob", Amount(501, 2))) == ["insufficient_funds"]
    assert books.codes(Hold("h2", "ann", "bob", Amount(5)), Capture("c2", "h2")) == [None, None]
    assert books.balance("ann-1") == -500


@pytest.mark.parametrize(
    ("hold", "code"),
    [
        (Hold("h", "zoe", "bob", Amount(1)), "user_not_found"),
        (Hold("h", "ann", "zoe", Amount(1)), "user_not_found"),
        (Hold("h", "ann", "ann", Amount(1)), "same_account"),
        (Hold("h", "ann", AccountId("yen"), Amount(1)), "currency_mismatch"),
        (Hold("h", ANN, None, Amount(1), currency="JPY"), "currency_mismatch"),
        (Hold("h", "ann", None, Amount(1001, 3)), "invalid_request"),
    ],
)
def test_a_hold_that_can_never_be_captured_is_refused(hold: Hold, code: str) -> None:
    books = books_with(ann=10, bob=0)
    books.open("yen", "bob", "JPY")
    assert books.codes(hold) == [code]
    assert "h" not in books.orders


def test_what_is_held_never_exceeds_what_the_database_can_store() -> None:
    books = books_with(ann=0, bob=0)
    ann = books.named("ann-1")
    books.accounts[ann.id] = replace(ann, balance=MAX_BALANCE, held=MAX_BALANCE - 100, floor=-MAX_AMOUNT)
    batch = [Hold("h", "ann", "bob", Amount(101, 2)), Hold("h2", "ann", "bob", Amount(1))]
    outcomes, _ = decide(batch, books.known(batch))
    assert [outcome.error and outcome.error.code for outcome in outcomes] == ["balance_too_large", None]


def test_a_capture_pays_the_payee_of_the_hold_or_the_outside_world() -> None:
    books = books_with_hold()
    assert books.codes(Capture("c", "h")) == [None]
    assert (books.balance("ann-1"), books.balance("bob-1"), books.named("ann-1").held) == (400, 600, 0)
    books = books_with_hold(payee=None)
    assert books.codes(Capture("c", "h")) == [None]
    assert (books.balance("outside CNY"), books.balance("ann-1")) == (-400, 400)


def test_several_captures_take_up_to_what_is_left_and_the_last_ends_the_hold() -> None:
    books = books_with_hold()
    assert books.codes(Capture("c1", "h", Amount(2)), Capture("c2", "h", Amount(401, 2))) == [
        None,
        "capture_exceeds_hold",
    ]
    assert (books.holds["h"].status, books.holds["h"].remaining, books.named("ann-1").held) == (HELD, 400, 400)
    assert not ends_told(books)
    assert books.codes(Capture("c3", "h", Amount(4)), Capture("c4", "h", Amount(1))) == [None, "hold_ended"]
    assert (books.holds["h"].status, books.holds["h"].captured) == (CAPTURED, 600)
    assert ends_told(books) == [(HOLD_CAPTURED, 600)]


@pytest.mark.parametrize(
    ("amount", "final", "moved", "left"),
    [
        (None, None, 600, 0),
        (None, True, 600, 0),
        # All that is left ends the hold, whatever `final` says.
        (None, False, 600, 0),
        (Amount(6), False, 600, 0),
        (Amount(2), None, 200, 400),
        (Amount(2), False, 200, 400),
        (Amount(2), True, 200, 0),
    ],
)
def test_a_final_capture_frees_the_rest(amount: Amount | None, final: bool | None, moved: int, left: int) -> None:
    books = books_with_hold()
    assert books.codes(Capture("c", "h", amount, final)) == [None]
    assert (books.balance("bob-1"), books.named("ann-1").held, books.holds["h"].remaining) == (moved, left, left)
    assert books.holds["h"].status == (HELD if left else CAPTURED)
    assert books.holds["h"].captured == moved


def test_a_capture_never_fails_for_want_of_money() -> None:
    books = books_with_hold(10)
    assert books.codes(Withdraw("w", "ann", Amount(1, 2)), Capture("c", "h")) == ["insufficient_funds", None]


def test_two_captures_of_all_at_once_pay_once() -> None:
    books = books_with_hold(10)
    assert books.codes(Capture("c1", "h"), Capture("c2", "h")) == [None, "hold_ended"]
    assert books.balance("bob-1") == 1000


@pytest.mark.parametrize(
    ("frozen", "payer_code", "payee_code"),
    [
        ("none", None, None),
        ("debits", None, None),
        ("credits", None, "account_frozen"),
        ("all", "account_frozen", "account_frozen"),
    ],
)
def test_a_hold_made_before_is_captured_unless_all_is_frozen(
    frozen: str, payer_code: str | None, payee_code: str | None
) -> None:
    for account_id, code in (("ann-1", payer_code), ("bob-1", payee_code)):
        books = books_with_hold()
        books.send(Freeze("c", AccountId(account_id), frozen, "court"))  # type: ignore[arg-type]
        assert books.codes(Capture("c", "h")) == [code]


def test_a_closed_payee_gets_no_hold_and_no_capture() -> None:
    books = books_with_hold()
    books.send(Close("c", AccountId("bob-1"), "left"))
    assert books.codes(Hold("h2", "ann", "bob", Amount(1)), Capture("c", "h")) == ["account_closed"] * 2
    assert books.codes(Release("l", "h")) == [None]


ABOUT: list[OrderCommand] = [
    Capture("o", "h"),
    Capture("o", "h", Amount(1)),
    Release("o", "h"),
    Extend("o", "h", timedelta(seconds=5)),
]


@pytest.mark.parametrize("order", ABOUT)
def test_an_order_about_what_is_no_hold_is_refused(order: OrderCommand) -> None:
    books = books_with(ann=10, bob=0)
    assert books.codes(order) == ["order_not_found"]
    for other in (Hold("h", "ann", "bob", Amount(11)), Transfer("h", "ann", "bob", Amount(1))):
        books = books_with(ann=10, bob=0)
        books.send(other)
        (outcome,) = books.send(order)
        assert outcome.error is not None
        assert (outcome.error.code, outcome.error.field) == ("not_a_hold", "hold_order_id")
        assert "o" not in books.orders


def test_the_amount_of_a_capture_has_the_decimals_of_the_holds_currency() -> None:
    books = books_with_hold()
    assert books.codes(Capture("c", "h", Amount(1001, 3))) == ["invalid_request"]
    assert "c" not in books.orders
