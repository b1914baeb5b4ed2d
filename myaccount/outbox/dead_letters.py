"""Pending rows and dead letters of the outbox: an operator lists, resends, moves or drops them.

A name is one row's (event-3, delivery-7), an endpoint's, which means all its deliveries, or `all`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Table, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..access.audit_rows import COMMAND_LINE, EVENTS_DROPPED, EVENTS_RESENT, write_audit
from ..database.database import Database
from ..database.leases import find_page_end, list_rows, remove, resend
from ..database.times import utc_now
from ..ledger.makers import Doer
from ..model.outbox import delivery, event
from ..webhooks.deliveries import disabled_endpoints, enable_endpoints, move_deliveries

# How many rows one transaction reads, however many of them are selected.
PAGE_SIZE: Final = 1000
ALL: Final = "all"
TABLES: Final[Mapping[str, Table]] = {"event": event, "delivery": delivery}
# Longer than any pause between attempts. A row that is due later was scheduled while the clock was wrong.
LONGEST_PAUSE: Final = timedelta(days=1)

_Which = list[ColumnElement[bool]]
# Changes the rows of a table that meet all conditions; returns their number.
_Change = Callable[[AsyncConnection, Table, _Which], Awaitable[int]]


class Undelivered(NamedTuple):
    """An event that is not dispatched, or a delivery that is not delivered. Without `due_at`: a dead letter."""

    name: str
    endpoint: str | None
    attempts: int
    created_at: datetime
    due_at: datetime | None
    error: str | None


async def list_undelivered(database: Database) -> AsyncIterator[Undelivered]:
    """Yield all rows, first events and then deliveries, each the oldest first."""
    for kind, table in TABLES.items():
        after = 0
        while rows := await database.read(lambda c: list_rows(c, table, after, PAGE_SIZE)):  # noqa: B023
            for row in rows:
                yield Undelivered(
                    f"{kind}-{row.id}",
                    getattr(row, "endpoint", None),
                    row.attempts,
                    row.created_at,
                    row.due_at,
                    row.error,
                )
            after = rows[-1].id


class Resent(NamedTuple):
    """How many rows were resent, and whether the name was that of a disabled endpoint, which is enabled now."""

    rows: int
    enabled: bool


async def resend_named(database: Database, name: str, to: str | None = None, doer: Doer = COMMAND_LINE) -> Resent:
    """Make the named rows due now and set their attempts to 0.

    `all` means the dead letters, and rows that are due later than any attempt can be. With `to`, deliveries move
    to that endpoint. Disabled endpoints of these deliveries are enabled, as is a named one without deliveries.
    """
    now = utc_now()

    def selected_by_all(table: Table) -> ColumnElement[bool]:
        return or_(table.c.due_at.is_(None), table.c.due_at > now + LONGEST_PAUSE)

    async def change(connection: AsyncConnection, table: Table, which: _Which) -> int:
        if table is delivery:
            await enable_endpoints(
                connection, [to] if to is not None else select(delivery.c.endpoint).where(*which)
            )
        count = await resend(connection, table, now, *which)
        if table is delivery and to is not None:
            await move_deliveries(connection, to, *which)
        if count:
            # The first page writes it.
            await write_audit(connection, now, doer, EVENTS_RESENT, "events", name)
        return count

    async def enable(connection: AsyncConnection) -> bool:
        enabled = await _enable_named(connection, name)
        if enabled:
            await write_audit(connection, now, doer, EVENTS_RESENT, "events", name)
        return enabled

    enabled = await database.write(enable)
    return Resent(await _change_named(database, name, selected_by_all, change), enabled)


async def _enable_named(connection: AsyncConnection, name: str) -> bool:
    """Enable the endpoint with that name; return whether it was disabled."""
    if name not in await disabled_endpoints(connection):
        return False
    await enable_endpoints(connection, [name])
    return True


async def drop_named(database: Database, name: str, doer: Doer = COMMAND_LINE) -> int:
    """Delete the named rows for good; return how many there were. `all` means the dead letters."""
    now = utc_now()

    async def change(connection: AsyncConnection, table: Table, which: _Which) -> int:
        count = await remove(connection, table, *which)
        if count:
            await write_audit(connection, now, doer, EVENTS_DROPPED, "events", name)
        return count

    return await _change_named(database, name, lambda table: table.c.due_at.is_(None), change)


async def _change_named(
    database: Database, name: str, selected_by_all: Callable[[Table], ColumnElement[bool]], change: _Change
) -> int:
    kind, _, number = name.partition("-")
    if kind in TABLES and number.isdecimal():
        table = TABLES[kind]
        return await database.write(lambda c: change(c, table, [table.c.id == int(number)]))
    if name == ALL:
        return sum(
            [await _change_pages(database, table, selected_by_all(table), change) for table in TABLES.values()]
        )
    # COALESCE keeps the index on endpoint out: with it, each page would read all deliveries of the endpoint.
    return await _change_pages(database, delivery, func.coalesce(delivery.c.endpoint, "") == name, change)


async def _change_pages(database: Database, table: Table, which: ColumnElement[bool], change: _Change) -> int:
    """Change the selected rows, one page in each transaction: all at once could exceed the transaction timeout."""
    count = 0
    after: int | None = 0
    while after is not None:
        work = partial(_change_page, table=table, after=after, which=which, change=change)
        after, changed = await database.write(work)
        count += changed
    return count


async def _change_page(
    connection: AsyncConnection, table: Table, after: int, which: ColumnElement[bool], change: _Change
) -> tuple[int | None, int]:
    """Return the last id of the page, or None after the last page, and how many of its rows were changed."""
    end = await find_page_end(connection, table, after, PAGE_SIZE)
    if end is None:
        return None, 0
    return end, await change(connection, table, [table.c.id > after, table.c.id <= end, which])
