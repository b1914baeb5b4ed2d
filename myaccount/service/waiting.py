"""What waits to be told and what was set aside, for people to see, and to have tried again."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Table
from sqlalchemy.ext.asyncio import AsyncConnection

from ..model.outbox import delivery, event
from ..store.database import Database, utc_now
from ..store.deliveries import switch_on
from ..store.retries import list_rows, resend

PAGE_SIZE: Final = 1000
TABLES: Final[Mapping[str, Table]] = {"event": event, "delivery": delivery}


class Waiting(NamedTuple):
    """An event that is not told yet, or a request that an endpoint is owed; set aside, if it is due at no time."""

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


async def resend_set_aside(database: Database, name: str) -> int:
    """Let what was set aside begin anew: one by its name, or all; return how many that were.

    An endpoint that was switched off and is owed such a request is on again.
    """

    async def work(connection: AsyncConnection) -> int:
        count = 0
        for kind, table in TABLES.items():
            if name != "all" and not name.startswith(f"{kind}-"):
                continue
            which: list[ColumnElement[bool]] = [table.c.due_at.is_(None)]
            if name != "all":
                which.append(table.c.id == int(name.partition("-")[2]))
            if table is delivery:
                await switch_on(connection, *which)
            count += await resend(connection, table, utc_now(), *which)
        return count

    return await database.write(work)
