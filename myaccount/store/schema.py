"""The schema at start: made where it is ours to make, and otherwise asked for."""

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from ..ledger.errors import Unavailable
from ..model.schema import create_tables, has_external_account, missing_columns, missing_tables
from ..resources import resource
from .database import Database


class DatabaseNotReady(Exception):
    """The service cannot start on this database; the text says what to do."""


async def prepare_schema(database: Database, *, embedded: bool) -> None:
    """Create the embedded file's tables; see that the database has all that is ours.

    Raises DatabaseNotReady if it lacks something, or cannot be reached.
    """
    try:
        if embedded:
            await database.write(lambda connection: connection.run_sync(create_tables))
        missing = await database.read(missing_from)
    except Unavailable:
        raise DatabaseNotReady(
            f"the database {database.name} cannot be reached or does not let us in; the log above tells why"
        ) from None
    if missing and embedded:
        raise DatabaseNotReady(f"{database.name} is an earlier version's: it lacks {missing}. Move it elsewhere.")
    if missing:
        raise DatabaseNotReady(
            f"the database {database.name} lacks {missing}. "
            f"Set it up with:  mariadb {database.name} < {resource('sql/sql.sql')}"
        )


async def missing_from(connection: AsyncConnection) -> str:
    """Return what the schema lacks, in words, or nothing."""
    return await connection.run_sync(_missing)


def _missing(connection: Connection) -> str:
    if tables := missing_tables(connection):
        return f"the tables {', '.join(tables)}"
    if columns := missing_columns(connection):
        return f"the columns {', '.join(columns)}"
    return "" if has_external_account(connection) else "the external account, row 1 of the table account"
