"""Whether the database can do its work, found out without leaving anything in it or keeping anyone waiting."""

import sqlite3
from typing import Final, NamedTuple

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from .migrations import head_version, read_version
from .turns import is_sqlite

OK: Final = "ok"

# It changes no row, locks none and leaves nothing in a log; but a server that takes no writes, or none of ours,
# refuses it, whatever the reason.
_WRITE: Final = "UPDATE account SET floor = floor WHERE id = 0"
# How long the embedded file's lock is waited for: whoever has it writes, and that was the question.
_BUSY_TIMEOUT: Final = "PRAGMA busy_timeout = 50"


class DatabaseHealth(NamedTuple):
    """Of the database and its schema, "ok" or what is wrong."""

    database: str
    schema: str


async def find_health(connection: AsyncConnection) -> DatabaseHealth:
    """Return what is wrong with a database that answers. Raises DBAPIError if it does not."""
    version = await connection.run_sync(read_version)
    await connection.rollback()
    if version != head_version():
        return DatabaseHealth(OK, f"at version {version or 'none'}, not {head_version()}")
    writable = await (_sqlite_takes_writes if is_sqlite(connection) else _mysql_takes_writes)(connection)
    return DatabaseHealth(OK if writable else "not writable", OK)


async def _mysql_takes_writes(connection: AsyncConnection) -> bool:
    try:
        await connection.exec_driver_sql(_WRITE)
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        return False
    # Committed, it would be in some servers' binary logs.
    await connection.rollback()
    return True


async def _sqlite_takes_writes(connection: AsyncConnection) -> bool:
    # Past SQLAlchemy, which would begin a transaction and hold the lock until it ends it.
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None  # noqa: S101 - a connection in use has one
    await driver.execute_fetchall(_BUSY_TIMEOUT)
    try:
        await driver.execute_fetchall(_WRITE)
    except sqlite3.OperationalError as error:
        # The lower byte: the others say what kind of busy it is.
        return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
    return True
