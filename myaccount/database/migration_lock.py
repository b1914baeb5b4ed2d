"""One migration of a database at a time, from whichever host."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ..errors import Unavailable
from .differences import lock_timeouts, set_session, statement_timeouts
from .freshness import OCEANBASE, SILENCE_VARIABLE

# A migration waits so long for another's of the same database,
MIGRATION_WAIT_SECONDS: Final = 600
# and so long for a transaction that is open on a table that it changes: all others would queue up behind it.
TABLE_WAIT_SECONDS: Final = 30
# A lock's name has 64 characters at most, which a database's alone may have.
_NAME: Final = "CONCAT('myaccount.', MD5(DATABASE()))"
# Longer than a person lets the output of a long command wait.
PATIENCE_SECONDS: Final = 86_400


async def allow_silence(connection: AsyncConnection) -> None:
    """Let the connection's statements, and the pauses between them, be long until it is closed."""
    if connection.dialect.name != "sqlite":
        silence = {connection.info[SILENCE_VARIABLE]: PATIENCE_SECONDS}
        long_statements = statement_timeouts(PATIENCE_SECONDS, oceanbase=connection.info[OCEANBASE])
        await connection.exec_driver_sql(set_session(silence | long_statements))


@asynccontextmanager
async def only_migration(connection: AsyncConnection) -> AsyncIterator[None]:
    """Have the connection's next transaction be the only migration.

    SQLite's transaction is a lock by itself, and only waits for another's. Raises Unavailable if the server's lock
    was not to be had, and the driver's own errors.
    """
    cursor = await (await connection.get_raw_connection()).driver_connection.cursor()  # type: ignore[union-attr]
    if connection.dialect.name == "sqlite":
        await cursor.execute(f"PRAGMA busy_timeout = {MIGRATION_WAIT_SECONDS * 1000}")
        await cursor.close()
        yield
        return
    oceanbase = connection.info[OCEANBASE]
    # On OceanBase the time limit of locks ends GET_LOCK as well.
    waits = lock_timeouts(MIGRATION_WAIT_SECONDS, oceanbase=oceanbase)
    waits |= statement_timeouts(PATIENCE_SECONDS, oceanbase=oceanbase)
    await cursor.execute(set_session({connection.info[SILENCE_VARIABLE]: PATIENCE_SECONDS} | waits))
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
        # OceanBase keeps the lock beyond the end of the connection. Elsewhere it ends with a lost connection.
        with suppress(Exception):
            await cursor.execute(f"SELECT RELEASE_LOCK({_NAME})")
