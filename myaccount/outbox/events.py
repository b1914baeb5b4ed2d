"""Rows of committed events (promise 7). The row is authoritative; the queue only carries its id."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.leases import for_update_skip_locked
from ..database.statements import Bound, texts_that_fit
from ..ledger.changes import Change
from ..model.outbox import event

# A transaction with more changes has several events.
CHANGES_LIMIT: Final = 256
# How long the queue has to bring an event before the sweeper dispatches it.
RESEND_SECONDS: Final = 3


class Event(NamedTuple):
    """The changes that one transaction made, in order, and when."""

    id: int
    changes: list[Change]
    created_at: datetime


def event_body(changes: Iterable[Change]) -> str:
    return json.dumps(list(changes), ensure_ascii=False, separators=(",", ":"))


def event_bodies(changes: Sequence[Change], limit_bytes: int) -> Iterator[str]:
    """Yield the bodies of one transaction's events, each of which has at most so many bytes in a statement."""
    for start in range(0, len(changes), CHANGES_LIMIT):
        yield from texts_that_fit(changes[start : start + CHANGES_LIMIT], event_body, limit_bytes)


def due_after(now: datetime) -> datetime:
    """Return when the sweeper takes an event that is inserted now and that the queue does not bring."""
    return now + timedelta(seconds=RESEND_SECONDS)


async def lock_events(connection: AsyncConnection, ids: Collection[int]) -> list[Event]:
    """Lock the pending ones of these events until the transaction ends; return them in the order of their ids.

    Events that are dispatched already, dead letters, and events locked by another transaction are left out.
    Raises ValueError or TypeError if a body is not what `event_body` writes.
    """
    pending = select(event.c.id, event.c.body, event.c.created_at).where(
        event.c.id.in_(ids), event.c.due_at.is_not(None)
    )
    rows = await connection.execute(for_update_skip_locked(pending.order_by(event.c.id), event))
    return [Event(row.id, [Change(*change) for change in json.loads(row.body)], row.created_at) for row in rows]


def keep_changes(event_id: int, changes: Sequence[Change]) -> Bound:
    """Return the statement that leaves only these changes in the event, or deletes it if there are none."""
    if not changes:
        return "DELETE FROM event WHERE id = %s", [event_id]
    return "UPDATE event SET body = %s WHERE id = %s", [event_body(changes), event_id]
