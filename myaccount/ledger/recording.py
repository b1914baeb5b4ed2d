"""Records an order that was decided: its row, and the change that its event carries."""

from .changes import CATCH_UP_ENTRIES, DECLINE, ENTRY_CHANGES, ORDER_NAMES, Change
from .fingerprints import fingerprint
from .order_commands import OrderCommand
from .records import DECLINED, POSTED, Account, HoldState, Order
from .references import OUTSIDE_WORLD
from .state import State


def order_row(
    command: OrderCommand,
    payer: Account,
    payee: Account,
    amount: int,
    reason: str | None,
    target: str | None = None,
) -> Order:
    """Return the order's row: posted or, for a reason, declined."""
    return Order(
        command.order_id,
        command.order_type,
        payer.id,
        payee.id,
        amount,
        POSTED if reason is None else DECLINED,
        reason,
        None if command.maker is None else command.maker.id,
        fingerprint(command),
        target,
        command.bulk_id,
        command.note,
        command.reference,
    )


def record(
    order: Order,
    payer: Account,
    payee: Account,
    state: State,
    change_type: str | None = None,
    hold: HoldState | None = None,
) -> Order:
    """Record the order and its change, of the order's own type unless another is given; return the order.

    If nobody but the users of its two accounts gets a message or a callback, no change is recorded: their inboxes
    get the messages from the entries.
    """
    state.add_order(order)
    name = ORDER_NAMES[order.order_type]
    change_type = DECLINE if order.status == DECLINED else change_type or name
    has_entries = change_type in ENTRY_CHANGES
    has_callbacks = change_type in state.callback_types
    if has_entries and not (has_callbacks or _needs_an_event(payer) or _needs_an_event(payee)):
        return order
    state.changes.append(
        Change(
            change_type,
            order.order_id,
            payer.user_id or OUTSIDE_WORLD,
            payee.user_id or OUTSIDE_WORLD,
            order.amount,
            payer.balance,
            payee.balance,
            order.reason,
            payer.last_entry,
            payee.last_entry,
            payer.currency,
            payer.account_id if payer.user_id else None,
            payee.account_id if payee.user_id else None,
            name,
            order.target,
            order.note,
            order.reference,
            payer.held,
            hold.expires_at.isoformat(timespec="microseconds") + "Z" if hold else None,
            has_entries=has_entries,
        )
    )
    return order


def _needs_an_event(account: Account) -> bool:
    """Whether a team gets messages about the account, or its user's inbox has many entries to catch up with."""
    return account.watched or account.last_entry % CATCH_UP_ENTRIES == 0


def record_end(hold: HoldState, change_type: str, amount: int, state: State, ended_by: str | None = None) -> None:
    """Record that a hold has ended; `amount` is what was captured by the end, or is available again.

    If no order has ended it, the payee's account may not be locked. Then the change has only the payer's side.
    """
    payer = state.account(hold.payer)
    change = Change(
        change_type,
        hold.order_id,
        payer.user_id or OUTSIDE_WORLD,
        OUTSIDE_WORLD,
        amount,
        payer.balance,
        from_entry=payer.last_entry,
        currency=payer.currency,
        from_account_id=payer.account_id,
        target=ended_by,
        held=payer.held,
    )
    if ended_by is not None:
        payee = state.account(hold.payee)
        change = change._replace(
            payee=payee.user_id or OUTSIDE_WORLD,
            to_balance=payee.balance,
            to_entry=payee.last_entry,
            to_account_id=payee.account_id if payee.user_id else None,
        )
    state.changes.append(change)
