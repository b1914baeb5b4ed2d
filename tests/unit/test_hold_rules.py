"""The rules of holds: what is reserved, what of it is paid, and how it ends."""

from dataclasses import replace

from myaccount.ledger.changes import HOLD_EXPIRED
from myaccount.ledger.commands import EndHolds, Hold, Recharge
from myaccount.ledger.decide import decide
from myaccount.ledger.money import Amount
from myaccount.ledger.references import OUTSIDE_WORLD, AccountId
from tests.helpers.stored_books import StoredBooks


def books_with(**balances: int) -> StoredBooks:
    """Return books where each of these users has an account with this balance."""
    books = StoredBooks()
    for user_id, balance in balances.items():
        books.open(f"{user_id}-1", user_id)
        if balance:
            books.send(Recharge(f"first {user_id}", user_id, Amount(balance)))
    return books


def test_a_hold_expires_although_nobody_has_locked_its_payee() -> None:
    books = books_with(ann=10, bob=0)
    books.send(Hold("h", "ann", "bob", Amount(4)))
    books.wait(604800)
    books.send(EndHolds(AccountId("ann-1")))
    assert books.named("ann-1").held == 0
    told = books.told[-1]
    assert (told.change_type, told.source_id, told.payer, told.held) == (HOLD_EXPIRED, "h", "ann", 0)
    # The payee's balance is another transaction's to tell.
    assert (told.payee, told.to_account_id, told.to_entry) == (OUTSIDE_WORLD, None, None)


def test_a_hold_of_an_account_that_is_not_locked_stays_as_it_is() -> None:
    """A command about it waits; the others of its batch do not."""
    books = books_with(ann=10, bob=0)
    books.send(Hold("h", "ann", "bob", Amount(4)))
    books.wait(604800)
    payer = books.named("ann-1").id
    known = books.known([EndHolds(AccountId("ann-1"))])
    without = {key: account for key, account in known.accounts.items() if key != payer}
    _, state = decide([], replace(known, accounts=without))
    assert not state.changed_holds
    assert not state.changes
