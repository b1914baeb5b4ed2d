"""Whether the stored books and the plain model say the same."""

from decimal import Decimal

from myaccount.ledger.outcomes import Outcome
from myaccount.ledger.records import CLOSED, HELD, HoldState, Order

from .plain_books import PlainAccount, PlainHold, PlainOrder, unit
from .plain_ledger import Answer, PlainLedger
from .stored_books import StoredBooks


def answer(outcome: Outcome) -> Answer:
    """Return what a client sees of the outcome."""
    return Answer(
        None if outcome.error is None else outcome.error.code,
        outcome.replayed,
        tuple(map(answer, outcome.parts)),
        outcome.failed,
    )


def assert_same(books: StoredBooks, plain: PlainLedger) -> None:
    accounts = [*plain.outside.values(), *plain.accounts.values()]
    assert len(accounts) == len(books.accounts)
    for account in accounts:
        _assert_same_account(account, books, plain)
    assert books.orders.keys() == plain.orders.keys()
    for order_id, order in plain.orders.items():
        _assert_same_order(order, books.orders[order_id], books, plain)
    assert books.holds.keys() == plain.holds.keys()
    for order_id, hold in plain.holds.items():
        _assert_same_hold(hold, books.holds[order_id], books)
    assert books.bulks.keys() == plain.bulks.keys()


def _assert_same_account(plain: PlainAccount, books: StoredBooks, ledger: PlainLedger) -> None:
    stored = books.named(plain.account_id)
    assert (stored.frozen, stored.status == CLOSED) == (plain.frozen, plain.closed)
    entries = [(entry.order_id, entry.amount * unit(plain.currency)) for entry in books.entries[stored.id]]
    assert entries == plain.entries
    declines = [
        (decline.order_id, decline.entry, (decline.held or 0) * unit(plain.currency))
        for decline in books.declines[stored.id]
    ]
    assert declines == [
        (order_id, order.entries, order.held)
        for order_id, order in ledger.orders.items()
        if order.reason is not None and order.told is plain
    ]
    if not plain.user_id:
        assert stored.floor is None
        return
    assert stored.floor is not None
    assert stored.floor * unit(plain.currency) == plain.floor
    # Rows of holds that have expired are changed when the account is next touched.
    expired = [hold for hold in books.holds.values() if hold.payer == stored.id and expired_unseen(hold, books)]
    held = stored.held - sum(hold.remaining for hold in expired)
    assert held * unit(plain.currency) == ledger.held(plain)
    log = [
        (f"{change.setting} {_shown(change.value, plain.currency)}", change.reason)
        for change in books.log
        if change.account == stored.id
    ]
    assert log == plain.log


def _shown(value: str | int, currency: str) -> str:
    return value if isinstance(value, str) else f"{(value * unit(currency)).normalize():f}"


def _assert_same_order(plain: PlainOrder, stored: Order, books: StoredBooks, ledger: PlainLedger) -> None:
    command = plain.command
    assert (stored.order_type, stored.reason) == (command.order_type, plain.reason)
    assert (stored.note, stored.reference, stored.bulk_id) == (command.note, command.reference, command.bulk_id)
    assert stored.target == command.target
    assert books.accounts[stored.from_account].account_id == plain.payer.account_id
    assert books.accounts[stored.to_account].account_id == plain.payee.account_id
    # Of a declined order that was sent without an amount, none is promised; releases and extensions move none.
    sent = getattr(command, "amount", None)
    if sent is not None or (plain.reason is None and plain.amount and command.order_type in ("04", "06")):
        assert stored.amount * unit(plain.payer.currency) == plain.amount
    assert stored.refunded * unit(plain.payer.currency) == ledger.refunded(command.order_id)


def _assert_same_hold(plain: PlainHold, stored: HoldState, books: StoredBooks) -> None:
    scale = unit(plain.payer.currency)
    unseen = expired_unseen(stored, books)
    assert ("expired" if unseen else stored.status) == plain.status(books.now)
    left = Decimal(0) if unseen else stored.remaining * scale
    assert (left, stored.captured * scale) == (plain.left(books.now), plain.captured)
    assert stored.expires_at == plain.ends_at


def expired_unseen(hold: HoldState, books: StoredBooks) -> bool:
    return hold.status == HELD and hold.expires_at <= books.now
