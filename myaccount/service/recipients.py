"""Who is told of a change, and what: readers by messages in their inboxes, endpoints by requests."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from ..ledger.changes import ACCOUNT_OPENED, DECLINE, RECHARGE, TRANSFER, Change
from ..ledger.commands import OUTSIDE_WORLD
from ..ledger.money import CNY, format_amount
from ..store.messages import NewMessage
from ..store.teams import Team

TRANSFER_OUT: Final = "transfer_out"
TRANSFER_IN: Final = "transfer_in"

# Even with the longest ids, a body of so many is one that a database takes whose max_allowed_packet is 64 KiB.
REQUEST_CHANGES_LIMIT: Final = 64

_encode: Final = json.JSONEncoder(ensure_ascii=False).encode


def messages_about(
    change: Change, created_at: datetime, names: Mapping[str, str], teams: Mapping[str, Team]
) -> Iterator[NewMessage]:
    """Give what each reader is told of a change: the account's user, and the members of the watching team."""
    actor = change.payee if change.payer == OUTSIDE_WORLD else change.payer
    for message_type, user_id, receiver_id, balance in _sides(change, actor):
        write = partial(
            NewMessage,
            message_type=message_type,
            source_id=change.source_id,
            user_id=actor,
            user_name=names.get(actor, ""),
            receiver_id=receiver_id,
            body=_body(change, balance, names),
            created_at=created_at,
        )
        yield write(user_id)
        team = teams.get(user_id)
        # An opening moved no money.
        if team is not None and change.change_type != ACCOUNT_OPENED:
            for member in team.members:
                yield write(member, team_id=team.team_id, team_name=team.name)


def _sides(change: Change, actor: str) -> list[tuple[str, str, str, int]]:
    """Return, for each account that is told, the message's type, its user, whom it concerns, and the balance."""
    if change.change_type == TRANSFER:
        return [
            (TRANSFER_OUT, change.payer, change.payee, change.from_balance),
            (TRANSFER_IN, change.payee, change.payee, change.to_balance),
        ]
    balance = change.to_balance if actor == change.payee else change.from_balance
    return [(change.change_type, actor, actor, balance)]


def _body(change: Change, balance: int, names: Mapping[str, str]) -> str:
    if change.change_type == ACCOUNT_OPENED:
        return _encode({"accountId": change.source_id})
    fields = {
        "orderId": change.source_id,
        "amount": format_amount(change.amount),
        "currency": CNY.code,
        "balance": format_amount(balance),
    }
    if change.change_type == TRANSFER:
        fields |= {"fromUserName": names.get(change.payer, ""), "toUserName": names.get(change.payee, "")}
    if change.reason is not None:
        fields["reason"] = change.reason
    return _encode(fields)


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
