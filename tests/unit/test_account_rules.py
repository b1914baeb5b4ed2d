"""The rules of accounts: freezing, closing, and the least balance."""

from datetime import timedelta

import pytest

from myaccount.ledger.account_commands import AccountCommand, Close, Freeze, Frozen, Limit
from myaccount.ledger.changes import ACCOUNT_CLOSED, ACCOUNT_FROZEN, LIMIT_CHANGED
from myaccount.ledger.commands import Command
from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import Extend, Hold, Recharge, Release, Transfer, Withdraw
from myaccount.ledger.records import CLOSED, AccountChange
from myaccount.ledger.references import AccountId
from tests.helpers.example_books import books_with, books_with_hold
from tests.helpers.stored_books import StoredBooks

ANN = AccountId("ann-1")
ONE = Amount(1)


@pytest.mark.parametrize(
    ("frozen", "pays", "receives"),
    [("none", True, True), ("debits", False, True), ("credits", True, False), ("all", False, False)],
)
def test_a_frozen_account_does_not_pay_or_does_not_receive(frozen: Frozen, pays: bool, receives: bool) -> None:
    books = books_with(ann=10, bob=10)
    codes = books.codes(
        Freeze("c", ANN, frozen, "court"),
        Transfer("t1", "ann", "bob", ONE),
        Withdraw("w", "ann", ONE),
        Hold("h", "ann", "bob", ONE),
        Transfer("t2", "bob", "ann", ONE),
        Recharge("r", "ann", ONE),
    )
    paid, received = None if pays else "account_frozen", None if receives else "account_frozen"
    assert codes == [None, paid, paid, paid, received, received]
    # Nothing is paid to it yet.
    assert books.codes(Hold("h2", "bob", "ann", ONE)) == [None]


def test_a_freeze_counts_for_every_order_after_it_and_ends_with_the_next() -> None:
    books = books_with(ann=10, bob=0)
    first, second, third = (Transfer(f"t{number}", "ann", "bob", ONE) for number in (1, 2, 3))
    batch: list[Command] = [
        first,
        Freeze("c1", ANN, "debits", "court"),
        second,
        Freeze("c2", ANN, "none", "ended"),
        third,
    ]
    assert books.codes(*batch) == [None, None, "account_frozen", None, None]
    assert books.codes(second) == ["account_frozen"]


def test_each_change_is_kept_with_its_reason_and_told() -> None:
    books = books_with(ann=0)
    key = books.named("ann-1").id
    books.send(
        Limit("c1", ANN, Amount(5005, 1), "vip"), Freeze("c2", ANN, "all", "court"), Close("c3", ANN, "left")
    )
    assert books.log == [
        AccountChange("c1", key, "floor", -50050, "vip"),
        AccountChange("c2", key, "frozen", "all", "court"),
        AccountChange("c3", key, "status", "closed", "left"),
    ]
    told = [(change.change_type, change.source_id, change.value, change.reason) for change in books.told]
    assert told == [
        (LIMIT_CHANGED, "ann-1", -50050, "vip"),
        (ACCOUNT_FROZEN, "ann-1", "all", "court"),
        (ACCOUNT_CLOSED, "ann-1", "closed", "left"),
    ]


@pytest.mark.parametrize(
    "command",
    [Freeze("c2", ANN, "credits", "other"), Limit("c2", ANN, Amount(50, 1), "other"), Close("c2", ANN, "other")],
)
def test_the_same_state_again_changes_nothing(command: AccountCommand) -> None:
    books = books_with(ann=0)
    books.send(Freeze("c0", ANN, "credits", "court"), Limit("c1", ANN, Amount(5), "vip"))
    if isinstance(command, Close):
        books.send(Close("c", ANN, "left"))
    account, log, told = books.named("ann-1"), list(books.log), list(books.told)
    assert books.codes(command) == [None]
    assert (books.named("ann-1"), books.log, books.told) == (account, log, told)


def refuse_to_close(books: StoredBooks) -> bool:
    (outcome,) = books.send(Close("c", ANN, "left"))
    if outcome.error is None:
        return False
    assert (outcome.error.code, outcome.error.field) == ("account_in_use", "account")
    assert not books.log
    return True


