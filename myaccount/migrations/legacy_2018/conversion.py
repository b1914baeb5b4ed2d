"""Converts the orders of the 2018 demo to double entry.

The demo checked nothing: payers and payees need not exist, and amounts could be negative. Such an order is entered
in the journal as the money really moved, and reported. The part of a balance that no order explains becomes an
opening entry, before all orders.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

# The key of the account that stands for everything outside the ledger.
OUTSIDE: Final = 1

OPENING: Final = "00"
RECHARGE: Final = "01"
TRANSFER: Final = "02"

UNUSABLE_ID: Final = "no client can use it, since it is empty, or has white space or control characters"
_USABLE_ID: Final = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class DemoAccount(NamedTuple):
    """An account, with the balance that the demo left, in cents."""

    account_id: str
    balance: int


class DemoOrder(NamedTuple):
    """A row of the demo's orders: the parties' user ids, and the keys of their first accounts, if any."""

    order_id: str
    order_type: str
    amount: int
    payer: str
    payee: str
    payer_account: int | None
    payee_account: int | None


class Order(NamedTuple):
    """A row of our table `order`; the balances are those after it, in cents."""

    order_id: str
    order_type: str
    from_account: int
    to_account: int
    amount: int
    from_balance: int
    to_balance: int
    status: str = "posted"
    reason: str | None = None


class Posting(NamedTuple):
    """The accounts between which an order moved money, and how much, in cents."""

    from_account: int
    to_account: int
    amount: int


def convert(
    accounts: Mapping[int, DemoAccount], read_orders: Callable[[], Iterable[DemoOrder]], opening_prefix: str
) -> Iterator[Order | str]:
    """Give the rows of the journal that ends in the accounts' balances, and a line for each deviation.

    `accounts` has the accounts by key, without the outside world's. The orders are read twice: first to compute
    the initial balances, which become opening entries, then for the rows that follow these. The id of an opening
    entry is the prefix followed by the account's key.
    """
    initial = {key: account.balance for key, account in accounts.items()}
    initial[OUTSIDE] = 0
    for order in read_orders():
        if (posting := posting_of(order)) is not None:
            initial[posting.from_account] += posting.amount
            initial[posting.to_account] -= posting.amount
    del initial[OUTSIDE]
    balances = dict.fromkeys([OUTSIDE, *accounts], 0)
    for key, amount in initial.items():
        if amount:
            account_id = accounts[key].account_id
            yield (
                f"account {account_id!r}: its orders do not explain {format_amount(amount)} of its balance of "
                f"{format_amount(accounts[key].balance)}: that is its opening entry, order {opening_prefix}{key}"
            )
            posting = Posting(OUTSIDE, key, amount) if amount > 0 else Posting(key, OUTSIDE, -amount)
            yield _post(f"{opening_prefix}{key}", OPENING, posting, balances)
    for order in read_orders():
        posting = posting_of(order)
        if deviation := _deviation(order):
            yield f"order {order.order_id!r}: {deviation}"
        if posting is not None:
            yield _post(order.order_id, order.order_type, posting, balances)


def posting_of(order: DemoOrder) -> Posting | None:
    """Return the order's posting, or None if it moved no money."""
    payer, payee = order.payer_account, order.payee_account
    if order.order_type == RECHARGE:
        payer = None
    if not order.amount or (payer is None and payee is None):
        return None
    parties = (OUTSIDE if payer is None else payer, OUTSIDE if payee is None else payee)
    if order.amount < 0:
        parties = parties[::-1]
    return Posting(*parties, abs(order.amount))


def is_usable_id(id_: str) -> bool:
    """Whether HTTP clients can use the id."""
    return _USABLE_ID.fullmatch(id_) is not None


def format_amount(cents: int) -> str:
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02}"


def _post(order_id: str, order_type: str, posting: Posting, balances: dict[int, int]) -> Order:
    balances[posting.from_account] -= posting.amount
    balances[posting.to_account] += posting.amount
    from_balance, to_balance = balances[posting.from_account], balances[posting.to_account]
    return Order(order_id, order_type, *posting, from_balance, to_balance)


def _deviation(order: DemoOrder) -> str:
    """Describe what our rules would have refused, and how it is entered; empty if there is nothing."""
    amount = format_amount(order.amount)
    if not order.amount:
        return "its amount is 0, so that it moved nothing: not entered"
    found = [f"its amount is {amount}: entered the other way round"] if order.amount < 0 else []
    recharge = order.order_type == RECHARGE
    if posting_of(order) is None:
        whose = f"{order.payee!r} has" if recharge else f"{order.payer!r} and {order.payee!r} have"
        return f"{whose} no account, so that its {amount} moved nothing: not entered"
    if order.payer_account is None and not recharge:
        found.append(f"the payer {order.payer!r} has no account: entered between {order.payee!r} and the outside")
    if order.payee_account is None:
        found.append(f"the payee {order.payee!r} has no account: entered between {order.payer!r} and the outside")
    if order.order_type not in (RECHARGE, TRANSFER):
        found.append(f"its type is {order.order_type!r}: entered as a transfer")
    if not is_usable_id(order.order_id):
        found.append(UNUSABLE_ID)
    return "; ".join(found)
