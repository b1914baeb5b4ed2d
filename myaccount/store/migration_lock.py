"""One migration of a database at a time, from whichever host."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ..ledger.errors import Unavailable
from .freshness import OCEANBASE, SILENCE_VARIABLE
from .lock_timeouts import lock_timeouts, set_session

# A migration waits so long for another's of the same database,
MIGRATION_WAIT_SECONDS: Final = 600
# and so long for a transaction that is open on a table that it changes: all others would queue up behind it.
TABLE_WAIT_SECONDS: Final = 30
# Longer than a person lets the output of a long command wait.
PATIENCE_SECONDS: Final = 86_400


async def allow_silence(connection: AsyncConnection) -> None:
    """Let the connection be silent for long in its transaction, until it is closed."""
    if connection.dialect.name != "sqlite":
        await connection.exec_driver_sql(f"SET SESSION {connection.info[SILENCE_VARIABLE]} = {PATIENCE_SECONDS}")


async def lock_out_others(connection: AsyncConnection) -> None:
    """Have the connection's next transaction be the only migration, until the connection is closed.

    SQLite's transaction is a lock by itself, and only waits for another's. Raises Unavailable if MySQL's or
    MariaDB's lock was not to be had, and the driver's own errors.
    """
    cursor = await (await connection.get_raw_connection()).driver_connection.cursor()  # type: ignore[union-attr]
    if connection.dialect.name == "sqlite":
        await cursor.execute(f"PRAGMA busy_timeout = {MIGRATION_WAIT_SECONDS * 1000}")
        await cursor.close()
        return
    waits = lock_timeouts(TABLE_WAIT_SECONDS, oceanbase=connection.info[OCEANBASE])
    await cursor.execute(set_session({connection.info[SILENCE_VARIABLE]: PATIENCE_SECONDS} | waits))
    # A lock's name has 64 characters at most, which a database's alone may have.
    await cursor.execute(f"SELECT GET_LOCK(CONCAT('myaccount.', MD5(DATABASE())), {MIGRATION_WAIT_SECONDS})")
    (locked,) = await cursor.fetchone()
    await cursor.close()
    if not locked:
        raise Unavailable(
            f"The database {connection.engine.url.database} has been migrated by another program for "
            f"{MIGRATION_WAIT_SECONDS} seconds. Run it again when that is done."
        )
