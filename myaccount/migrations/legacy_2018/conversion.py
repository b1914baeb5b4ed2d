"""What the orders of the 2018 demo come to in double entry: a part of migration 0001, as frozen as that.

The demo checked nothing: it took money from nobody, gave it to nobody, and took amounts below zero. Such an order
is entered in the journal as the money really moved, and said in words. What the orders do not explain of a balance
is its opening entry, before them all.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from ...ledger.commands import Recharge, Transfer
from ...ledger.decide import Order
from ...ledger.money import format_amount

# The key of the account that stands for everything outside the ledger.
OUTSIDE: Final = 1
OPENING_TYPE: Final = "00"

_NAMEABLE: Final = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class DemoAccount(NamedTuple):
    """An account by its id, with the balance that the demo left, in the smallest unit."""

    account_id: str
    balance: int


class DemoOrder(NamedTuple):
    """A row of the demo's orders: the parties as they were named, and the first account of each that has one."""

    order_id: str
    order_type: str
    amount: int
    payer: str
    payee: str
    payer_account: int | None
    payee_account: int | None


class Posting(NamedTuple):
    """Where the money of an order went."""

    from_account: int
    to_account: int
    amount: int


def convert(
    accounts: Mapping[int, DemoAccount], read_orders: Callable[[], Iterable[DemoOrder]], opening_prefix: str
) -> Iterator[Order | str]:
    """Give the journal that ends in the accounts' balances, and a line for whatever is not as the demo had it.

    `accounts` has them by key, without the outside world's. The orders, in their order, are read twice: first to
    know what each account began with, and then, behind the opening entries, as rows with the balances after them.
    The id of an opening entry is the prefix and the account's key.
    """
    began = {key: account.balance for key, account in accounts.items()}
    began[OUTSIDE] = 0
    for order in read_orders():
        if (posting := posting_of(order)) is not None:
            began[posting.from_account] += posting.amount
            began[posting.to_account] -= posting.amount
    del began[OUTSIDE]
    balances = dict.fromkeys([OUTSIDE, *accounts], 0)
    for key, amount in began.items():
        if amount:
            account_id = accounts[key].account_id
            yield (
                f"account {account_id!r}: its orders do not explain {format_amount(amount)} of its balance of "
                f"{format_amount(accounts[key].balance)}: that is its opening entry, order {opening_prefix}{key}"
            )
            posting = Posting(OUTSIDE, key, amount) if amount > 0 else Posting(key, OUTSIDE, -amount)
            yield _enter(f"{opening_prefix}{key}", OPENING_TYPE, posting, balances)
    for order in read_orders():
        posting = posting_of(order)
        if odd := _what_is_odd(order):
            yield f"order {order.order_id!r}: {odd}"
        if posting is not None:
            yield _enter(order.order_id, order.order_type, posting, balances)


def posting_of(order: DemoOrder) -> Posting | None:
    """Return where the order's money went, or None if it moved none."""
    payer, payee = order.payer_account, order.payee_account
    if order.order_type == Recharge.order_type:
        payer = None
    if not order.amount or (payer is None and payee is None):
        return None
    parties = (OUTSIDE if payer is None else payer, OUTSIDE if payee is None else payee)
    if order.amount < 0:
        parties = parties[::-1]
    return Posting(*parties, abs(order.amount))


def is_nameable(id_: str) -> bool:
    """Whether a client can name it over HTTP."""
    return _NAMEABLE.fullmatch(id_) is not None


def _enter(order_id: str, order_type: str, posting: Posting, balances: dict[int, int]) -> Order:
    balances[posting.from_account] -= posting.amount
    balances[posting.to_account] += posting.amount
    from_balance, to_balance = balances[posting.from_account], balances[posting.to_account]
    return Order(order_id, order_type, *posting, from_balance, to_balance)


def _what_is_odd(order: DemoOrder) -> str:
    """Return, in words, what a rule of ours would have refused, and how it is entered; nothing, if all is well."""
    amount = format_amount(order.amount)
    if not order.amount:
        return "its amount is 0, so that it moved nothing: not entered"
    odd = [f"its amount is {amount}: entered the other way round"] if order.amount < 0 else []
    recharge = order.order_type == Recharge.order_type
    if posting_of(order) is None:
        whose = f"{order.payee!r} has" if recharge else f"{order.payer!r} and {order.payee!r} have"
        return f"{whose} no account, so that its {amount} moved nothing: not entered"
    if order.payer_account is None and not recharge:
        odd.append(f"the payer {order.payer!r} has no account: entered between {order.payee!r} and the outside")
    if order.payee_account is None:
        odd.append(f"the payee {order.payee!r} has no account: entered between {order.payer!r} and the outside")
    if order.order_type not in (Recharge.order_type, Transfer.order_type):
        odd.append(f"its type is {order.order_type!r}: entered as a transfer")
    if not is_nameable(order.order_id):
        odd.append("no client can name it, since it is empty, or has white space or control characters")
    return "; ".join(odd)
