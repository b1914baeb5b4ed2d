"""What was committed, in the past tense, as those who listen are told of it."""

from typing import Final, NamedTuple

from .commands import OpenAccount, Recharge
from .decide import DECLINED, Order

ACCOUNT_OPENED: Final = "account_opened"
RECHARGE: Final = "recharge"
TRANSFER: Final = "transfer"
DECLINE: Final = "decline"
CHANGE_TYPES: Final = (ACCOUNT_OPENED, RECHARGE, TRANSFER, DECLINE)


class Change(NamedTuple):
    """One change: of an opening the source is the account's id, else the order's.

    The parties are user ids, or the outside world; amount and balances (those after it) are in the currency's
    smallest unit.
    """

    change_type: str
    source_id: str
    payer: str
    payee: str
    amount: int = 0
    from_balance: int = 0
    to_balance: int = 0
    reason: str | None = None


def opening(command: OpenAccount) -> Change:
    return Change(ACCOUNT_OPENED, command.account_id, command.user_id, command.user_id)


def settlement(order: Order, payer: str, payee: str) -> Change:
    """Return what an order came to; its accounts are those of the payer and the payee."""
    if order.status == DECLINED:
        change_type = DECLINE
    else:
        change_type = RECHARGE if order.order_type == Recharge.order_type else TRANSFER
    return Change(
        change_type,
        order.order_id,
        payer,
        payee,
        order.amount,
        order.from_balance,
        order.to_balance,
        order.reason,
    )
