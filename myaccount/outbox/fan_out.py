"""Fan-out: from committed events, the messages for inboxes and the deliveries for endpoints."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.pipeline import is_sqlite, run_pipeline
from ..inbox.recipients import messages_about
from ..inbox.team_rows import find_parties, find_watching_teams
from ..inbox.writing import NewMessage, write_messages
from ..ledger.changes import Change
from ..webhooks.deliveries import insert_deliveries
from ..webhooks.payloads import request_bodies
from .earlier_events import add_accounts
from .events import Event, keep_changes, lock_events

# How many changes one transaction dispatches, unless a single event has more. In the embedded file, orders wait
# while it writes.
CHANGES_LIMIT: Final = 1024
EMBEDDED_CHANGES_LIMIT: Final = 256
# About how many messages one transaction writes. An event that large teams watch is dispatched
# in several transactions.
MESSAGES_LIMIT: Final = 2048


class Dispatched(NamedTuple):
    """What one transaction dispatched.

    `messages` is their number, `readers` whose inboxes got them, `endpoints` those with new pending deliveries,
    and `unfinished` the ids of events that have changes left.
    """

    messages: int
    readers: set[str]
    endpoints: set[str]
    unfinished: list[int]


async def fan_out(
    connection: AsyncConnection,
    event_ids: Collection[int],
    subscriptions: Mapping[str, Collection[str]],
    now: datetime,
) -> Dispatched:
    """Write the messages and deliveries of the events and delete the events, in one transaction.

    `subscriptions` has, by endpoint, the types of changes to send to it. Events that are dispatched already, or
    locked by another transaction, are skipped.
    """
    pending = await lock_events(connection, event_ids)
    limit = EMBEDDED_CHANGES_LIMIT if is_sqlite(connection) else CHANGES_LIMIT
    events = await add_accounts(connection, _within(limit, pending))
    accounts = {id_ for event in events for c in event.changes for id_ in (c.from_account_id, c.to_account_id)}
    names, watched = await find_parties(connection, [id_ for id_ in accounts if id_ is not None])
    teams = await find_watching_teams(connection, watched)
    messages: list[NewMessage] = []
    deliveries: list[tuple[str, str]] = []
    left: dict[int, Sequence[Change]] = {}
    for id_, changes, created_at in events:
        count = 0
        for change in changes:
            if len(messages) >= MESSAGES_LIMIT:
                break
            messages += messages_about(change, created_at, names, teams)
            count += 1
        deliveries += request_bodies(changes[:count], created_at, subscriptions)
        left[id_] = changes[count:]
    await run_pipeline(
        connection,
        *insert_deliveries(deliveries, now),
        *[keep_changes(id_, changes) for id_, changes in left.items()],
        *write_messages(connection, messages),
        ("COMMIT", ()),
    )
    return Dispatched(
        len(messages),
        {m.reader_id for m in messages},
        {endpoint for endpoint, _ in deliveries},
        [event.id for event in pending if left.get(event.id, event.changes)],
    )


def _within(limit: int, events: Sequence[Event]) -> list[Event]:
    """Return the first events, at least one, that have at most `limit` changes together."""
    sizes = accumulate(len(event.changes) for event in events)
    return [event for n, (event, size) in enumerate(zip(events, sizes, strict=True)) if not n or size <= limit]
