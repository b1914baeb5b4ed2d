"""Telling what was committed: from events, the messages to write and the requests to owe."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.pipeline import run_pipeline
from ..inbox.recipients import messages_about
from ..inbox.team_rows import find_parties, find_watching_teams
from ..inbox.writing import NewMessage, write_messages
from ..ledger.changes import Change
from ..ledger.commands import OUTSIDE_WORLD
from ..webhooks.deliveries import endpoints_off, owe
from ..webhooks.payloads import requests_about
from .events import Event, keep_changes, lock_events

# How many changes one transaction tells, unless a single event has more.
CHANGES_LIMIT: Final = 256
# About how many messages it writes: an event that large teams watch takes several transactions.
MESSAGES_LIMIT: Final = 2000


class Told(NamedTuple):
    """How many messages went to whose inboxes, which endpoints are owed a request, and which events have more."""

    messages: int
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

    `wanted` has, by endpoint, the types of changes that it is to be told of; what endpoints that are switched off
    would be told is kept as dead letters. Events that were told already, or are
    in another's hands, are passed over.
    """
    waiting = await lock_events(connection, event_ids)
    events = _as_many_as_fit(waiting)
    parties = {user for event in events for c in event.changes for user in (c.payer, c.payee)} - {OUTSIDE_WORLD}
    names, watched = await find_parties(connection, parties)
    teams = await find_watching_teams(connection, watched)
    off = await endpoints_off(connection) if wanted else set()
    messages: list[NewMessage] = []
    owed: list[tuple[str, str]] = []
    left: dict[int, Sequence[Change]] = {}
    for id_, changes, created_at in events:
        count = 0
        for change in changes:
            if len(messages) >= MESSAGES_LIMIT:
                break
            messages += messages_about(change, created_at, names, teams)
            count += 1
        owed += requests_about(changes[:count], created_at, wanted)
        left[id_] = changes[count:]
    await run_pipeline(
        connection,
        *owe(owed, now, off),
        *[keep_changes(id_, changes) for id_, changes in left.items()],
        *write_messages(connection, messages),
        ("COMMIT", ()),
    )
    return Told(
        len(messages),
        {m.reader_id for m in messages},
        {endpoint for endpoint, _ in owed} - off,
        [event.id for event in waiting if left.get(event.id, event.changes)],
    )


def _as_many_as_fit(events: Sequence[Event]) -> list[Event]:
    """Return the first events, at least one, whose changes one transaction may tell."""
    sizes = accumulate(len(event.changes) for event in events)
    return [
        event for n, (event, size) in enumerate(zip(events, sizes, strict=True)) if not n or size <= CHANGES_LIMIT
    ]
