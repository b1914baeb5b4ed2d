"""Whether the database takes writes, found out without changing anything in it or keeping anyone waiting."""

import sqlite3
from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from .round_trips import is_sqlite

_READ_ONLY: Final = "it is read only. Name the server that takes writes, or end its read_only"
_NO_PERMISSION: Final = "its user may not write. Grant SELECT, INSERT, UPDATE and DELETE on its tables"
# What to do about the errors with which MySQL and MariaDB refuse a write; others are told in the server's words.
_REFUSALS: Final = {
    1665: "its binlog_format is STATEMENT, which cannot log what READ COMMITTED writes."
    " Set binlog_format to ROW or MIXED",
    **dict.fromkeys((1290, 1792, 1836), _READ_ONLY),
    **dict.fromkeys((1044, 1142, 1143), _NO_PERMISSION),
}

# For a server. It changes no row, locks none and leaves nothing in a log; but a server that takes no writes, or
# none of ours, refuses it, whatever the reason.
_WRITE: Final = "UPDATE account SET floor = floor WHERE id = 0"
# The embedded file keeps this number for its program, and ours does not use it. To set it commits a page to the
# disk, even if the number stays as it is.
_NUMBER: Final = "PRAGMA user_version"
# How long the embedded file's lock is waited for: whoever has it writes, and that was the question.
_BUSY_TIMEOUT: Final = "PRAGMA busy_timeout = 50"


async def find_refusal(connection: AsyncConnection) -> str | None:
    """Return why the database takes no writes, and what to do about it; None if it takes them."""
    return await (_sqlite_refusal if is_sqlite(connection) else _mysql_refusal)(connection)


async def _mysql_refusal(connection: AsyncConnection) -> str | None:
    try:
        await connection.exec_driver_sql(_WRITE)
    except DBAPIError as error:
        # Its number and the server's words.
        number, *words = getattr(error.orig, "args", None) or (0,)
        # A server that is read only answers, although its connections are replaced.
        if error.connection_invalidated and number not in _REFUSALS:
            raise
        return _REFUSALS.get(number) or str(words[0] if words else error)
    # Committed, it would be in some servers' binary logs.
    await connection.rollback()
    return None


async def _sqlite_refusal(connection: AsyncConnection) -> str | None:
    # Past SQLAlchemy, which would begin a transaction and hold the lock until it ends it.
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None  # noqa: S101 - a connection in use has one
    await driver.execute_fetchall(_BUSY_TIMEOUT)
    try:
        ((number,),) = await driver.execute_fetchall(_NUMBER)
        await driver.execute_fetchall(f"{_NUMBER} = {number}")
    except sqlite3.OperationalError as error:
        # The lower byte: the others say what kind of busy it is.
        return None if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY else str(error)
    return None