def test_an_account_is_closed_once_balance_and_held_are_zero() -> None:
    assert refuse_to_close(books_with(ann=1))
    in_debt = books_with(ann=0)
    in_debt.send(Limit("c", ANN, ONE, "vip"), Withdraw("w", "ann", ONE))
    assert in_debt.codes(Close("c2", ANN, "left")) == ["account_in_use"]
    reserved = books_with(ann=0, bob=0)
    reserved.send(Limit("c", ANN, ONE, "vip"), Hold("h", "ann", "bob", ONE))
    assert reserved.codes(Close("c2", ANN, "left"), Release("l", "h"), Close("c3", ANN, "left")) == [
        "account_in_use",
        None,
        None,
    ]
    assert reserved.named("ann-1").status == CLOSED


def test_a_closed_account_takes_part_in_nothing() -> None:
    books = books_with(ann=0, bob=10)
    codes = books.codes(
        Limit("c1", ANN, ONE, "vip"),
        Close("c2", ANN, "left"),
        Recharge("r", "ann", ONE),
        Transfer("t1", "bob", "ann", ONE),
        Hold("h1", "bob", "ann", ONE),
        Transfer("t2", "ann", "bob", ONE),
        Withdraw("w", "ann", ONE),
        Hold("h2", "ann", "bob", ONE),
    )
    assert codes == [None, None, *["account_closed"] * 6]
    assert books.codes(Freeze("c3", ANN, "all", "court"), Limit("c4", ANN, None, "x")) == ["account_closed"] * 2
    assert len(books.log) == 2


@pytest.mark.parametrize(("credit", "code"), [(Amount(4), None), (Amount(399, 2), "limit_in_use")])
def test_a_limit_is_not_set_above_what_is_available(credit: Amount, code: str | None) -> None:
    books = books_with(ann=0, bob=0)
    books.send(
        Limit("c1", ANN, Amount(10), "vip"), Withdraw("w", "ann", Amount(1)), Hold("h", "ann", "bob", Amount(3))
    )
    (outcome,) = books.send(Limit("c2", ANN, credit, "less"))
    assert (outcome.error and outcome.error.code) == code
    assert books.named("ann-1").floor == (-1000 if code else -400)
    assert code is None or (outcome.error and outcome.error.field) == "floor"
    assert books.codes(Limit("c3", ANN, None, "none")) == ["limit_in_use"]


def test_a_limit_of_zero_is_the_default() -> None:
    books = books_with(ann=0, bob=0)
    assert (
        books.codes(Limit("c1", ANN, None, "x"), Limit("c2", ANN, ONE, "vip"), Limit("c3", ANN, None, "x"))
        == [None] * 3
    )
    assert [change.change_id for change in books.log] == ["c2", "c3"]
    assert books.codes(Withdraw("w", "ann", Amount(1, 2))) == ["insufficient_funds"]


def test_a_limit_is_an_amount_of_the_accounts_currency() -> None:
    books = StoredBooks()
    books.open("yen", "ann", "JPY")
    (outcome,) = books.send(Limit("c1", AccountId("yen"), Amount(15, 1), "vip"))
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.field) == ("invalid_request", "floor")
    books.send(Limit("c2", AccountId("yen"), Amount(15), "vip"))
    assert books.named("yen").floor == -15


@pytest.mark.parametrize(
    "command",
    [
        Freeze("c", AccountId("ann"), "all", "x"),
        Close("c", AccountId("CNY"), "x"),
        Limit("c", AccountId("x"), None, "x"),
    ],
)
def test_a_change_of_no_account_is_refused(command: AccountCommand) -> None:
    books = books_with(ann=0)
    (outcome,) = books.send(command)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.field) == ("account_not_found", "account")


def test_an_expired_hold_keeps_nobody_from_closing_or_from_a_limit() -> None:
    for command in (Close("c", ANN, "left"), Limit("c", ANN, None, "none")):
        books = books_with(ann=0, bob=0)
        books.send(Limit("c0", ANN, ONE, "vip"), Hold("h", "ann", "bob", ONE))
        books.wait(604800)
        assert books.codes(command) == [None]


def test_frozen_or_not_a_hold_is_extended_and_released() -> None:
    books = books_with_hold()
    extend = Extend("e", "h", timedelta(seconds=9))
    assert books.codes(Freeze("c", ANN, "all", "court"), extend, Release("l", "h")) == [None, None, None]
