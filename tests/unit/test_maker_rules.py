"""Which scope each order needs, whatever becomes of it."""

from datetime import timedelta

import pytest

from myaccount.ledger.commands import AtomicBulk, Command
from myaccount.ledger.maker_rules import scope_by_orders
from myaccount.ledger.makers import Maker
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
from tests.helpers.example_books import books_with
from tests.helpers.random_commands import with_fields
from tests.helpers.stored_books import StoredBooks

ONE = Amount(1)
MONEY = {"money:in", "money:move", "money:out"}


def _books() -> StoredBooks:
    books = books_with(ann=100, bob=0)
    made: list[Command] = [
        Recharge("recharged", "ann", Amount(10)),
        Transfer("moved", "ann", "bob", ONE),
        Withdraw("withdrawn", "ann", ONE),
        Hold("hold out", "ann", None, Amount(5)),
        Hold("hold for bob", "ann", "bob", Amount(5)),
        Capture("captured out", "hold out", ONE),
        Capture("captured for bob", "hold for bob", ONE),
    ]
    assert books.codes(*made) == [None] * len(made)
    return books


@pytest.mark.parametrize(
    ("order", "scope"),
    [
        (Recharge("o", "ann", ONE), "money:in"),
        (Transfer("o", "ann", "bob", ONE), "money:move"),
        (Withdraw("o", "ann", ONE), "money:out"),
        (Hold("o", "ann", "bob", ONE), "money:move"),
        (Hold("o", "ann", None, ONE), "money:out"),
        (Capture("o", "hold for bob"), "money:move"),
        (Capture("o", "hold out"), "money:out"),
        (Release("o", "hold out"), "money:move"),
        (Extend("o", "hold out", timedelta(hours=1)), "money:move"),
        (Refund("o", "recharged"), "money:move"),
        (Refund("o", "moved"), "money:move"),
        (Refund("o", "captured for bob"), "money:move"),
        (Refund("o", "withdrawn"), "money:in"),
        (Refund("o", "captured out"), "money:in"),
    ],
)
def test_an_order_needs_one_scope(order: OrderCommand, scope: str) -> None:
    books = _books()
    before = dict(books.orders)
    without = with_fields(order, {"maker": Maker("k1", MONEY - {scope})})
    (outcome,) = books.send(without)
    assert outcome.error is not None
    assert (outcome.error.code, str(outcome.error)) == ("not_allowed", f"This order needs the scope {scope}.")
    assert books.orders == before
    assert books.codes(with_fields(order, {"maker": Maker("k1", {scope})})) == [None]
    assert books.orders["o"].made_by == "k1"
    # A replay wants it as well.
    assert books.codes(without) == ["not_allowed"]


def test_an_open_service_asks_for_no_scope_and_keeps_no_maker() -> None:
    books = _books()
    assert books.codes(Refund("o", "withdrawn")) == [None]
    assert books.orders["o"].made_by is None


def test_an_order_about_one_that_is_not_there_is_told_so() -> None:
    maker = Maker("k1", {"money:move"})
    assert (
        _books().codes(Refund("o", "nothing", maker=maker), Capture("o", "nothing", maker=maker))
        == ["order_not_found"] * 2
    )


def test_another_maker_gets_the_first_outcome_again_and_the_first_stays_its_maker() -> None:
    books = _books()
    first, second = (Recharge("o", "ann", ONE, note="n", maker=Maker(id_, {"money:in"})) for id_ in ("k1", "k2"))
    assert books.codes(first) == [None]
    (again,) = books.send(second)
    assert (again.error, again.replayed) == (None, True)
    assert books.orders["o"].made_by == "k1"


@pytest.mark.parametrize(
    ("order", "scope"),
    [
        (Recharge("o", "ann", ONE), "money:in"),
        (Withdraw("o", "ann", ONE), "money:out"),
        (Transfer("o", "ann", "bob", ONE), "money:move"),
        (Release("o", "out"), "money:move"),
        (Refund("o", "in"), "money:move"),
        (Refund("o", "paid"), "money:in"),
        (Capture("o", "out"), "money:out"),
        (Capture("o", "to bob"), "money:move"),
        (Refund("o", "captured out"), "money:in"),
        (Refund("o", "captured to bob"), "money:move"),
        # These depend on what was sent before, or are refused.
        (Refund("o", "captured earlier"), None),
        (Refund("o", "captured itself"), None),
        (Refund("o", "nothing"), None),
        (Capture("o", "nothing"), None),
    ],
)
def test_orders_that_are_sent_together_tell_which_scope_each_needs(order: OrderCommand, scope: str | None) -> None:
    others: list[OrderCommand] = [
        Recharge("in", "ann", ONE),
        Withdraw("paid", "ann", ONE),
        Hold("out", "ann", None, ONE),
        Hold("to bob", "ann", "bob", ONE),
        Capture("captured out", "out"),
        Capture("captured to bob", "to bob"),
        Capture("captured earlier", "nothing"),
        Capture("captured itself", "captured itself"),
    ]
    assert scope_by_orders(order, {other.order_id: other for other in others}) == scope


@pytest.mark.parametrize("declined", [False, True])
def test_a_bulk_is_refused_if_one_of_its_orders_is(*, declined: bool) -> None:
    books = _books()
    before = dict(books.orders)
    maker = Maker("k1", {"money:move", "money:out"})
    # A refund of what the bulk itself pays out.
    amount = Amount(1_000_000) if declined else ONE
    orders = (
        Transfer("b1", "ann", "bob", ONE, bulk_id="b", maker=maker),
        Withdraw("b2", "ann", amount, bulk_id="b", maker=maker),
        Refund("b3", "b2", bulk_id="b", maker=maker),
    )
    (outcome,) = books.send(AtomicBulk("b", orders))
    assert outcome.error is not None
    assert (outcome.error.code, outcome.failed) == ("not_allowed", 2)
    assert books.orders == before
