"""The rules of holds: how they end, and that they end once."""

from dataclasses import replace
from datetime import timedelta

import pytest

from myaccount.ledger.account_commands import Freeze
from myaccount.ledger.changes import (
    HOLD_EXPIRED,
    HOLD_EXTENDED,
    HOLD_RELEASED,
)
from myaccount.ledger.decide import decide
from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import Capture, Extend, OrderCommand, Recharge, Release, Withdraw
from myaccount.ledger.records import EXPIRED, RELEASED
from myaccount.ledger.references import OUTSIDE_WORLD, AccountId
from tests.helpers.example_books import books_with_hold, ends_told
from tests.helpers.stored_books import START

ANN = AccountId("ann-1")
WEEK_SECONDS = 604800


def test_a_release_frees_what_is_left_whatever_is_frozen() -> None:
    books = books_with_hold()
    books.send(Capture("c", "h", Amount(2)), Freeze("c", ANN, "all", "court"))
    assert books.codes(Release("l", "h"), Release("l2", "h")) == [None, "hold_ended"]
    assert (books.named("ann-1").held, books.balance("ann-1"), books.holds["h"].status) == (0, 800, RELEASED)
    assert ends_told(books) == [(HOLD_RELEASED, 400)]
    assert books.told[-2].target == "l"


ABOUT: list[OrderCommand] = [
    Capture("o", "h"),
    Capture("o", "h", Amount(1)),
    Release("o", "h"),
    Extend("o", "h", timedelta(seconds=5)),
]


@pytest.mark.parametrize("order", ABOUT)
@pytest.mark.parametrize("end", [Capture("e", "h"), Release("e", "h")])
def test_a_hold_that_has_ended_stays_so(order: OrderCommand, end: OrderCommand) -> None:
    books = books_with_hold()
    books.send(end)
    held = replace(books.holds["h"])
    assert books.codes(order) == ["hold_ended"]
    assert books.holds["h"] == held
    assert books.named("ann-1").held == 0


@pytest.mark.parametrize("order", ABOUT)
@pytest.mark.parametrize(("seconds", "code"), [(4.999999, None), (5, "hold_expired"), (6, "hold_expired")])
def test_a_hold_ends_by_the_time_at_which_the_batch_is_decided(
    order: OrderCommand, seconds: float, code: str | None
) -> None:
    books = books_with_hold(seconds=5)
    books.wait(seconds)
    assert books.codes(order) == [code]
    assert ends_told(books).count((HOLD_EXPIRED, 600)) == (code is not None)


def test_by_default_a_hold_ends_after_a_week() -> None:
    assert books_with_hold().holds["h"].expires_at == START + timedelta(seconds=WEEK_SECONDS)


def test_what_an_expired_hold_reserved_is_available_from_that_moment_on() -> None:
    books = books_with_hold(10, seconds=5)
    books.wait(4)
    assert books.codes(Withdraw("w1", "ann", Amount(1))) == ["insufficient_funds"]
    books.wait(1)
    assert books.codes(Withdraw("w2", "ann", Amount(10))) == [None]
    assert (books.holds["h"].status, books.holds["h"].remaining) == (EXPIRED, 0)
    assert ends_told(books) == [(HOLD_EXPIRED, 1000)]


def test_a_hold_that_was_ended_does_not_expire() -> None:
    books = books_with_hold(seconds=5)
    books.send(Release("l", "h"))
    books.wait(5)
    assert books.codes(Capture("c", "h")) == ["hold_ended"]
    assert ends_told(books) == [(HOLD_RELEASED, 600)]


def test_only_what_is_left_of_a_hold_expires() -> None:
    books = books_with_hold(seconds=5)
    books.send(Capture("c", "h", Amount(2)))
    books.wait(5)
    books.sweep()
    books.sweep()
    assert (books.named("ann-1").held, books.holds["h"].captured) == (0, 200)
    assert ends_told(books) == [(HOLD_EXPIRED, 400)]


def test_an_extension_lets_a_hold_end_that_many_seconds_from_now() -> None:
    books = books_with_hold(seconds=5)
    books.wait(4)
    books.send(Extend("e", "h", timedelta(seconds=3)))
    assert books.holds["h"].expires_at == START + timedelta(seconds=7)
    assert (books.told[-1].change_type, books.told[-1].expires_at) == (
        HOLD_EXTENDED,
        "2026-03-01T12:00:07.000000Z",
    )
    books.wait(2.9)
    assert books.codes(Recharge("r", "ann", Amount(1)), Capture("c", "h", Amount(1))) == [None, None]
    books.wait(0.1)
    assert books.codes(Capture("c2", "h")) == ["hold_expired"]


def test_a_hold_expires_although_nobody_has_locked_its_payee() -> None:
    books = books_with_hold(4)
    books.wait(WEEK_SECONDS)
    books.sweep()
    assert books.named("ann-1").held == 0
    told = books.told[-1]
    assert (told.change_type, told.source_id, told.payer, told.held) == (HOLD_EXPIRED, "h", "ann", 0)
    # The payee's balance is another transaction's to tell.
    assert (told.payee, told.to_account_id, told.to_entry) == (OUTSIDE_WORLD, None, None)


def test_a_hold_of_an_account_that_is_not_locked_stays_as_it_is() -> None:
    """A command about it waits; the others of its batch do not."""
    books = books_with_hold(4)
    books.wait(WEEK_SECONDS)
    payer = books.named("ann-1").id
    known = books.known([Recharge("r", ANN, Amount(1))])
    without = {key: account for key, account in known.accounts.items() if key != payer}
    _, state = decide([], replace(known, accounts=without))
    assert not state.changed_holds
    assert not state.changes
