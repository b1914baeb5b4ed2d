"""One migration of a database at a time, across hosts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ..errors import Unavailable
from .differences import lock_timeouts, set_session, statement_timeouts
from .freshness import IDLE_TIMEOUT_VARIABLE, OCEANBASE

# A migration waits this long for another migration of the same database.
MIGRATION_WAIT_SECONDS: Final = 600
# It waits less for a transaction that uses a table to be changed: others queue behind the migration meanwhile.
TABLE_WAIT_SECONDS: Final = 30
# A lock's name has at most 64 characters, and so has a database's: hence the hash.
_NAME: Final = "CONCAT('myaccount.', MD5(DATABASE()))"
# As good as no limit. A command's output may pause for hours, while a person reads it page by page.
LONG_TIMEOUT_SECONDS: Final = 86_400


async def lift_timeouts(connection: AsyncConnection) -> None:
    """Allow long statements, and long pauses between them, until the connection is closed."""
    if connection.dialect.name != "sqlite":
        idle_timeout = {connection.info[IDLE_TIMEOUT_VARIABLE]: LONG_TIMEOUT_SECONDS}
        statements = statement_timeouts(LONG_TIMEOUT_SECONDS, oceanbase=connection.info[OCEANBASE])
        await connection.exec_driver_sql(set_session(idle_timeout | statements))


@asynccontextmanager
async def migration_lock(connection: AsyncConnection) -> AsyncIterator[None]:
    """Hold the migration lock within the context.

    SQLite's lock is the transaction itself, whose wait is made longer here. Raises Unavailable if another
    migration takes too long, and the driver's own errors.
    """
    cursor = await (await connection.get_raw_connection()).driver_connection.cursor()  # type: ignore[union-attr]
    if connection.dialect.name == "sqlite":
        await cursor.execute(f"PRAGMA busy_timeout = {MIGRATION_WAIT_SECONDS * 1000}")
        await cursor.close()
        yield
        return
    oceanbase = connection.info[OCEANBASE]
    # OceanBase's limit for lock waits applies to GET_LOCK as well.
    waits = lock_timeouts(MIGRATION_WAIT_SECONDS, oceanbase=oceanbase)
    waits |= statement_timeouts(LONG_TIMEOUT_SECONDS, oceanbase=oceanbase)
    await cursor.execute(set_session({connection.info[IDLE_TIMEOUT_VARIABLE]: LONG_TIMEOUT_SECONDS} | waits))
    await cursor.execute(f"SELECT GET_LOCK({_NAME}, {MIGRATION_WAIT_SECONDS})")
    (locked,) = await cursor.fetchone()
    if not locked:
        raise Unavailable(
            f"The database {connection.engine.url.database} has been migrated by another program for "
            f"{MIGRATION_WAIT_SECONDS} seconds. Run it again when that is done."
        )
    try:
        await cursor.execute(set_session(lock_timeouts(TABLE_WAIT_SECONDS, oceanbase=oceanbase)))
        yield
    finally:
        # OceanBase keeps the lock when the connection closes. The others free it, also when a connection is lost.
        with suppress(Exception):
            await cursor.execute(f"SELECT RELEASE_LOCK({_NAME})")
