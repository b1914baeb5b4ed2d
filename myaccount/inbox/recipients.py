"""Who gets a message about a change, and its content."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Final

from ..ledger.changes import ACCOUNT_OPENED, TRANSFER, Change
from ..ledger.money import CNY, format_amount
from ..ledger.references import OUTSIDE_WORLD
from .team_rows import Team
from .writing import NewMessage

TRANSFER_OUT: Final = "transfer_out"
TRANSFER_IN: Final = "transfer_in"

_encode: Final = json.JSONEncoder(ensure_ascii=False).encode


def messages_about(
    change: Change, created_at: datetime, names: Mapping[str, str], teams: Mapping[str, Team]
) -> Iterator[NewMessage]:
    """Yield the messages about a change: to the account's user, and to each member of the watching team."""
    actor = change.payee if change.payer == OUTSIDE_WORLD else change.payer
    for message_type, user_id, receiver_id, balance in _affected_accounts(change, actor):
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
        # Teams watch money, and an opening moves none.
        if team is not None and change.change_type != ACCOUNT_OPENED:
            for member in team.members:
                yield write(member, team_id=team.team_id, team_name=team.name)


def _affected_accounts(change: Change, actor: str) -> list[tuple[str, str, str, int]]:
    """Return, for each account to write about, the message type, the user, the receiver, and the balance."""
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
