"""The database at start: the embedded file is upgraded, and a server must have this program's schema."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database
from ..database.embedded_file import refuse_if_served
from ..database.error_texts import reason_of
from ..database.retries import TRANSACTION_TIMEOUT_SECONDS
from ..database.start_errors import DatabaseAway, DatabaseNotReady, MigrationNeeded
from ..database.writability import find_refusal
from ..errors import Unavailable
from ..model.ledger import EXTERNAL_ACCOUNT, EXTERNAL_ACCOUNT_ID, account
from .runner import Report, head_version, known_versions, read_version, upgrade

_logger = logging.getLogger(__name__)

Result = TypeVar("Result")


async def prepare_schema(database: Database) -> None:
    """Upgrade the embedded file, or check a server's version; then check that the database takes writes.

    Raises DatabaseNotReady, with the reason why the service cannot start: MigrationNeeded, if a migration helps,
    and DatabaseAway, if it may be able to later.
    """
    version = await schema_version(database)
    if version != head_version() and not database.embedded:
        has = f"is at version {version}" if version else "has no schema yet"
        raise MigrationNeeded(
            f"the database {database.place} {has}, and this program needs version {head_version()}. "
            "Run:  myaccount migrate -c FILE"
        )
    if version != head_version():
        try:
            await migrate_schema(database, _logger.info)
        except Unavailable as error:
            raise DatabaseNotReady(f"the database {database.place}: {error}") from None
    refusal = await _probe(database, find_refusal)
    if refusal:
        raise DatabaseNotReady(f"the database {database.place} takes no writes: {refusal}.")
    if not await _probe(database, lambda connection: connection.run_sync(_has_external_account)):
        raise DatabaseNotReady(
            f"the database {database.place} lacks the external account, row 1 of the table account. "
            "Restore it from a backup."
        )


async def find_schema_time(connection: AsyncConnection) -> datetime:
    """Return when the schema was made, which identifies the database: a replica has the same time."""
    made_at = select(account.c.created_at).where(account.c.id == EXTERNAL_ACCOUNT)
    found: datetime = (await connection.execute(made_at)).scalar_one()
    return found


async def migrate_schema(database: Database, report: Report) -> list[str]:
    """Upgrade the schema to this program's version; return the versions applied.

    Raises DatabaseNotReady if the migrations cannot start from what the database holds, or if another process,
    which may be an older program, serves the embedded file. Raises Unavailable if the database fails; the next run
    continues from there.
    """
    if await schema_version(database) == head_version():
        return []
    if database.embedded:
        refuse_if_served(Path(database.name))
    return await database.migrate(lambda connection: upgrade(connection, report))


async def schema_version(database: Database) -> str | None:
    """Return the version of the database's schema, or None if it has none.

    Raises DatabaseNotReady if this program does not know it, or if the database cannot be reached.
    """
    version = await _probe(database, lambda connection: connection.run_sync(read_version))
    if version is not None and version not in known_versions():
        raise DatabaseNotReady(
            f"the database {database.place} is at version {version}, and this program is older: it knows those up "
            f"to {head_version()}. Install the program for which the database was migrated, or a newer one."
        )
    return version


async def _probe(database: Database, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
    """Return what `work` returns. Raises DatabaseAway, with the reason, if the database fails."""
    try:
        async with asyncio.timeout(TRANSACTION_TIMEOUT_SECONDS):
            return await database.probe(work)
    except TimeoutError:
        reason = f"it did not answer within {TRANSACTION_TIMEOUT_SECONDS} seconds"
    except (DBAPIError, OSError) as error:
        reason = reason_of(error)
    raise DatabaseAway(
        f"the database {database.place} cannot be used: {reason}. "
        "Check the database, and the configuration that names it."
    )


def _has_external_account(connection: Connection) -> bool:
    account_id = select(account.c.account_id).where(account.c.id == EXTERNAL_ACCOUNT)
    return connection.scalar(account_id) == EXTERNAL_ACCOUNT_ID
