"""Records an order that was decided: its row, and the change that its event carries."""

from .changes import CATCH_UP_AFTER, CATCH_UP_CHANGES, DECLINE, ORDER_NAMES, Change
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

    If nobody but the users of its accounts gets a message or a callback, no change is recorded: their inboxes get
    the messages from the entries or the decline.
    """
    state.add_order(order)
    name = ORDER_NAMES[order.order_type]
    if order.status == DECLINED:
        change_type, account = DECLINE, payer if payer.user_id else payee
        state.decline(account, order.order_id)
        needs_an_event = _needs_an_event(account, account.last_decline)
    else:
        change_type = change_type or name
        needs_an_event = _needs_an_event(payer, payer.last_entry) or _needs_an_event(payee, payee.last_entry)
    inboxes_catch_up = change_type in CATCH_UP_CHANGES
    if inboxes_catch_up and not (needs_an_event or change_type in state.callback_types):
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
            inboxes_catch_up=inboxes_catch_up,
            from_decline=payer.last_decline,
            to_decline=payee.last_decline,
        )
    )
    return order


def _needs_an_event(account: Account, number: int) -> bool:
    """Whether a team gets messages about the account, or its user's inbox has many of them to catch up with."""
    return account.watched or number % CATCH_UP_AFTER == 0


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
        from_decline=payer.last_decline,
    )
    if ended_by is not None:
        payee = state.account(hold.payee)
        change = change._replace(
            payee=payee.user_id or OUTSIDE_WORLD,
            to_balance=payee.balance,
            to_entry=payee.last_entry,
            to_decline=payee.last_decline,
            to_account_id=payee.account_id if payee.user_id else None,
        )
    state.changes.append(change)
