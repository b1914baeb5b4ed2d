"""The bodies of the requests that tell endpoints about changes."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from ..database.statements import texts_that_fit
from ..database.times import iso_time
from ..ledger.change_fields import account_fields, held_amount, order_details
from ..ledger.changes import ACCOUNT_CHANGES, REFUND, WITHDRAW, Change
from ..ledger.currencies import CURRENCIES
from ..ledger.money import format_amount
from ..ledger.references import OUTSIDE_WORLD

REQUEST_CHANGES_LIMIT: Final = 64
# Even escaped in a statement, such a body fits into a max_allowed_packet of 64 KiB.
BODY_LIMIT_BYTES: Final = 60_000

# The names of an account's user, of the account, of its last entry, and of its balance.
_ONLY: Final = ("userId", "accountId", "entry", "balance")
_FROM: Final = ("fromuserId", "fromaccountId", "fromEntry", "fromBalance")
_TO: Final = ("touserId", "toaccountId", "toEntry", "toBalance")

_encode: Final = json.JSONEncoder(ensure_ascii=False).encode


def request_bodies(
    changes: Sequence[Change], created_at: datetime, subscriptions: Mapping[str, Collection[str]]
) -> Iterator[tuple[str, str]]:
    """Yield pairs of endpoint and body, with the changes that each endpoint subscribes to, in order.

    A body has at most REQUEST_CHANGES_LIMIT changes, fewer if they are long. The same change may stand in the
    bodies of several endpoints.
    """
    timestamp = iso_time(created_at)

    def body_of(data: Sequence[dict[str, object]]) -> str:
        return _encode({"type": "changes", "timestamp": timestamp, "data": data})

    for endpoint, types in subscriptions.items():
        selected = [_fields(change) for change in changes if change.change_type in types]
        for start in range(0, len(selected), REQUEST_CHANGES_LIMIT):
            for body in texts_that_fit(selected[start : start + REQUEST_CHANGES_LIMIT], body_of, BODY_LIMIT_BYTES):
                yield endpoint, body


def _fields(change: Change) -> dict[str, object]:
    """Return the change's fields under the names that the requests use for them."""
    if change.change_type in ACCOUNT_CHANGES:
        fields = {"type": change.change_type, "userId": change.payee, **account_fields(change)}
        if change.change_id is not None:
            fields["changeId"] = change.change_id
        return fields
    currency = CURRENCIES[change.currency]
    fields = {
        "type": change.change_type,
        "orderId": change.source_id,
        "amount": format_amount(change.amount, currency),
        "currency": currency.code,
    }
    # A recharge and a withdrawal have one account. Everything else has a payer and a payee, and either may be the
    # outside world.
    if change.payer != OUTSIDE_WORLD:
        names = _ONLY if change.order_name == WITHDRAW else _FROM
        balance = format_amount(change.from_balance, currency)
        _add_account(fields, names, change.payer, change.from_account_id, change.from_entry, balance)
    if change.payee != OUTSIDE_WORLD:
        names = _ONLY if change.payer == OUTSIDE_WORLD and change.order_name != REFUND else _TO
        balance = format_amount(change.to_balance, currency)
        _add_account(fields, names, change.payee, change.to_account_id, change.to_entry, balance)
    fields |= order_details(change)
    fields |= held_amount(change)
    return fields


def _add_account(
    fields: dict[str, object],
    names: tuple[str, str, str, str],
    user_id: str,
    account_id: str | None,
    entry: int | None,
    balance: str,
) -> None:
    """Add an account to the fields. Events of earlier versions have no account ids and no entries."""
    user_name, account_name, entry_name, balance_name = names
    fields[user_name] = user_id
    if account_id is not None:
        fields[account_name] = account_id
    if entry is not None:
        fields[entry_name] = entry
    fields[balance_name] = balance
