"""The rules of holds: reserving money, capturing it, and every way in which a hold ends."""

from collections.abc import Iterable

from ..errors import OrderNotFound
from .changes import HOLD_CAPTURED, HOLD_EXPIRED, HOLD_EXTENDED, HOLD_RELEASED
from .money import MAX_BALANCE
from .order_commands import DEFAULT_HOLD, Capture, Extend, Hold, Release
from .parties import check_pair, find_account, find_outside, units_of, why_not_pay, why_not_receive
from .recording import order_row, record, record_end
from .records import CAPTURED, CLOSED, DECLINED, EXPIRED, HELD, RELEASED, Account, HoldState, HoldStatus, Order
from .refusals import (
    AccountClosed,
    AccountFrozen,
    BalanceTooLarge,
    CaptureExceedsHold,
    HoldEnded,
    HoldExpired,
    NotAHold,
)
from .state import State


def hold(command: Hold, state: State) -> Order:
    """Reserve the amount, if the payer may pay it and its available balance covers it."""
    payer = find_account(command.payer, "payer", command.currency, state)
    payee = (
        find_outside(payer, state)
        if command.payee is None
        else find_account(command.payee, "payee", command.currency, state)
    )
    check_pair(payer, payee)
    amount = units_of(command.amount, payer)
    reason = why_not_pay(payer, amount)
    if reason is None and payee.status == CLOSED:
        reason = AccountClosed.code
    # With a credit, more can be available than an account can hold.
    if reason is None and payer.held + amount > MAX_BALANCE:
        reason = BalanceTooLarge.code
    row = order_row(command, payer, payee, amount, reason)
    if reason is not None:
        return record(row, payer, payee, state)
    held = HoldState(
        command.order_id,
        payer.id,
        payee.id,
        amount,
        0,
        HELD,
        state.now + (DEFAULT_HOLD if command.expires_in is None else command.expires_in),
    )
    state.add_hold(held)
    _reserve(payer, amount, state)
    return record(row, payer, payee, state, hold=held)


def capture(command: Capture, state: State) -> Order:
    """Move what was reserved to the payee. The funds are there, so only the two accounts' states matter."""
    order, held = find_hold(command.hold_order_id, state)
    payer, payee = state.account(order.from_account), state.account(order.to_account)
    amount = (held.remaining or order.amount) if command.amount is None else units_of(command.amount, payer)
    reason = _why_ended(held)
    if reason is None and amount > held.remaining:
        reason = CaptureExceedsHold.code
    if reason is None and payer.frozen == "all":
        reason = AccountFrozen.code
    reason = reason or why_not_receive(payee, amount)
    row = order_row(command, payer, payee, amount, reason, held.order_id)
    if reason is not None:
        return record(row, payer, payee, state)
    held.captured += amount
    held.remaining -= amount
    _reserve(payer, -amount, state)
    # Without an amount, nothing remains.
    ends = command.final or not held.remaining
    if ends:
        _end(held, CAPTURED, payer, state)
    state.note_hold(held)
    # Last, since the payer's entry says how much is still held.
    state.move(payer, payee, command.order_id, amount)
    record(row, payer, payee, state)
    # Only callbacks tell of this: the message about the capture says how much is still held.
    if ends and HOLD_CAPTURED in state.callback_types:
        record_end(held, HOLD_CAPTURED, held.captured, state, command.order_id)
    return row


def release(command: Release, state: State) -> Order:
    """End the hold. This moves nothing, so a frozen account does not matter."""
    row, held, payer, payee = _about(command, state)
    if row.reason is not None:
        return record(row, payer, payee, state)
    freed = held.remaining
    _end(held, RELEASED, payer, state)
    state.add_order(row)
    record_end(held, HOLD_RELEASED, freed, state, row.order_id)
    return row


def extend(command: Extend, state: State) -> Order:
    """Let the hold end later, or earlier. This moves nothing, so a frozen account does not matter."""
    row, held, payer, payee = _about(command, state)
    if row.reason is not None:
        return record(row, payer, payee, state)
    held.expires_at = state.now + command.expires_in
    state.note_hold(held)
    return record(row, payer, payee, state, HOLD_EXTENDED, held)


def end_expired_holds(state: State, holds: Iterable[HoldState]) -> None:
    """End those of the holds that have expired: their money is available from that moment on.

    A hold whose payer's account is not known, since another transaction has locked it, stays as it is.
    """
    for known in holds:
        if known.status == HELD and known.expires_at <= state.now and state.knows_account(known.payer):
            held = state.hold(known.order_id)
            freed = held.remaining
            _end(held, EXPIRED, state.account(held.payer), state)
            record_end(held, HOLD_EXPIRED, freed, state)


def _about(command: Release | Extend, state: State) -> tuple[Order, HoldState, Account, Account]:
    """Return the row of an order that changes a hold and moves nothing, the hold, its payer and its payee."""
    order, held = find_hold(command.hold_order_id, state)
    payer, payee = state.account(order.from_account), state.account(order.to_account)
    amount = held.remaining or order.amount
    return order_row(command, payer, payee, amount, _why_ended(held), held.order_id), held, payer, payee


def find_hold(order_id: str, state: State) -> tuple[Order, HoldState]:
    """Return a hold and its order. Raises OrderNotFound and NotAHold."""
    order = state.orders.get(order_id)
    if order is None:
        raise OrderNotFound(f"There is no order {order_id!r}.", field="hold_order_id")
    if order.order_type != Hold.order_type or order.status == DECLINED:
        raise NotAHold(f"Order {order_id!r} is not a hold, or was declined.", field="hold_order_id")
    return order, state.hold(order_id)


def _why_ended(held: HoldState) -> str | None:
    """Return the reason to decline an order about a hold that has ended."""
    if held.status == HELD:
        return None
    return HoldExpired.code if held.status == EXPIRED else HoldEnded.code


def _reserve(payer: Account, amount: int, state: State) -> None:
    payer.held += amount
    state.changed_accounts[payer.id] = payer


def _end(held: HoldState, status: HoldStatus, payer: Account, state: State) -> None:
    _reserve(payer, -held.remaining, state)
    held.remaining = 0
    held.status = status
    state.note_hold(held)
