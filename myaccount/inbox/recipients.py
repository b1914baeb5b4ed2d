"""Who gets a message about a change, and its content."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, NamedTuple

from ..ledger.change_fields import account_fields, held_amount, order_details
from ..ledger.changes import (
    ACCOUNT_CHANGES,
    CAPTURE,
    HOLD,
    HOLD_CAPTURED,
    HOLD_EXPIRED,
    HOLD_EXTENDED,
    HOLD_RELEASED,
    REFUND,
    TRANSFER,
    Change,
)
from ..ledger.currencies import CURRENCIES, Currency
from ..ledger.money import format_amount
from ..ledger.references import OUTSIDE_WORLD
from .team_rows import Team
from .writing import NewMessage

# The types of the messages to the payer and to the payee. Any other change has one message of its own type, to the
# payer or, if that is the outside world, to the payee.
_BOTH_SIDES: Final = {
    TRANSFER: ("transfer_out", "transfer_in"),
    REFUND: ("refund_out", "refund_in"),
    CAPTURE: ("capture_out", "capture_in"),
}
# Messages of these types say who the other side is.
_WITH_NAMES: Final = frozenset((*_BOTH_SIDES, HOLD, HOLD_EXTENDED, HOLD_RELEASED, HOLD_EXPIRED))
# The message about its last capture says how much is still held.
_WITHOUT_MESSAGE: Final = frozenset((HOLD_CAPTURED,))

_encode: Final = json.JSONEncoder(ensure_ascii=False).encode


class AccountMessage(NamedTuple):
    """A message to an account's user."""

    account_id: str
    message: NewMessage


def accounts_told(change: Change) -> tuple[str | None, ...]:
    """Return the accounts whose users get a message about the change, or are named in it. There may be None."""
    if change.change_type in _WITH_NAMES:
        return change.from_account_id, change.to_account_id
    return (change.to_account_id if change.payer == OUTSIDE_WORLD else change.from_account_id,)


def messages_to_users(
    change: Change, created_at: datetime, names: Mapping[str, str], only: str | None = None
) -> Iterator[AccountMessage]:
    """Yield the messages about a change to the user of each account, or to that of one: its id is `only`.

    `names` are by user id.
    """
    actor = change.payee if change.payer == OUTSIDE_WORLD else change.payer
    actor_name = names.get(actor, "")
    # An account's setting may change often, so each change has an id of its own.
    source_id = change.change_id or change.source_id
    for message_type, user_id, account_id, receiver_id, body in _sides(change, actor, names, only):
        message = NewMessage(user_id, message_type, source_id, actor, actor_name, receiver_id, body, created_at)
        yield AccountMessage(account_id, message)


def messages_to_team(change: Change, message: NewMessage, team: Team) -> Iterator[NewMessage]:
    """Yield the copies of a message to an account's user for the members of the team that watches the account."""
    # Teams get messages about money only: why an account was frozen concerns its user alone.
    if change.change_type not in ACCOUNT_CHANGES:
        for member in team.members:
            yield message._replace(reader_id=member, team_id=team.team_id, team_name=team.name)


def _sides(
    change: Change, actor: str, names: Mapping[str, str], only: str | None
) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield for each account to write about: message type, user, account, the receiver, the body."""
    change_type, payer, payee = change.change_type, change.payer, change.payee
    if change_type in ACCOUNT_CHANGES:
        yield change_type, actor, change.source_id, actor, _encode(account_fields(change))
        return
    if change_type in _WITHOUT_MESSAGE:
        return
    both = _BOTH_SIDES.get(change_type)
    to_payer, to_payee = both or (change_type, change_type)
    receiver = actor if both is None or payee == OUTSIDE_WORLD else payee
    currency = CURRENCIES[change.currency]
    fields = _shared_fields(change, currency, names)
    account_id, entry = change.from_account_id or "", change.from_entry
    if payer != OUTSIDE_WORLD and only in (None, account_id):
        own = _own_fields(account_id, entry, format_amount(change.from_balance, currency))
        yield to_payer, payer, account_id, receiver, _encode({**fields, **own, **held_amount(change)})
    account_id, entry = change.to_account_id or "", change.to_entry
    if payee != OUTSIDE_WORLD and (both is not None or payer == OUTSIDE_WORLD) and only in (None, account_id):
        own = _own_fields(account_id, entry, format_amount(change.to_balance, currency))
        yield to_payee, payee, account_id, receiver, _encode({**fields, **own})


def _shared_fields(change: Change, currency: Currency, names: Mapping[str, str]) -> dict[str, object]:
    """Return what the messages to both sides say."""
    fields: dict[str, object] = {
        "orderId": change.source_id,
        "amount": format_amount(change.amount, currency),
        "currency": currency.code,
    }
    if change.change_type in _WITH_NAMES:
        if change.payer != OUTSIDE_WORLD:
            fields["fromUserName"] = names.get(change.payer, "")
        if change.payee != OUTSIDE_WORLD:
            fields["toUserName"] = names.get(change.payee, "")
    fields |= order_details(change)
    return fields


def _own_fields(account_id: str, entry: int | None, balance: str) -> dict[str, object]:
    """Return what a message says of its reader's account. Events of earlier versions have no entry numbers."""
    if entry is None:
        return {"accountId": account_id, "balance": balance}
    return {"accountId": account_id, "entry": entry, "balance": balance}
