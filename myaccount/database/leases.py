"""Leases on rows that are retried until they succeed: events and deliveries, which have the same columns.

A worker that takes a row moves its `due_at` on. So no other worker takes it meanwhile, and the row becomes due
again if the worker dies. After the last attempt the row is a dead letter, with an empty `due_at`.
"""

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Row, Select, Table, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

# Each pause is twice the one before: 15 attempts take about a day. They vary by a fifth, so that rows that failed
# together are not retried together.
FIRST_PAUSE_SECONDS: Final = 5
JITTER: Final = 0.2
ERROR_LIMIT: Final = 500


async def lease_due(
    connection: AsyncConnection,
    table: Table,
    now: datetime,
    limit: int,
    lease_seconds: float,
    *which: ColumnElement[bool],
    columns: Sequence[Column[Any]] = (),
) -> list[Row[Any]]:
    """Lease the rows that are due, longest due first; return their ids and those columns.

    `which` narrows the rows. The lease ends after `lease_seconds`: until then no other worker gets the rows.
    """
    due = select(table.c.id).where(table.c.due_at <= now, *which).order_by(table.c.due_at).limit(limit)
    # Find first, lock then: a locking search of an index also locks the row at which it ends, and another worker
    # would skip that one.
    ids = list((await connection.execute(due)).scalars())
    if not ids:
        return []
    free = select(table.c.id, *columns).where(table.c.id.in_(ids), table.c.due_at <= now).order_by(table.c.id)
    rows = list(await connection.execute(for_update_skip_locked(free, table)))
    leased = update(table).where(table.c.id.in_([row.id for row in rows]))
    await connection.execute(leased.values(due_at=now + timedelta(seconds=lease_seconds)))
    return rows


def for_update_skip_locked(query: Select[Any], table: Table) -> Select[Any]:
    """Lock the rows, which the query finds by their ids; skip those that another transaction has locked."""
    for dialect in ("mysql", "mariadb"):
        # The optimiser would scan a small table, and lock all of its rows for a moment.
        query = query.with_hint(table, "FORCE INDEX (PRIMARY)", dialect)
    return query.with_for_update(skip_locked=True)


async def postpone(
    connection: AsyncConnection,
    table: Table,
    errors: Mapping[int, str],
    now: datetime,
    last_attempt: int,
    *which: ColumnElement[bool],
) -> None:
    """Record a failed attempt for each id: exponential backoff, and a dead letter after the last attempt."""
    if not errors:
        return
    waiting = select(table.c.id, table.c.attempts).where(
        table.c.id.in_(errors), table.c.due_at.is_not(None), *which
    )
    for id_, attempts in list(await connection.execute(waiting.with_for_update())):
        # The jitter need not be unpredictable.
        pause_seconds = FIRST_PAUSE_SECONDS * 2**attempts * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
        changes = {
            "attempts": attempts + 1,
            "error": errors[id_][:ERROR_LIMIT],
            "due_at": None if attempts + 1 >= last_attempt else now + timedelta(seconds=pause_seconds),
        }
        await connection.execute(update(table).where(table.c.id == id_).values(changes))


async def remove(connection: AsyncConnection, table: Table, *which: ColumnElement[bool]) -> int:
    """Delete the rows; return their number."""
    return int((await connection.execute(delete(table).where(*which))).rowcount)


async def resend(connection: AsyncConnection, table: Table, now: datetime, *which: ColumnElement[bool]) -> int:
    """Make the rows due now, with no attempts counted; return their number."""
    again = update(table).where(*which).values(attempts=0, due_at=now)
    return int((await connection.execute(again)).rowcount)


async def find_page_end(connection: AsyncConnection, table: Table, after: int, limit: int) -> int | None:
    """Return the last id of the page of `limit` rows after an id, or None if there are no more rows."""
    page = select(table.c.id).where(table.c.id > after).order_by(table.c.id).limit(limit).subquery()
    end: int | None = await connection.scalar(select(func.max(page.c.id)))
    return end


async def list_rows(connection: AsyncConnection, table: Table, after: int, limit: int) -> list[Any]:
    """Return a page of the rows, dead letters included, in the order of their ids, without the bodies."""
    columns = [column for column in table.c if column.name != "body"]
    page = select(*columns).where(table.c.id > after).order_by(table.c.id).limit(limit)
    return list(await connection.execute(page))
