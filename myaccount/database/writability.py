"""Whether the database takes writes, found out without changing its data or blocking anyone."""

import sqlite3
from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from .error_kinds import ErrorKind, kind_of
from .pipeline import is_sqlite

_READ_ONLY: Final = "it is read only. Name the server that takes writes, or end its read_only"
_NO_PERMISSION: Final = "its user may not write. Grant SELECT, INSERT, UPDATE and DELETE on its tables"
# What to do about other errors with which MySQL and MariaDB refuse a write. The rest keep the server's message.
_REFUSALS: Final = {
    1665: "its binlog_format is STATEMENT, which cannot log what READ COMMITTED writes."
    " Set binlog_format to ROW or MIXED",
    **dict.fromkeys((1044, 1142, 1143), _NO_PERMISSION),
}

# A write without effect: it matches no row, takes no lock and is rolled back. A read-only server, or one that
# denies this user writes, still refuses it.
NO_OP_WRITE: Final = "UPDATE account SET floor = floor WHERE id = 0"
# A number that SQLite keeps for programs; ours does not use it. Setting it commits a page to the disk, even if the
# number stays the same.
_NUMBER: Final = "PRAGMA user_version"
# A short wait for the embedded file's lock: if another connection has it, the file evidently takes writes.
_BUSY_TIMEOUT: Final = "PRAGMA busy_timeout = 50"


async def find_refusal(connection: AsyncConnection) -> str | None:
    """Return why the database takes no writes, and what to do about it; None if it takes them."""
    return await (_sqlite_refusal if is_sqlite(connection) else _mysql_refusal)(connection)


async def _mysql_refusal(connection: AsyncConnection) -> str | None:
    try:
        await connection.exec_driver_sql(NO_OP_WRITE)
    except DBAPIError as error:
        # The error's number and the server's message.
        number, *words = getattr(error.orig, "args", None) or (0,)
        refusal = _READ_ONLY if kind_of(error) is ErrorKind.READ_ONLY else _REFUSALS.get(number)
        # A read-only error also invalidates its connection, and yet it is an answer.
        if error.connection_invalidated and refusal is None:
            raise
        return refusal or str(words[0] if words else error)
    # Some servers would log a commit in their binary log.
    await connection.rollback()
    return None


async def _sqlite_refusal(connection: AsyncConnection) -> str | None:
    # Without SQLAlchemy, which would begin a transaction and keep the lock until its end.
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None  # noqa: S101 - a connection in use has one
    await driver.execute_fetchall(_BUSY_TIMEOUT)
    try:
        ((number,),) = await driver.execute_fetchall(_NUMBER)
        await driver.execute_fetchall(f"{_NUMBER} = {number}")
    except sqlite3.OperationalError as error:
        # The lowest byte is the primary code; the others are details.
        return None if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY else str(error)
    return None
