"""The bodies of the requests that tell endpoints about changes."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from ..database.times import iso_time
from ..ledger.changes import ACCOUNT_OPENED, DECLINE, RECHARGE, TRANSFER, Change
from ..ledger.money import CNY, format_amount
from ..ledger.references import OUTSIDE_WORLD

# Even with the longest ids, such a body fits into a max_allowed_packet of 64 KiB.
REQUEST_CHANGES_LIMIT: Final = 64

_encode: Final = json.JSONEncoder(ensure_ascii=False).encode


def request_bodies(
    changes: Sequence[Change], created_at: datetime, subscriptions: Mapping[str, Collection[str]]
) -> Iterator[tuple[str, str]]:
    """Yield pairs of endpoint and body, with the changes that each endpoint subscribes to, in order.

    A body has at most REQUEST_CHANGES_LIMIT changes. The same change may stand in the bodies of several endpoints.
    """
    timestamp = iso_time(created_at)
    for endpoint, types in subscriptions.items():
        selected = [_fields(change) for change in changes if change.change_type in types]
        for start in range(0, len(selected), REQUEST_CHANGES_LIMIT):
            data = selected[start : start + REQUEST_CHANGES_LIMIT]
            yield endpoint, _encode({"type": "changes", "timestamp": timestamp, "data": data})


def _fields(change: Change) -> dict[str, object]:
    """Return the change's fields under the names that the requests use for them."""
    if change.change_type == ACCOUNT_OPENED:
        return {"type": ACCOUNT_OPENED, "userId": change.payee, "accountId": change.source_id, "entry": 0}
    fields: dict[str, object] = {"type": change.change_type, "orderId": change.source_id}
    if change.payer == OUTSIDE_WORLD:
        fields |= {"userId": change.payee}
        entries = {"entry": change.to_entry}
    else:
        fields |= {"fromuserId": change.payer, "touserId": change.payee}
        entries = {"fromEntry": change.from_entry, "toEntry": change.to_entry}
    if change.to_entry is not None:
        fields |= entries
    fields |= {"amount": format_amount(change.amount), "currency": CNY.code}
    if change.change_type == RECHARGE:
        fields["balance"] = format_amount(change.to_balance)
    elif change.change_type == TRANSFER:
        fields |= {
            "fromBalance": format_amount(change.from_balance),
            "toBalance": format_amount(change.to_balance),
        }
    elif change.change_type == DECLINE:
        fields["reason"] = change.reason
    return fields
