"""Reading the audit log, newest first."""

from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database
from ..model.access import audit


class AuditFilter(NamedTuple):
    """Which rows are wanted; None means any. `until` itself is left out."""

    who: str | None = None
    what: str | None = None
    about: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class AuditEntry(NamedTuple):
    """A row of the audit log."""

    id: int
    at: datetime
    who_kind: str
    who: str
    what: str
    about_kind: str
    about: str
    address: str
    request_id: str


_ROWS: Final = select(*[audit.c[name] for name in AuditEntry._fields]).order_by(audit.c.id.desc())


async def list_audit(database: Database, wanted: AuditFilter, before: int, count: int) -> list[AuditEntry]:
    """Return up to so many rows, of those before the one with this id."""
    query = _ROWS.where(audit.c.id < before).limit(count)
    for name in ("who", "what", "about"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(audit.c[name] == value)
    if wanted.since is not None:
        query = query.where(audit.c.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(audit.c.at < wanted.until)

    async def work(connection: AsyncConnection) -> list[AuditEntry]:
        return [AuditEntry._make(row) for row in await connection.execute(query)]

    return await database.read(work)
