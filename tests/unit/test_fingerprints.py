"""What makes it the same order: the same route, and the same values in every field (promise 1)."""

from datetime import timedelta

from myaccount.ledger.fingerprints import FINGERPRINT_LENGTH, bulk_fingerprint, fingerprint
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
from myaccount.ledger.records import Order
from myaccount.ledger.references import AccountId, UserCurrency
from tests.helpers.example_books import books_with

ONE, TWO = Amount(1), Amount(2)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
IN_CNY = UserCurrency("ann", "CNY")

# Each differs from each other in what was sent, as the HTTP edge makes it.
DIFFERENT: list[OrderCommand] = [
    Recharge("o", "ann", ONE),
    Recharge("o", "ann", Amount(101, 2)),
    Recharge("o", "bob", ONE),
    Recharge("o", AccountId("ann"), ONE),
    Recharge("o", AccountId("ann-1"), ONE),
    Recharge("o", AccountId("ann-1"), ONE, currency="CNY"),
    Recharge("o", IN_CNY, ONE, currency="CNY"),
    Recharge("o", "ann", ONE, note=""),
    Recharge("o", "ann", ONE, note="rent"),
    Recharge("o", "ann", ONE, reference="rent"),
    Recharge("o", "ann", ONE, note="rent", reference="rent"),
    Recharge("o", "ann", ONE, note='rent","reference":"rent'),
    Withdraw("o", "ann", ONE),
    Withdraw("o", AccountId("ann-1"), ONE),
    Transfer("o", "ann", "bob", ONE),
    Transfer("o", "bob", "ann", ONE),
    Transfer("o", AccountId("ann-1"), "bob", ONE),
    Transfer("o", "ann", AccountId("bob-1"), ONE),
    Transfer("o", IN_CNY, UserCurrency("bob", "CNY"), ONE, currency="CNY"),
    Hold("o", "ann", "bob", ONE),
    Hold("o", "ann", None, ONE),
    Hold("o", "ann", None, ONE, SECOND),
    # The default, but sent.
    Hold("o", "ann", None, ONE, timedelta(days=7)),
    Hold("o", "ann", None, ONE, note="x"),
    Refund("o", "a"),
    Refund("o", "b"),
    Refund("o", "a", ONE),
    Refund("o", "a", TWO),
    Capture("o", "a"),
    Capture("o", "a", ONE),
    Capture("o", "a", None, True),
    Capture("o", "a", None, False),
    Capture("o", "a", ONE, True),
    Release("o", "a"),
    Release("o", "b"),
    Extend("o", "a", SECOND),
    Extend("o", "a", HOUR),
]


def test_orders_that_differ_in_anything_that_was_sent_are_not_the_same() -> None:
    for sent in DIFFERENT:
        books = books_with(ann=10, bob=10)
        books.open("ann", "cem")
        about = Transfer if isinstance(sent, Refund) else Hold
        books.send(about("a", "ann", "bob", TWO), about("b", "ann", "bob", TWO))
        assert books.codes(sent) == [None]
        others = [order for order in DIFFERENT if order is not sent]
        assert set(books.codes(*others)) == {"order_mismatch"}, sent


def test_an_order_is_the_same_whatever_bulk_it_came_in_and_however_its_amount_is_spelt() -> None:
    note = "rent"
    books = books_with(ann=10)
    books.send(Recharge("r1", "ann", ONE), Recharge("r2", "ann", ONE, note=note))
    spellings = (Amount(10, 1), Amount(100, 2), ONE)
    again: list[OrderCommand] = [Recharge("r1", "ann", amount, bulk_id="b") for amount in spellings]
    again += [Recharge("r2", "ann", amount, note=note, bulk_id="b") for amount in spellings]
    assert all(outcome.replayed for outcome in books.send(*again))


def test_only_an_order_of_nothing_but_users_and_an_amount_has_no_fingerprint() -> None:
    without = [order for order in DIFFERENT if fingerprint(order) is None]
    assert without == [
        Recharge("o", "ann", ONE),
        Recharge("o", "ann", Amount(101, 2)),
        Recharge("o", "bob", ONE),
        Withdraw("o", "ann", ONE),
        Transfer("o", "ann", "bob", ONE),
        Transfer("o", "bob", "ann", ONE),
    ]
    others = [sent for order in DIFFERENT if (sent := fingerprint(order)) is not None]
    assert len(set(others)) == len(others)
    assert {len(sent) for sent in others} == {FINGERPRINT_LENGTH}


def test_a_row_from_before_there_were_fingerprints_replays_as_before() -> None:
    books = books_with(ann=10, bob=0)
    ann, bob = books.named("ann-1").id, books.named("bob-1").id
    books.orders["t"] = Order("t", "02", ann, bob, 150)
    books.orders["d"] = Order("d", "02", ann, bob, 150, "declined", "insufficient_funds")
    outcomes = books.send(Transfer("t", "ann", "bob", Amount(15, 1)), Transfer("d", "ann", "bob", Amount(15, 1)))
    assert [outcome.replayed for outcome in outcomes] == [True, True]
    assert [outcome.error and outcome.error.code for outcome in outcomes] == [None, "insufficient_funds"]
    others: list[OrderCommand] = [
        Transfer("t", "ann", "bob", Amount(151, 2)),
        Transfer("t", "ann", "bob", Amount(1500, 3)),
        Transfer("t", "bob", "ann", Amount(15, 1)),
        Transfer("t", "ann", "zoe", Amount(15, 1)),
        Transfer("t", AccountId("ann-1"), "bob", Amount(15, 1)),
        Transfer("t", "ann", "bob", Amount(15, 1), note=""),
        Recharge("t", "bob", Amount(15, 1)),
        Withdraw("t", "ann", Amount(15, 1)),
    ]
    assert set(books.codes(*others)) == {"order_mismatch"}


def test_fingerprints_are_stored_for_ever_so_they_never_change() -> None:
    assert {order.order_type: fingerprint(order) for order in PINNED} == PINNED_FINGERPRINTS
    assert bulk_fingerprint(tuple(PINNED), atomic=True) == PINNED_BULKS[True]
    assert bulk_fingerprint(tuple(PINNED), atomic=False) == PINNED_BULKS[False]


PINNED: list[OrderCommand] = [
    Recharge("o1", AccountId("ann-1"), Amount(150, 2)),
    Transfer("o2", IN_CNY, AccountId("bob-1"), ONE, currency="CNY", note="房租", reference="7"),
    Withdraw("o3", "ann", ONE, note=""),
    Refund("o4", "o2"),
    Hold("o5", "ann", None, ONE, HOUR),
    Capture("o6", "o5", ONE, False),
    Release("o7", "o5"),
    Extend("o8", "o5", HOUR),
]
PINNED_FINGERPRINTS = {
    "01": "bc7c72e166374ecd3cae52fecea83ab2",
    "02": "7bbe039c3d2b178245a77721f20e29c8",
    "03": "bfdbc995b93f894530b8914740175a23",
    "04": "0b8028fea6f70d7eabef4e9a686ae8ef",
    "05": "9dc93a7edc237df60a1947a8e651fa90",
    "06": "053cb6e9da36576b99741575e8bd842b",
    "07": "ef8c9793fe3c69c0abf3e086fe8f9562",
    "08": "23b2be719e75feb310b8b70e06c5ef72",
}
PINNED_BULKS = {
    True: "b6b71ed6321639cdeebc7b597cbddc60",
    False: "10e7050e5e8c154ba1a7e4cddb648706",
}
