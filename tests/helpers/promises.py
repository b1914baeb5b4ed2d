"""The promises, held against the tables of the ledger as they are stored."""

from collections import Counter

from myaccount.ledger.changes import ACCOUNT_ADDED, ACCOUNT_OPENED, DECLINE, HOLD_ENDS
from myaccount.ledger.order_commands import Capture, Recharge, Refund, Release, Transfer, Withdraw
from myaccount.ledger.records import CAPTURED, DECLINED, HELD, POSTED, Account

from .stored_books import StoredBooks

MOVING = {kind.order_type for kind in (Recharge, Transfer, Withdraw, Refund, Capture)}


def check_promises(books: StoredBooks) -> None:
    for account in books.accounts.values():
        _check_entries(account, books)
        _check_declines(account, books)
        _check_available(account, books)
    _check_sums(books)
    _check_orders(books)
    _check_holds(books)
    _check_told(books)


def _check_entries(account: Account, books: StoredBooks) -> None:
    """2: a balance is the sum of its entries, which are numbered without a gap."""
    balance = 0
    for number, entry in enumerate(books.entries[account.id], start=1):
        balance += entry.amount
        assert (entry.number, entry.balance) == (number, balance)
    assert (account.balance, account.last_entry) == (balance, len(books.entries[account.id]))


def _check_declines(account: Account, books: StoredBooks) -> None:
    """7: each declined order has one number in its account, with the balance by then."""
    balances = [0, *(entry.balance for entry in books.entries[account.id])]
    last_entry = 0
    for number, decline in enumerate(books.declines[account.id], start=1):
        assert (decline.number, decline.balance) == (number, balances[decline.entry])
        assert decline.entry >= last_entry
        last_entry = decline.entry
    told = [
        order.order_id
        for order in books.orders.values()
        if order.status == DECLINED
        and account.id == (order.from_account if books.accounts[order.from_account].user_id else order.to_account)
    ]
    # In the order in which they came.
    assert [decline.order_id for decline in books.declines[account.id]] == told
    assert account.last_decline == len(told)


def _check_available(account: Account, books: StoredBooks) -> None:
    """3: no available balance passes its floor; what is held is what open holds have left."""
    holds = [hold for hold in books.holds.values() if hold.payer == account.id and hold.status == HELD]
    assert account.held == sum(hold.remaining for hold in holds)
    assert all(hold.remaining > 0 for hold in holds)
    assert account.floor is None or account.balance - account.held >= account.floor


def _check_sums(books: StoredBooks) -> None:
    """2: balances add up to zero per currency, and no account has another's."""
    sums: Counter[str] = Counter()
    for account in books.accounts.values():
        sums[account.currency] += account.balance
    assert not any(sums.values())


def _check_orders(books: StoredBooks) -> None:
    """2, 6, 10: a posted order moves its own amount between its own accounts, any other moves nothing."""
    entries = {(e.account, e.order_id): e.amount for rows in books.entries.values() for e in rows}
    assert len(entries) == sum(map(len, books.entries.values()))
    refunded: Counter[str] = Counter()
    for order in books.orders.values():
        assert type(order.amount) is int
        assert order.amount > 0
        assert (order.status == POSTED) == (order.reason is None)
        if order.status == POSTED and order.order_type in MOVING:
            assert entries.pop((order.from_account, order.order_id)) == -order.amount
            assert entries.pop((order.to_account, order.order_id)) == order.amount
        if order.status == POSTED and order.order_type == Refund.order_type:
            assert order.target is not None
            refunded[order.target] += order.amount
    assert not entries
    for order in books.orders.values():
        assert order.refunded == refunded[order.order_id] <= order.amount


def _check_holds(books: StoredBooks) -> None:
    """What was captured of a hold, and what is left, is never more than it reserved."""
    captured: Counter[str] = Counter()
    for order in books.orders.values():
        if order.status == POSTED and order.order_type == Capture.order_type:
            assert order.target is not None
            captured[order.target] += order.amount
    for hold in books.holds.values():
        order = books.orders[hold.order_id]
        assert (order.status, order.from_account, order.to_account) == (POSTED, hold.payer, hold.payee)
        assert hold.captured == captured[hold.order_id] <= order.amount
        assert hold.remaining == (order.amount - hold.captured if hold.status == HELD else 0)
        assert hold.captured or hold.status != CAPTURED


def _check_told(books: StoredBooks) -> None:
    """7: each opening, order, end of a hold and change of an account is told once, with balances of its time."""
    openings = (ACCOUNT_OPENED, ACCOUNT_ADDED)
    opened = Counter(change.source_id for change in books.told if change.change_type in openings)
    assert opened == dict.fromkeys(books.opened, 1)
    ends = Counter(change.source_id for change in books.told if change.change_type in HOLD_ENDS)
    assert ends == {hold.order_id: 1 for hold in books.holds.values() if hold.status != HELD}
    orders = Counter(
        change.source_id for change in books.told if change.order_name or change.change_type == DECLINE
    )
    released = {
        o.order_id for o in books.orders.values() if (o.order_type, o.status) == (Release.order_type, POSTED)
    }
    assert orders == dict.fromkeys(books.orders.keys() - released, 1)
    changed = [change.change_id for change in books.told if change.change_id]
    assert changed == [change.change_id for change in books.log]
    entries = {(e.account, e.number): e.balance for rows in books.entries.values() for e in rows}
    keys = {account.account_id: account.id for account in books.accounts.values()}
    last: Counter[str] = Counter()
    for change in books.told:
        for account_id, number, balance in (
            (change.from_account_id, change.from_entry, change.from_balance),
            (change.to_account_id, change.to_entry, change.to_balance),
        ):
            if account_id is not None and number is not None:
                # Receivers put changes in order by the number of the entry.
                assert number >= last[account_id]
                last[account_id] = number
                assert balance == entries.get((keys[account_id], number), 0)
