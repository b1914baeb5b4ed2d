"""The changes that an event carries: what was committed, for messages, callbacks and live streams."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from .commands import OpenAccount, Recharge
from .decide import DECLINED, POSTED, Order

ACCOUNT_OPENED: Final = "account_opened"
RECHARGE: Final = "recharge"
TRANSFER: Final = "transfer"
DECLINE: Final = "decline"
CHANGE_TYPES: Final = (ACCOUNT_OPENED, RECHARGE, TRANSFER, DECLINE)


class Change(NamedTuple):
    """One change. `source_id` is the account's id for an opening, and else the order's.

    The parties are user ids, or the outside world. The amount, and the balances after the change, are in the
    currency's smallest unit. The entries are the numbers of the two accounts' last entries after the change: if it
    posted an order, the order's own entries. An account's later change has a higher number. They are None in
    events of earlier versions.
    """

    change_type: str
    source_id: str
    payer: str
    payee: str
    amount: int = 0
    from_balance: int = 0
    to_balance: int = 0
    reason: str | None = None
    from_entry: int | None = None
    to_entry: int | None = None


def opening(command: OpenAccount) -> Change:
    return Change(ACCOUNT_OPENED, command.account_id, command.user_id, command.user_id, from_entry=0, to_entry=0)


def settlements(orders: Iterable[Order], parties: Mapping[int, str], last_entries: dict[int, int]) -> list[Change]:
    """Return the orders' changes, in order. `parties` has the party of each account key.

    `last_entries` has the number of the last entry of each account key, and is updated.
    """
    changes = []
    for order in orders:
        if order.status == POSTED:
            last_entries[order.from_account] += 1
            last_entries[order.to_account] += 1
        changes.append(_settlement(order, parties, last_entries))
    return changes


def _settlement(order: Order, parties: Mapping[int, str], last_entries: Mapping[int, int]) -> Change:
    if order.status == DECLINED:
        change_type = DECLINE
    else:
        change_type = RECHARGE if order.order_type == Recharge.order_type else TRANSFER
    return Change(
        change_type,
        order.order_id,
        parties[order.from_account],
        parties[order.to_account],
        order.amount,
        order.from_balance,
        order.to_balance,
        order.reason,
        last_entries[order.from_account],
        last_entries[order.to_account],
    )
