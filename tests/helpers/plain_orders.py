"""What an order is about, what stands against it, and what it does, as the wire contract's sentences say."""

from datetime import timedelta
from decimal import Decimal
from typing import assert_never

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

from .plain_books import NOTHING, PlainAccount, PlainBooks, PlainHold, Refused, checked, largest_balance

# Who pays whom how much.
Movement = tuple[PlainAccount, PlainAccount, Decimal]


def check_scope(command: OrderCommand, books: PlainBooks) -> None:
    """Raise Refused if the maker of the order lacks its scope. One about an unknown order needs none."""
    if command.maker is not None and not needed_scopes(command, books) <= set(command.maker.scopes):
        raise Refused("not_allowed")


def needed_scopes(command: OrderCommand, books: PlainBooks) -> set[str]:
    match command:
        case Recharge():
            return {"money:in"}
        case Withdraw():
            return {"money:out"}
        case Hold():
            return {"money:move" if command.payee else "money:out"}
        case Refund():
            original = books.orders.get(command.original_order_id)
            return set() if original is None else {"money:move" if original.payee.user_id else "money:in"}
        case Capture():
            made = books.orders.get(command.hold_order_id)
            return set() if made is None else {"money:move" if made.payee.user_id else "money:out"}
        case Transfer() | Release() | Extend():
            return {"money:move"}
        case _:
            assert_never(command)


def movement(command: OrderCommand, books: PlainBooks) -> Movement:
    """Return who would pay whom how much. Raises Refused for what can never be different."""
    match command:
        case Recharge():
            payee = books.named(command.payee, command.currency)
            return _between(books.outside[payee.currency], payee, command.amount)
        case Withdraw():
            payer = books.named(command.payer, command.currency)
            return _between(payer, books.outside[payer.currency], command.amount)
        case Transfer() | Hold():
            payer = books.named(command.payer, command.currency)
            if command.payee is None:
                return _between(payer, books.outside[payer.currency], command.amount)
            return _between(payer, books.named(command.payee, command.currency), command.amount)
        case Refund():
            original = books.recorded(command.original_order_id)
            if original.reason or not isinstance(original.command, Recharge | Transfer | Withdraw | Capture):
                raise Refused("not_refundable")
            left = original.amount - books.refunded(command.original_order_id)
            return _between(original.payee, original.payer, command.amount, left)
        case Capture() | Release() | Extend():
            made = books.recorded(command.hold_order_id)
            if made.reason or not isinstance(made.command, Hold):
                raise Refused("not_a_hold")
            left = books.holds[command.hold_order_id].left(books.now)
            return _between(made.payer, made.payee, getattr(command, "amount", None), left)
        case _:
            assert_never(command)


def _between(
    payer: PlainAccount, payee: PlainAccount, amount: Amount | None, otherwise: Decimal = NOTHING
) -> Movement:
    if payer is payee:
        raise Refused("same_account")
    if payer.currency != payee.currency:
        raise Refused("currency_mismatch")
    return payer, payee, otherwise if amount is None else checked(amount, payer.currency)


def reasons_against(command: OrderCommand, moved: Movement, books: PlainBooks) -> set[str]:
    """Return all reasons to decline the order now. The contract does not say which one is told."""
    payer, payee, amount = moved
    reasons = set()
    match command:
        case Release() | Extend():
            return _hold_ended(command.hold_order_id, books)
        case Capture():
            reasons = _hold_ended(command.hold_order_id, books)
            if not reasons and amount > books.holds[command.hold_order_id].left(books.now):
                reasons.add("capture_exceeds_hold")
        case Refund():
            left = books.orders[command.original_order_id].amount - books.refunded(command.original_order_id)
            if left == 0 or amount > left:
                reasons.add("refund_exceeds_order")
    if payer.closed or payee.closed:
        reasons.add("account_closed")
    # A capture needs no money of the payer but what is reserved.
    if payer.frozen == "all" or (payer.frozen == "debits" and not isinstance(command, Capture)):
        reasons.add("account_frozen")
    if payer.user_id and not isinstance(command, Capture) and amount > books.available(payer):
        reasons.add("insufficient_funds")
    # A hold does not pay the payee yet.
    if not isinstance(command, Hold):
        if payee.frozen == "all" or (payee.frozen == "credits" and not isinstance(command, Refund)):
            reasons.add("account_frozen")
        most = largest_balance(payer.currency)
        if payee.balance + amount > most or payer.balance - amount < -most:
            reasons.add("balance_too_large")
    return reasons


def _hold_ended(order_id: str, books: PlainBooks) -> set[str]:
    status = books.holds[order_id].status(books.now)
    if status == "held":
        return set()
    return {"hold_expired" if status == "expired" else "hold_ended"}


def carry_out(command: OrderCommand, moved: Movement, books: PlainBooks) -> None:
    """Do what the order says."""
    payer, payee, amount = moved
    match command:
        case Hold():
            ends_at = books.now + (command.expires_in or timedelta(seconds=604800))
            books.holds[command.order_id] = PlainHold(payer, amount, ends_at)
            return
        case Extend():
            books.holds[command.hold_order_id].ends_at = books.now + command.expires_in
            return
        case Release():
            books.holds[command.hold_order_id].ended = "released"
            return
        case Capture():
            hold = books.holds[command.hold_order_id]
            hold.captured += amount
            final = command.amount is None if command.final is None else command.final
            if final or hold.captured == hold.amount:
                hold.ended = "captured"
    payer.entries.append((command.order_id, -amount))
    payee.entries.append((command.order_id, amount))
