"""How much waits to be told, counted only as far as that is cheap."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, ScalarSelect, Select, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..model.outbox import delivery, event

# What the metrics say of themselves has these numbers, too.
COUNT_LIMIT: Final = 10_000
# Fewer, since these rows are looked up and not only counted in an index.
OLDEST_LIMIT: Final = 1000


class Backlog(NamedTuple):
    """What waits, the age of its oldest, and what was set aside, as far as the first of each tell."""

    waiting: int
    oldest_seconds: float
    set_aside: int


class Backlogs(NamedTuple):
    """That of the events, and those of the deliveries, by endpoint."""

    events: Backlog
    deliveries: Mapping[str, Backlog]


async def find_backlogs(connection: AsyncConnection, now: datetime) -> Backlogs:
    """Return what waits to be told, of endpoints that are owed nothing nothing."""
    events = await _backlog(connection, event, now)
    deliveries = {}
    # One by one, each from the end of the one before: no database goes through the index as cheaply by itself.
    next_endpoint = select(func.min(delivery.c.endpoint))
    endpoint = await connection.scalar(next_endpoint)
    while endpoint is not None:
        deliveries[endpoint] = await _backlog(connection, delivery, now, delivery.c.endpoint == endpoint)
        endpoint = await connection.scalar(next_endpoint.where(delivery.c.endpoint > endpoint))
    return Backlogs(events, deliveries)


async def _backlog(
    connection: AsyncConnection, table: Table, now: datetime, *which: ColumnElement[bool]
) -> Backlog:
    due = _by_index(select(table.c.created_at).where(table.c.due_at.is_not(None), *which), table)
    aside = _by_index(select(table.c.id).where(table.c.due_at.is_(None), *which), table)
    first = due.order_by(table.c.due_at).limit(OLDEST_LIMIT).subquery()
    query = select(
        _count(due.with_only_columns(table.c.id)),
        select(func.min(first.c.created_at)).scalar_subquery(),
        _count(aside),
    )
    waiting, oldest, set_aside = (await connection.execute(query)).one()
    # Another host's clock may be a little ahead.
    oldest_seconds = max(0.0, (now - oldest).total_seconds()) if oldest else 0.0
    return Backlog(waiting, oldest_seconds, set_aside)


def _by_index(rows: Select[tuple[Any]], table: Table) -> Select[tuple[Any]]:
    """Take the rows from the index by due_at, which MySQL may pass over where most rows are alike."""
    (index,) = table.indexes
    for dialect in ("mysql", "mariadb"):
        rows = rows.with_hint(table, f"FORCE INDEX ({index.name})", dialect)
    return rows


def _count(rows: Select[tuple[int]]) -> ScalarSelect[int]:
    return select(func.count()).select_from(rows.limit(COUNT_LIMIT).subquery()).scalar_subquery()
