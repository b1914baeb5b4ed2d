"""What tells the content of an order, or of a bulk, from any other: a digest of the fields that were sent."""

import json
from dataclasses import fields
from datetime import timedelta
from hashlib import sha256
from typing import Final, get_args

from .money import Amount
from .order_commands import OrderCommand, Recharge, Transfer, Withdraw
from .references import AccountId, UserCurrency

FINGERPRINT_LENGTH: Final = 32
# The fields of each kind of order that are its content: not how it came here.
_CONTENT_NAMES: Final = {
    kind: [field.name for field in fields(kind) if field.name not in ("order_id", "bulk_id", "maker")]
    for kind in get_args(OrderCommand)
}


def fingerprint(order: OrderCommand) -> str | None:
    """Return what tells the order's content from any other, made of the fields that were sent.

    It is None for an order of nothing but user ids and an amount, which its row tells entirely. Rows that were
    written before there were other fields have None as well, so they are compared as they always were.
    """
    match order:
        case (
            Transfer(payer=str(), payee=str(), currency=None, reference=None, note=None)
            | Recharge(payee=str(), currency=None, reference=None, note=None)
            | Withdraw(payer=str(), currency=None, reference=None, note=None)
        ):
            return None
    return _digest([order.order_type, _content(order)])


def bulk_fingerprint(orders: tuple[OrderCommand, ...], *, atomic: bool) -> str:
    """Return what tells the bulk's content from any other, ids of its orders included."""
    return _digest([atomic, [[order.order_type, order.order_id, _content(order)] for order in orders]])


# Fingerprints are stored for ever. A new field must not change those of orders that are sent without it, so fields
# that were not sent are left out.
def _content(order: OrderCommand) -> dict[str, object]:
    return {
        name: value if type(value) is str else _plain(value)
        for name in _CONTENT_NAMES[type(order)]
        if (value := getattr(order, name)) is not None
    }


def _plain(value: object) -> object:
    match value:
        # First, since nearly all orders have one.
        case Amount():
            return value.text
        case AccountId(account_id):
            return {"account": account_id}
        case UserCurrency(user_id, _):
            return user_id
        case timedelta():
            return int(value.total_seconds())
    return value


def _digest(content: object) -> str:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return sha256(text.encode()).hexdigest()[:FINGERPRINT_LENGTH]
