"""One migration of a database at a time, across hosts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ..errors import Unavailable
from .error_kinds import ErrorKind, is_missing_table, kind_of
from .freshness import IDLE_TIMEOUT_VARIABLE, OCEANBASE
from .pipeline import is_sqlite
from .server_differences import lock_timeouts, set_session, statement_timeouts

# A migration waits this long for another migration of the same database.
MIGRATION_WAIT_SECONDS: Final = 600
# The wait for a table that is in use is shorter, because other statements queue behind it.
TABLE_WAIT_SECONDS: Final = 30
# How often, and after which pause, the lock's table is looked for.
TABLE_ATTEMPTS: Final = 50
TABLE_PAUSE_SECONDS: Final = 0.2
# A lock's name has at most 64 characters, and so has a database's: hence the hash.
_NAME: Final = "CONCAT('myaccount.', MD5(DATABASE()))"
# In practice no limit: output in a pager may pause a command for hours.
LONG_TIMEOUT_SECONDS: Final = 86_400


async def lift_timeouts(connection: AsyncConnection) -> None:
    """Allow long statements, and long pauses between them, until the connection is closed."""
    if not is_sqlite(connection):
        await connection.exec_driver_sql(set_session(_long_timeouts(connection)))


def _long_timeouts(connection: AsyncConnection) -> dict[str, int]:
    """Return the session variables that limit statements and the pauses between them, with long limits."""
    idle_timeout: dict[str, int] = {connection.info[IDLE_TIMEOUT_VARIABLE]: LONG_TIMEOUT_SECONDS}
    return idle_timeout | statement_timeouts(LONG_TIMEOUT_SECONDS, oceanbase=connection.info[OCEANBASE])


@asynccontextmanager
async def migration_lock(connection: AsyncConnection, other_engine: AsyncEngine) -> AsyncIterator[None]:
    """Hold the migration lock within the context; OceanBase's is held on a connection of `other_engine`.

    SQLite's lock is the transaction itself, whose wait is made longer here. Raises Unavailable if another
    migration takes too long, and the driver's own errors.
    """
    cursor = await (await connection.get_raw_connection()).driver_connection.cursor()  # type: ignore[union-attr]
    if is_sqlite(connection):
        await cursor.execute(f"PRAGMA busy_timeout = {MIGRATION_WAIT_SECONDS * 1000}")
        await cursor.close()
        yield
        return
    oceanbase = connection.info[OCEANBASE]
    waits = lock_timeouts(TABLE_WAIT_SECONDS, oceanbase=oceanbase)
    await cursor.execute(set_session(_long_timeouts(connection) | waits))
    async with _row_lock(other_engine) if oceanbase else _named_lock(connection, cursor):
        yield


@asynccontextmanager
async def _named_lock(connection: AsyncConnection, cursor: Any) -> AsyncIterator[None]:
    await cursor.execute(f"SELECT GET_LOCK({_NAME}, {MIGRATION_WAIT_SECONDS})")
    (locked,) = await cursor.fetchone()
    if not locked:
        raise _waited_too_long(connection.engine)
    try:
        yield
    finally:
        # A lost connection has freed it.
        with suppress(Exception):
            await cursor.execute(f"SELECT RELEASE_LOCK({_NAME})")


@asynccontextmanager
async def _row_lock(engine: AsyncEngine) -> AsyncIterator[None]:
    """OceanBase's GET_LOCK lets several sessions in that ask for a new lock at once.

    So the lock is a row. It is locked on a connection of its own, because each change of a table ends the
    transaction of the connection that makes it.
    """
    async with engine.connect() as connection:
        try:
            waits = lock_timeouts(MIGRATION_WAIT_SECONDS, oceanbase=True)
            await connection.exec_driver_sql(set_session(_long_timeouts(connection) | waits))
            await _lock_row(connection)
            yield
        finally:
            # Closing the connection frees the lock and drops the session's settings.
            await connection.invalidate()


async def _lock_row(connection: AsyncConnection) -> None:
    for attempt in range(1, TABLE_ATTEMPTS + 1):
        await connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS migration_lock (id INT PRIMARY KEY)")
        try:
            # It locks the row, whether it is new or not.
            await connection.exec_driver_sql("REPLACE INTO migration_lock VALUES (1)")
            return
        except DBAPIError as error:
            if kind_of(error) is ErrorKind.LOCKED:
                raise _waited_too_long(connection.engine) from None
            # A table that another session has just made may not be seen yet.
            if not is_missing_table(error) or attempt == TABLE_ATTEMPTS:
                raise
        await asyncio.sleep(TABLE_PAUSE_SECONDS)


def _waited_too_long(engine: AsyncEngine) -> Unavailable:
    return Unavailable(
        f"The database {engine.url.database} has been migrated by another program for "
        f"{MIGRATION_WAIT_SECONDS} seconds. Run it again when that is done."
    )
