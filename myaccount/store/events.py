"""The rows of what is committed and not yet told (promise 7). The row is the truth; the queue is a courier."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple, cast

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..model.tables import event

# How long an event may be on its way before the sweeper sends it again.
RESEND_SECONDS: Final = 5
# The pauses between them grow from RESEND_SECONDS, each twice the one before: together about a day.
ATTEMPTS: Final = 15
SWEEP_LIMIT: Final = 1000


class Event(NamedTuple):
    """What happened, in the past tense; the body is JSON with what its handlers need to know."""

    id: int
    event_type: str
    body: str

    def fields(self) -> dict[str, str]:
        """Return the body's members. Raises ValueError if it is not the JSON it should be."""
        fields: dict[str, str] = json.loads(self.body)
        return fields


async def insert_event(
    connection: AsyncConnection, event_type: str, body: Mapping[str, str], now: datetime
) -> int:
    """Insert the event in the transaction of what it tells; return its id, to be announced after the commit."""
    row = {
        "event_type": event_type,
        "body": json.dumps(body, ensure_ascii=False),
        "attempts": 0,
        "due_at": now + timedelta(seconds=RESEND_SECONDS),
        "created_at": now,
    }
    result = await connection.execute(insert(event).values(row))
    # An insert of one row has its key.
    return int(cast("tuple[int]", result.inserted_primary_key)[0])


async def find_event(connection: AsyncConnection, event_id: int) -> Event | None:
    """Return the event if it still waits to be told: None if it was handled, or set aside."""
    statement = select(event.c.id, event.c.event_type, event.c.body)
    row = (
        await connection.execute(statement.where(event.c.id == event_id, event.c.set_aside_at.is_(None)))
    ).first()
    return Event(*row) if row else None


async def delete_event(connection: AsyncConnection, event_id: int) -> None:
    await connection.execute(delete(event).where(event.c.id == event_id))


async def postpone_event(connection: AsyncConnection, event_id: int, error: str, now: datetime) -> None:
    """Record a failed attempt: the next comes after a growing pause; after the last the event is set aside."""
    attempts = (
        await connection.execute(select(event.c.attempts).where(event.c.id == event_id).with_for_update())
    ).scalar()
    if attempts is None:
        return
    changes = {
        "attempts": attempts + 1,
        "error": error[:500],
        "due_at": now + timedelta(seconds=RESEND_SECONDS * 2**attempts),
        "set_aside_at": now if attempts + 1 >= ATTEMPTS else None,
    }
    await connection.execute(update(event).where(event.c.id == event_id).values(changes))


async def take_due_events(connection: AsyncConnection, now: datetime) -> list[int]:
    """Return the ids of events that should have been told by now, and give them their time again."""
    due = (event.c.set_aside_at.is_(None), event.c.due_at <= now)
    rows = await connection.execute(
        select(event.c.id).where(*due).order_by(event.c.id).limit(SWEEP_LIMIT).with_for_update(skip_locked=True)
    )
    ids = list(rows.scalars())
    if ids:
        later = now + timedelta(seconds=RESEND_SECONDS)
        await connection.execute(update(event).where(event.c.id.in_(ids)).values(due_at=later))
    return ids
