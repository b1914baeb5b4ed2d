"""The rules of orders: what each kind moves, and that one order id has one outcome."""

from typing import Final, assert_never

from ..errors import OrderNotFound, RequestError
from .fingerprints import fingerprint
from .hold_rules import capture, extend, hold, release
from .maker_rules import check_maker
from .order_commands import Capture, Extend, Hold, OrderCommand, Recharge, Refund, Release, Transfer, Withdraw
from .outcomes import DONE, Outcome
from .parties import check_pair, find_account, find_outside, units_of, why_not_pay, why_not_receive
from .recording import order_row, record
from .records import DECLINED, Account, Order
from .refusals import NotRefundable, OrderMismatch, RefundExceedsOrder, decline_error
from .state import State

REFUNDABLE: Final = frozenset(kind.order_type for kind in (Recharge, Transfer, Withdraw, Capture))


def decide_order(command: OrderCommand, state: State) -> Outcome:
    """Decide an order, or return the outcome of the same order again (promise 1)."""
    earlier = state.orders.get(command.order_id)
    try:
        check_maker(command, state)
        if earlier is not None:
            _check_same(command, earlier, state)
            return Outcome(decline_error(earlier.reason), replayed=True)
        reason = _post(command, state).reason
        return DONE if reason is None else Outcome(decline_error(reason))
    except RequestError as error:
        return Outcome(error)


def _post(command: OrderCommand, state: State) -> Order:
    """Record the order as posted or declined. Raises the error of one that is refused, with nothing changed."""
    match command:
        case Transfer() | Recharge() | Withdraw():
            return _move(command, state)
        case Refund():
            return _refund(command, state)
        case Hold():
            return hold(command, state)
        case Capture():
            return capture(command, state)
        case Release():
            return release(command, state)
        case Extend():
            return extend(command, state)
        case _:
            assert_never(command)


def _move(command: Recharge | Transfer | Withdraw, state: State) -> Order:
    payer, payee = _parties(command, state)
    amount = units_of(command.amount, payer)
    reason = why_not_pay(payer, amount) or why_not_receive(payee, amount)
    if reason is None:
        state.move(payer, payee, command.order_id, amount)
    return record(order_row(command, payer, payee, amount, reason), payer, payee, state)


def _parties(command: Recharge | Transfer | Withdraw, state: State) -> tuple[Account, Account]:
    match command:
        case Transfer():
            payer = find_account(command.payer, "payer", command.currency, state)
            payee = find_account(command.payee, "payee", command.currency, state)
            check_pair(payer, payee)
            return payer, payee
        case Recharge():
            payee = find_account(command.payee, "payee", command.currency, state)
            return find_outside(payee, state), payee
        case Withdraw():
            payer = find_account(command.payer, "payer", command.currency, state)
            return payer, find_outside(payer, state)


def _refund(command: Refund, state: State) -> Order:
    """Move money back. All refunds of an order together never exceed it."""
    original = state.orders.get(command.original_order_id)
    if original is None:
        raise OrderNotFound(f"There is no order {command.original_order_id!r}.", field="original_order_id")
    if original.status == DECLINED or original.order_type not in REFUNDABLE:
        raise NotRefundable(
            f"Order {original.order_id!r} moved no money that can be given back.", field="original_order_id"
        )
    payer, payee = state.account(original.to_account), state.account(original.from_account)
    left = original.amount - original.refunded
    amount = (left or original.amount) if command.amount is None else units_of(command.amount, payer)
    if amount > left:
        reason: str | None = RefundExceedsOrder.code
    else:
        reason = why_not_pay(payer, amount) or why_not_receive(payee, amount, owed=True)
    if reason is None:
        state.move(payer, payee, command.order_id, amount)
        state.refunded[original.order_id] = original.refunded + amount
        state.orders[original.order_id] = original._replace(refunded=original.refunded + amount)
    row = order_row(command, payer, payee, amount, reason, original.order_id)
    return record(row, payer, payee, state)


def _check_same(command: OrderCommand, earlier: Order, state: State) -> None:
    """Raise OrderMismatch if the earlier order of this id has other content."""
    if not _is_same(command, earlier, state):
        raise OrderMismatch("Another order was sent with this id. Use a new id for a new order.", field="order_id")


def _is_same(command: OrderCommand, earlier: Order, state: State) -> bool:
    if command.order_type != earlier.order_type:
        return False
    sent = fingerprint(command)
    if (
        sent is not None
        or earlier.fingerprint is not None
        or not isinstance(command, Recharge | Transfer | Withdraw)
    ):
        return sent == earlier.fingerprint
    try:
        payer, payee = _parties(command, state)
        amount = units_of(command.amount, payer)
    except RequestError:
        return False
    return (payer.id, payee.id, amount) == (earlier.from_account, earlier.to_account, earlier.amount)
