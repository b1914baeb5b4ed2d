"""What is tried again until it succeeds: events and deliveries wait alike, in rows with the same columns.

A row is due at a time. Whoever takes it moves that time on, so that nobody else takes it meanwhile, and that it
is tried again if the taker dies; after its last attempt it is set aside, due at no time.
"""

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Row, Select, Table, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

# The pauses grow from this, each twice the one before, and vary by a fifth so that what failed together does not
# come again together. 15 attempts take about a day.
FIRST_PAUSE_SECONDS: Final = 5
JITTER: Final = 0.2
ERROR_LIMIT: Final = 500


async def take_due(
    connection: AsyncConnection,
    table: Table,
    now: datetime,
    limit: int,
    keep_seconds: float,
    *which: ColumnElement[bool],
    columns: Sequence[Column[Any]] = (),
) -> list[Row[Any]]:
    """Return the ids, and those columns, of rows that are due, the first due first, and keep them for so long."""
    due = select(table.c.id).where(table.c.due_at <= now, *which).order_by(table.c.due_at).limit(limit)
    # Found first and then locked: while an index is searched, the row that ends the search is locked as well, and
    # another's search would pass over it.
    ids = list((await connection.execute(due)).scalars())
    if not ids:
        return []
    free = select(table.c.id, *columns).where(table.c.id.in_(ids), table.c.due_at <= now).order_by(table.c.id)
    rows = list(await connection.execute(for_us_alone(free, table)))
    taken = update(table).where(table.c.id.in_([row.id for row in rows]))
    await connection.execute(taken.values(due_at=now + timedelta(seconds=keep_seconds)))
    return rows


def for_us_alone(query: Select[Any], table: Table) -> Select[Any]:
    """Lock the rows, which the query finds by their ids, and pass over those that another has locked."""
    for dialect in ("mysql", "mariadb"):
        # The optimiser would go through a small table as a whole, and lock for a moment what it does not want.
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
    """Record a failed attempt of each id: the next comes after a growing pause, after the last there is none."""
    if not errors:
        return
    waiting = select(table.c.id, table.c.attempts).where(
        table.c.id.in_(errors), table.c.due_at.is_not(None), *which
    )
    tried = waiting.with_for_update()
    for id_, attempts in list(await connection.execute(tried)):
        # The jitter is no secret.
        pause_seconds = FIRST_PAUSE_SECONDS * 2**attempts * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
        changes = {
            "attempts": attempts + 1,
            "error": errors[id_][:ERROR_LIMIT],
            "due_at": None if attempts + 1 >= last_attempt else now + timedelta(seconds=pause_seconds),
        }
        await connection.execute(update(table).where(table.c.id == id_).values(changes))


async def remove(connection: AsyncConnection, table: Table, *which: ColumnElement[bool]) -> int:
    """Delete those rows; return how many they were."""
    return int((await connection.execute(delete(table).where(*which))).rowcount)


async def resend(connection: AsyncConnection, table: Table, now: datetime, *which: ColumnElement[bool]) -> int:
    """Make those rows due now, with no attempt counted; return how many they are."""
    again = update(table).where(*which).values(attempts=0, due_at=now)
    return int((await connection.execute(again)).rowcount)


async def find_page_end(connection: AsyncConnection, table: Table, after: int, limit: int) -> int | None:
    """Return the last id of the next so many rows after an id, or None if there are no more."""
    page = select(table.c.id).where(table.c.id > after).order_by(table.c.id).limit(limit).subquery()
    end: int | None = await connection.scalar(select(func.max(page.c.id)))
    return end


async def list_rows(connection: AsyncConnection, table: Table, after: int, limit: int) -> list[Any]:
    """Return a page of what waits or was set aside, in the order of its making, without the bodies."""
    columns = [column for column in table.c if column.name != "body"]
    page = select(*columns).where(table.c.id > after).order_by(table.c.id).limit(limit)
    return list(await connection.execute(page))
