"""Bulks that are sent again: one bulk id stands for one list of orders (promise 1)."""

from dataclasses import replace

import pytest

from myaccount.ledger.commands import AtomicBulk, NameBulk
from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import Recharge, Withdraw
from tests.helpers.comparison import answer
from tests.helpers.example_books import books_with, bulk
from tests.helpers.plain_ledger import Answer
from tests.helpers.promises import check_promises
from tests.helpers.stored_books import StoredBooks

DONE, DECLINED = Answer(), Answer("bulk_declined")
ONE = Amount(1)


def sent(books: StoredBooks, command: AtomicBulk | NameBulk) -> Answer:
    (outcome,) = books.send(command)
    check_promises(books)
    return answer(outcome)


@pytest.mark.parametrize("amount", [Amount(10), Amount(11)])
def test_sent_again_it_is_answered_as_before(amount: Amount) -> None:
    books = books_with(ann=10, bob=0)
    again = bulk(Recharge("r", "bob", ONE, note="rent"), Withdraw("w", "ann", amount))
    first = sent(books, again)
    books.send(Recharge("more", "ann", Amount(50)))
    orders = dict(books.orders)
    replayed = Answer(first.code, True, tuple(part._replace(replayed=True) for part in first.parts), first.failed)
    assert sent(books, again) == replayed
    assert [answer(outcome) for outcome in books.send(again, again)] == [replayed] * 2
    # An order of it, sent alone, has its own outcome again.
    (alone,) = books.send(replace(again.orders[1], bulk_id=None))
    assert answer(alone) == replayed.parts[1]
    assert books.orders == orders


def test_its_id_does_not_stand_for_other_orders() -> None:
    books = books_with(ann=10, bob=0)
    first, second = Recharge("r1", "bob", ONE), Recharge("r2", "bob", Amount(2))
    books.send(bulk(first, second))
    others: list[AtomicBulk | NameBulk] = [
        bulk(first),
        bulk(second, first),
        bulk(first, second, Recharge("r3", "bob", ONE)),
        bulk(first, replace(second, order_id="r3")),
        bulk(first, replace(second, note="rent")),
        bulk(first, Recharge("r2", "ann", Amount(2))),
        NameBulk("b", bulk(first, second).orders),
    ]
    assert {sent(books, other).code for other in others} == {"order_mismatch"}
    assert not {"r3"} & books.orders.keys()


def test_a_used_order_id_is_not_part_of_another_bulk() -> None:
    books = books_with(ann=10, bob=0)
    used, new = Recharge("r", "bob", ONE), Withdraw("w", "ann", ONE)
    books.send(used)
    assert sent(books, bulk(new, used)) == Answer("order_mismatch", failed=1)
    assert "w" not in books.orders
    assert sent(books, bulk(new, bulk_id="b1")).code is None
    for other in (new, Withdraw("w", "ann", Amount(2)), Recharge("w", "bob", ONE)):
        assert sent(books, bulk(other, bulk_id="b2")) == Answer("order_mismatch", failed=0)


def test_the_id_of_a_bulk_that_is_not_atomic_is_taken_for_its_orders() -> None:
    books = books_with(ann=10)
    orders = bulk(Recharge("r1", "ann", ONE), Recharge("r2", "ann", ONE)).orders
    assert sent(books, NameBulk("b", orders)) == Answer()
    assert sent(books, NameBulk("b", orders)) == Answer(replayed=True)
    assert sent(books, NameBulk("b", orders[:1])).code == "order_mismatch"
    assert sent(books, AtomicBulk("b", orders)).code == "order_mismatch"
    # Its orders come alone.
    assert books.orders.keys() == {"first ann"}
