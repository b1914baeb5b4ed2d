"""The rules of recharges, transfers and withdrawals: who pays whom, and when not."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myaccount.ledger.account_commands import Limit
from myaccount.ledger.commands import Command, MoneyCommand
from myaccount.ledger.decide import decide
from myaccount.ledger.money import MAX_AMOUNT, MAX_BALANCE, Amount
from myaccount.ledger.order_commands import Recharge, Transfer, Withdraw
from myaccount.ledger.records import DECLINED, Account
from myaccount.ledger.references import AccountId, OutsideOf, Reference, UserCurrency
from myaccount.ledger.state import Known
from tests.helpers.comparison import answer
from tests.helpers.example_books import books_with
from tests.helpers.random_commands import OPENINGS, RandomCommands
from tests.helpers.stored_books import START, StoredBooks

ONE = Amount(1)


def test_money_comes_in_moves_and_goes_out_and_balances_add_up_to_zero() -> None:
    books = books_with(ann=0, bob=0)
    orders: list[Command] = [
        Recharge("r", "ann", Amount(10)),
        Transfer("t", "ann", "bob", Amount(4)),
        Withdraw("w", "bob", ONE),
    ]
    assert books.codes(*orders) == [None, None, None]
    balances = {account.account_id: account.balance for account in books.accounts.values()}
    assert balances == {"outside CNY": -900, "ann-1": 600, "bob-1": 300}
    assert [order.amount for order in books.orders.values()] == [1000, 400, 100]


@pytest.mark.parametrize(("amount", "code"), [(Amount(1000, 2), None), (Amount(1001, 2), "insufficient_funds")])
def test_an_account_pays_down_to_its_floor(amount: Amount, code: str | None) -> None:
    for order in (Transfer("t", "ann", "bob", amount), Withdraw("w", "ann", amount)):
        books = books_with(ann=10, bob=0)
        assert books.codes(order) == [code]
    for order in (Transfer("t", "ann", "bob", amount), Withdraw("w", "ann", amount)):
        books = books_with(ann=4, bob=0)
        books.send(Limit("c", AccountId("ann-1"), Amount(6), "vip"))
        assert books.codes(order) == [code]


def test_a_recharge_or_transfer_in_is_taken_although_the_balance_stays_below_zero() -> None:
    books = books_with(ann=0, bob=5)
    books.send(Limit("c", AccountId("ann-1"), Amount(100), "vip"), Withdraw("w", "ann", Amount(100)))
    assert books.codes(Recharge("r", "ann", ONE), Transfer("t", "bob", "ann", ONE)) == [None, None]
    assert books.balance("ann-1") == -9800


def test_a_decline_is_recorded_and_stays_although_the_balance_suffices_later() -> None:
    books = books_with(ann=0, bob=0)
    transfer = Transfer("t", "ann", "bob", ONE, note="rent")
    (first,) = books.send(transfer)
    assert (first.replayed, books.orders["t"].status, books.orders["t"].reason) == (
        False,
        DECLINED,
        "insufficient_funds",
    )
    books.send(Recharge("r", "ann", Amount(10)))
    (again,) = books.send(transfer)
    assert again.replayed
    assert (type(again.error), str(again.error)) == (type(first.error), str(first.error))
    assert not books.entries[books.named("bob-1").id]


def test_an_order_sees_what_those_before_it_in_the_batch_did() -> None:
    books = books_with(ann=0, bob=0)
    transfer = Transfer("t", "ann", "bob", Amount(10))
    outcomes = books.send(Recharge("r", "ann", Amount(10)), transfer, transfer, replace(transfer, order_id="t2"))
    assert [outcome.replayed for outcome in outcomes] == [False, False, True, False]
    assert [answer(outcome).code for outcome in outcomes] == [None, None, None, "insufficient_funds"]


def test_a_balance_never_exceeds_what_the_database_can_store() -> None:
    keys: dict[Reference, int] = {"ann": 2, "bob": 3, OutsideOf("JPY"): 1}
    full = {
        1: Account(1, 1 - MAX_BALANCE, None, currency="JPY"),
        2: Account(2, MAX_BALANCE - 1, currency="JPY", user_id="ann"),
        3: Account(3, 10, currency="JPY", user_id="bob"),
    }
    known = Known(keys=keys, accounts=full, now=START)
    cases: list[MoneyCommand] = [
        Recharge("r1", "ann", ONE),
        Recharge("r2", "ann", ONE),
        Transfer("t", "bob", "ann", ONE),
    ]
    outcomes, state = decide(cases, known)
    assert [answer(outcome).code for outcome in outcomes] == [None, "balance_too_large", "balance_too_large"]
    assert (state.account(1).balance, state.account(2).balance) == (-MAX_BALANCE, MAX_BALANCE)
    # The outside world cannot be owed, or owe, more either.
    outcomes, _ = decide([Recharge("r1", "bob", ONE), Recharge("r2", "bob", ONE)], known)
    assert [answer(outcome).code for outcome in outcomes] == [None, "balance_too_large"]
    out = {**full, 1: replace(full[1], balance=MAX_BALANCE - 1)}
    outcomes, _ = decide([Withdraw("w1", "bob", ONE), Withdraw("w2", "bob", ONE)], replace(known, accounts=out))
    assert [answer(outcome).code for outcome in outcomes] == [None, "balance_too_large"]


# Whose account.


def books_of_two_currencies() -> StoredBooks:
    """Return books where ann's first account is in yen, and bob's in CNY."""
    books = StoredBooks()
    for account_id, currency in [("yen", "JPY"), ("cny-1", "CNY"), ("cny-2", "CNY")]:
        books.open(account_id, "ann", currency)
    books.open("bob-1", "bob")
    return books


@pytest.mark.parametrize(
    ("order", "account_id", "balance"),
    [
        (Recharge("r", "ann", Amount(7)), "yen", 7),
        (Recharge("r", UserCurrency("ann", "JPY"), Amount(7), currency="JPY"), "yen", 7),
        (Recharge("r", UserCurrency("ann", "CNY"), Amount(7), currency="CNY"), "cny-1", 700),
        (Recharge("r", AccountId("cny-2"), Amount(7)), "cny-2", 700),
        (Recharge("r", AccountId("cny-2"), Amount(7), currency="CNY"), "cny-2", 700),
    ],
)
def test_a_user_is_the_account_that_was_opened_first_and_an_account_is_itself(
    order: Recharge, account_id: str, balance: int
) -> None:
    books = books_of_two_currencies()
    assert books.codes(order) == [None]
    moved = {account.account_id: account.balance for account in books.accounts.values() if account.balance}
    assert moved == {account_id: balance, f"outside {books.named(account_id).currency}": -balance}


REFUSALS: list[tuple[Command, str, str | None]] = [
    (Recharge("o", "zoe", ONE), "user_not_found", "payee"),
    (Recharge("o", UserCurrency("zoe", "CNY"), ONE, currency="CNY"), "user_not_found", "payee"),
    (Recharge("o", UserCurrency("ann", "KWD"), ONE, currency="KWD"), "account_not_found", "payee"),
    (Recharge("o", AccountId("ann"), ONE), "account_not_found", "payee"),
    # Names of the outside world's accounts, as clients may send them.
    (Withdraw("o", AccountId("CNY"), ONE), "account_not_found", "payer"),
    (Withdraw("o", "", ONE), "user_not_found", "payer"),
    (Withdraw("o", "zoe", ONE), "user_not_found", "payer"),
    (Withdraw("o", AccountId("cny-1"), ONE, currency="JPY"), "currency_mismatch", "currency"),
    (Transfer("o", "zoe", "bob", ONE), "user_not_found", "payer"),
    (Transfer("o", "bob", "zoe", ONE), "user_not_found", "payee"),
    (Transfer("o", "bob", AccountId("none"), ONE), "account_not_found", "payee"),
    (Transfer("o", "bob", "bob", ONE), "same_account", None),
    (Transfer("o", "bob", AccountId("bob-1"), ONE), "same_account", None),
    (Transfer("o", AccountId("cny-1"), AccountId("yen"), ONE), "currency_mismatch", "currency"),
    # Ann's first account of all is in yen.
    (Transfer("o", "bob", "ann", ONE), "currency_mismatch", "currency"),
    (
        Transfer("o", AccountId("yen"), UserCurrency("bob", "CNY"), ONE, currency="CNY"),
        "currency_mismatch",
        "currency",
    ),
    (Recharge("o", "ann", Amount(15, 1)), "invalid_request", "amount"),
    (Recharge("o", "bob", Amount(1005, 3)), "invalid_request", "amount"),
    (Recharge("o", "ann", Amount(MAX_AMOUNT + 1)), "invalid_request", "amount"),
    (Transfer("o", "bob", AccountId("cny-1"), Amount(1001, 3)), "invalid_request", "amount"),
]


@pytest.mark.parametrize(("order", "code", "field"), REFUSALS)
def test_what_can_never_be_different_is_refused_and_leaves_nothing(
    order: Command, code: str, field: str | None
) -> None:
    books = books_of_two_currencies()
    (outcome,) = books.send(order)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.field) == (code, field)
    assert not books.orders
    assert not books.told
    # The id stays free.
    assert books.codes(Recharge("o", "bob", ONE)) == [None]


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_a_batch_is_decided_as_its_commands_would_be_one_by_one(seed: int, size: int) -> None:
    batch, one_by_one = StoredBooks(), StoredBooks()
    for books in (batch, one_by_one):
        books.send(*OPENINGS)
    random = RandomCommands(Random(seed))
    for seconds in (1, 5, 60):
        commands = random.batch(size)
        together = batch.send(*commands)
        alone = [one_by_one.send(command)[0] for command in commands]
        assert list(map(answer, together)) == list(map(answer, alone))
        assert batch.accounts == one_by_one.accounts
        assert [*batch.orders.values()] == [*one_by_one.orders.values()]
        assert batch.holds == one_by_one.holds
        assert (batch.entries, batch.bulks, batch.log) == (one_by_one.entries, one_by_one.bulks, one_by_one.log)
        for books in (batch, one_by_one):
            books.wait(seconds)
