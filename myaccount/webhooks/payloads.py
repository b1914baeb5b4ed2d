"""The bodies of the requests that endpoints are sent about changes."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from ..ledger.changes import ACCOUNT_OPENED, DECLINE, RECHARGE, TRANSFER, Change
from ..ledger.commands import OUTSIDE_WORLD
from ..ledger.money import CNY, format_amount

# Even with the longest ids, a body of so many is one that a database takes whose max_allowed_packet is 64 KiB.
REQUEST_CHANGES_LIMIT: Final = 64

_encode: Final = json.JSONEncoder(ensure_ascii=False).encode


def requests_about(
    changes: Sequence[Change], created_at: datetime, wanted: Mapping[str, Collection[str]]
) -> Iterator[tuple[str, str]]:
    """Give each endpoint and a body with the changes that it wants, in order, as many bodies as that takes."""
    timestamp = created_at.isoformat(timespec="microseconds") + "Z"
    for endpoint, types in wanted.items():
        told = [_told(change) for change in changes if change.change_type in types]
        for start in range(0, len(told), REQUEST_CHANGES_LIMIT):
            data = told[start : start + REQUEST_CHANGES_LIMIT]
            yield endpoint, _encode({"type": "changes", "timestamp": timestamp, "data": data})


def _told(change: Change) -> dict[str, object]:
    """Return a change by the names that the operations have for its parts."""
    if change.change_type == ACCOUNT_OPENED:
        return {"type": ACCOUNT_OPENED, "userId": change.payee, "accountId": change.source_id, "entry": 0}
    told: dict[str, object] = {"type": change.change_type, "orderId": change.source_id}
    if change.payer == OUTSIDE_WORLD:
        told |= {"userId": change.payee}
        entries = {"entry": change.to_entry}
    else:
        told |= {"fromuserId": change.payer, "touserId": change.payee}
        entries = {"fromEntry": change.from_entry, "toEntry": change.to_entry}
    if change.to_entry is not None:
        told |= entries
    told |= {"amount": format_amount(change.amount), "currency": CNY.code}
    if change.change_type == RECHARGE:
        told["balance"] = format_amount(change.to_balance)
    elif change.change_type == TRANSFER:
        told |= {
            "fromBalance": format_amount(change.from_balance),
            "toBalance": format_amount(change.to_balance),
        }
    elif change.change_type == DECLINE:
        told["reason"] = change.reason
    return told
