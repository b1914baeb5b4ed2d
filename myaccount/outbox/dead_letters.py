"""What waits to be delivered and what was set aside: to be listed, sent again, moved, or dropped, by a person.

A name is that of one row (event-3, delivery-7), that of an endpoint, for all that it is owed, or `all`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Table, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database, utc_now
from ..database.leases import find_page_end, list_rows, remove, resend
from ..model.outbox import delivery, event
from ..webhooks.deliveries import endpoints_off, move, switch_on

# How many rows one transaction goes through, however many are chosen.
PAGE_SIZE: Final = 1000
ALL: Final = "all"
TABLES: Final[Mapping[str, Table]] = {"event": event, "delivery": delivery}
# Longer than any pause between attempts: what is due later was scheduled by a clock that was wrong.
LONGEST_PAUSE: Final = timedelta(days=1)

_Which = list[ColumnElement[bool]]
# Changes the rows of a table for which all of that is true; returns how many they were.
_Change = Callable[[AsyncConnection, Table, _Which], Awaitable[int]]


class Waiting(NamedTuple):
    """An event or a request to an endpoint that is not delivered yet; set aside, if it is due at no time."""

    name: str
    endpoint: str | None
    attempts: int
    created_at: datetime
    due_at: datetime | None
    error: str | None


async def list_waiting(database: Database) -> AsyncIterator[Waiting]:
    """Give all that waits and was set aside, the events and then the deliveries, the oldest of each first."""
    for kind, table in TABLES.items():
        after = 0
        while rows := await database.read(lambda c: list_rows(c, table, after, PAGE_SIZE)):  # noqa: B023
            for row in rows:
                yield Waiting(
                    f"{kind}-{row.id}",
                    getattr(row, "endpoint", None),
                    row.attempts,
                    row.created_at,
                    row.due_at,
                    row.error,
                )
            after = rows[-1].id


async def resend_named(database: Database, name: str, to: str | None = None) -> int:
    """Make what has the name due now, with no attempt counted; return how many rows that were.

    `all` is what was set aside, and what is due later than any attempt ever is. With `to`, deliveries are moved to
    that endpoint. An endpoint that was switched off and is owed such a request is on again.
    """
    now = utc_now()

    def among_all(table: Table) -> ColumnElement[bool]:
        return or_(table.c.due_at.is_(None), table.c.due_at > now + LONGEST_PAUSE)

    async def change(connection: AsyncConnection, table: Table, which: _Which) -> int:
        if table is delivery:
            await switch_on(connection, [to] if to is not None else select(delivery.c.endpoint).where(*which))
        count = await resend(connection, table, now, *which)
        if table is delivery and to is not None:
            await move(connection, to, *which)
        return count

    switched_on = await database.write(lambda c: _switch_on_named(c, name))
    return await _change_named(database, name, among_all, change) or switched_on


async def _switch_on_named(connection: AsyncConnection, name: str) -> int:
    """Switch an endpoint on that is owed nothing; return how many that were."""
    if name not in await endpoints_off(connection):
        return 0
    await switch_on(connection, [name])
    return 1


async def drop_named(database: Database, name: str) -> int:
    """Delete what has the name, for good; return how many rows that were. `all` is what was set aside."""

    async def change(connection: AsyncConnection, table: Table, which: _Which) -> int:
        return await remove(connection, table, *which)

    return await _change_named(database, name, lambda table: table.c.due_at.is_(None), change)


async def _change_named(
    database: Database, name: str, among_all: Callable[[Table], ColumnElement[bool]], change: _Change
) -> int:
    kind, _, number = name.partition("-")
    if kind in TABLES and number.isdecimal():
        table = TABLES[kind]
        return await database.write(lambda c: change(c, table, [table.c.id == int(number)]))
    if name == ALL:
        return sum([await _change_pages(database, table, among_all(table), change) for table in TABLES.values()])
    # Not by the index of the endpoints: with it, each page would go through all that the endpoint is owed.
    return await _change_pages(database, delivery, func.coalesce(delivery.c.endpoint, "") == name, change)


async def _change_pages(database: Database, table: Table, which: ColumnElement[bool], change: _Change) -> int:
    """Change the chosen rows of a table, a page a transaction: together they might take longer than one may."""
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
    """Return the last id of the page, None if there is no more, and how many of its rows were changed."""
    end = await find_page_end(connection, table, after, PAGE_SIZE)
    if end is None:
        return None, 0
    return end, await change(connection, table, [table.c.id > after, table.c.id <= end, which])
