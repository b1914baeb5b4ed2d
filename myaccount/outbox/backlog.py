"""How many events and deliveries are pending, counted up to a bound that keeps the query cheap."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, ScalarSelect, Select, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..model.outbox import delivery, event

# The help texts of the metrics name both limits.
COUNT_LIMIT: Final = 10_000
# Lower, because these rows are read, while the others are counted in an index.
OLDEST_LIMIT: Final = 1000


class Backlog(NamedTuple):
    """How many rows wait for an attempt, the age of the oldest of them, and how many dead letters there are.

    Both counts end at COUNT_LIMIT; the age is that of the oldest of the OLDEST_LIMIT rows that are due first.
    """

    waiting: int
    oldest_seconds: float
    dead_letters: int


class Backlogs(NamedTuple):
    """The backlog of events, and the backlogs of deliveries by endpoint."""

    events: Backlog
    deliveries: Mapping[str, Backlog]


async def find_backlogs(connection: AsyncConnection, now: datetime) -> Backlogs:
    """Return the backlogs. Endpoints without pending deliveries are left out."""
    events = await _backlog(connection, event, now)
    deliveries = {}
    # One endpoint at a time, each found in the index behind the one before: cheaper than GROUP BY on any engine.
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
    dead = _by_index(select(table.c.id).where(table.c.due_at.is_(None), *which), table)
    first = due.order_by(table.c.due_at).limit(OLDEST_LIMIT).subquery()
    query = select(
        _count(due.with_only_columns(table.c.id)),
        select(func.min(first.c.created_at)).scalar_subquery(),
        _count(dead),
    )
    waiting, oldest, dead_letters = (await connection.execute(query)).one()
    # The clock of the host that inserted the row may be a little ahead.
    oldest_seconds = max(0.0, (now - oldest).total_seconds()) if oldest else 0.0
    return Backlog(waiting, oldest_seconds, dead_letters)


def _by_index(rows: Select[tuple[Any]], table: Table) -> Select[tuple[Any]]:
    """Force the index on due_at. MySQL may ignore it when most rows have the same value."""
    (index,) = table.indexes
    for dialect in ("mysql", "mariadb"):
        rows = rows.with_hint(table, f"FORCE INDEX ({index.name})", dialect)
    return rows


def _count(rows: Select[tuple[int]]) -> ScalarSelect[int]:
    return select(func.count()).select_from(rows.limit(COUNT_LIMIT).subquery()).scalar_subquery()
