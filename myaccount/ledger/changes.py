"""What was committed, in the past tense, as those who listen are told of it."""

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
    """One change: of an opening the source is the account's id, else the order's.

    The parties are user ids, or the outside world; amount and balances (those after it) are in the currency's
    smallest unit. The entries are the numbers of the two accounts' last entries after it: a change that posted an
    order made those, and an account's later change has a higher one. They are None in events of earlier versions.
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
    """Return what the orders came to, in order; `parties` has the party of each account key.

    `last_entries` has the number of the last entry by account key, and is brought up to date.
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
