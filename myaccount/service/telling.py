"""Telling what was committed: from events, the messages to write and the requests to owe."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import accumulate
from typing import Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from ..ledger.changes import ACCOUNT_OPENED, DECLINE, RECHARGE, TRANSFER, Change
from ..ledger.commands import OUTSIDE_WORLD
from ..ledger.money import CNY, format_amount
from ..store.deliveries import endpoints_off, owe
from ..store.events import Event, keep_changes, lock_events
from ..store.messages import NewMessage, write_messages
from ..store.teams import Team, find_parties, find_watching_teams
from ..store.turns import turn

# How many changes one transaction tells, unless a single event has more.
CHANGES_LIMIT: Final = 256
# About how many messages it writes: an event that large teams watch takes several transactions.
MESSAGES_LIMIT: Final = 2000

_encode: Final = json.JSONEncoder(ensure_ascii=False).encode

TRANSFER_OUT: Final = "transfer_out"
TRANSFER_IN: Final = "transfer_in"


class Told(NamedTuple):
    """Whose inboxes have something new, which endpoints are owed a request, and which events have more to tell."""

    readers: set[str]
    endpoints: set[str]
    unfinished: list[int]


async def tell(
    connection: AsyncConnection,
    event_ids: Collection[int],
    wanted: Mapping[str, Collection[str]],
    now: datetime,
) -> Told:
    """Write the messages of the events, owe the requests, and remove the events, all in one transaction.

    `wanted` has, by endpoint, the types of changes that it is to be told of. Events that were told already, or are
    in another's hands, are passed over.
    """
    waiting = await lock_events(connection, event_ids)
    events = _as_many_as_fit(waiting)
    parties = {user for event in events for c in event.changes for user in (c.payer, c.payee)} - {OUTSIDE_WORLD}
    names, watched = await find_parties(connection, parties)
    teams = await find_watching_teams(connection, watched)
    if wanted:
        wanted = {endpoint: wanted[endpoint] for endpoint in wanted.keys() - await endpoints_off(connection)}
    messages: list[NewMessage] = []
    owed: list[tuple[str, str]] = []
    left: dict[int, Sequence[Change]] = {}
    for id_, changes, created_at in events:
        count = 0
        for change in changes:
            if len(messages) >= MESSAGES_LIMIT:
                break
            messages += _messages(change, created_at, names, teams)
            count += 1
        owed += _requests(changes[:count], created_at, wanted)
        left[id_] = changes[count:]
    await turn(
        connection,
        *owe(owed, now),
        *[keep_changes(id_, changes) for id_, changes in left.items()],
        *write_messages(connection, messages),
        ("COMMIT", ()),
    )
    return Told(
        {m.reader_id for m in messages},
        {endpoint for endpoint, _ in owed},
        [event.id for event in waiting if left.get(event.id, event.changes)],
    )


def _as_many_as_fit(events: Sequence[Event]) -> list[Event]:
    """Return the first events, at least one, whose changes one transaction may tell."""
    sizes = accumulate(len(event.changes) for event in events)
    return [
        event for n, (event, size) in enumerate(zip(events, sizes, strict=True)) if not n or size <= CHANGES_LIMIT
    ]


def _messages(
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


def _requests(
    changes: Sequence[Change], created_at: datetime, wanted: Mapping[str, Collection[str]]
) -> Iterator[tuple[str, str]]:
    """Give, by endpoint, the body that tells it of those changes that it is to be told of."""
    for endpoint, types in wanted.items():
        told = [_told(change) for change in changes if change.change_type in types]
        if told:
            body = {"type": "changes", "timestamp": f"{created_at.isoformat()}Z", "data": told}
            yield endpoint, _encode(body)


def _told(change: Change) -> dict[str, object]:
    """Return a change by the names that the operations have for its parts."""
    if change.change_type == ACCOUNT_OPENED:
        return {"type": ACCOUNT_OPENED, "userId": change.payee, "accountId": change.source_id}
    told: dict[str, object] = {"type": change.change_type, "orderId": change.source_id}
    if change.payer == OUTSIDE_WORLD:
        told |= {"userId": change.payee}
    else:
        told |= {"fromuserId": change.payer, "touserId": change.payee}
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
