"""The rows of what is committed and not yet told (promise 7). The row is the truth; the queue is a courier."""

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple, cast

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.leases import for_update_skip_locked
from ..database.statements import Bound
from ..ledger.changes import Change
from ..model.outbox import event

# How long the queue has to bring an event before the sweeper delivers it.
RESEND_SECONDS: Final = 3


class Event(NamedTuple):
    """What a transaction changed, in order, and when."""

    id: int
    changes: list[Change]
    created_at: datetime


def event_body(changes: Iterable[Change]) -> str:
    return json.dumps(list(changes), ensure_ascii=False, separators=(",", ":"))


def due_after(now: datetime) -> datetime:
    """Return when the sweeper takes up what was announced now."""
    return now + timedelta(seconds=RESEND_SECONDS)


async def insert_event(connection: AsyncConnection, changes: Iterable[Change], now: datetime) -> int:
    """Insert the event in the transaction of what it tells; return its id, to be announced after the commit."""
    row = {"body": event_body(changes), "attempts": 0, "due_at": due_after(now), "created_at": now}
    result = await connection.execute(insert(event).values(row))
    # An insert of one row has its key.
    return int(cast("tuple[int]", result.inserted_primary_key)[0])


async def lock_events(connection: AsyncConnection, ids: Collection[int]) -> list[Event]:
    """Return, until the transaction ends for us alone, those events that wait to be told.

    Left out are those that were told, that are set aside, and that another has in hand. Raises ValueError or
    TypeError if a body is not what `event_body` makes.
    """
    waiting = select(event.c.id, event.c.body, event.c.created_at).where(
        event.c.id.in_(ids), event.c.due_at.is_not(None)
    )
    rows = await connection.execute(for_update_skip_locked(waiting.order_by(event.c.id), event))
    return [Event(row.id, [Change(*change) for change in json.loads(row.body)], row.created_at) for row in rows]


def keep_changes(event_id: int, changes: Sequence[Change]) -> Bound:
    """Return the statement that leaves in the event only what is still to be told or, for nothing, no event."""
    if not changes:
        return "DELETE FROM event WHERE id = %s", [event_id]
    return "UPDATE event SET body = %s WHERE id = %s", [event_body(changes), event_id]
