"""Which pooled connections to MySQL or MariaDB may still be used.

After a failover, connections may lead to a server that is alive but not the writer any more. Its data would be
stale. So each connection is checked once a second: does its server take writes? If not, the connections of every
pool are replaced.
"""

import time
from typing import Any, Final

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.exc import DisconnectionError, InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

from .error_kinds import ErrorKind, kind_of
from .pipeline import PACKET_LIMIT
from .server_differences import (
    FIND_VARIABLES,
    LOCK_TIMEOUT_SECONDS,
    MARIADB_LIST_LIMIT,
    OCEANBASE_LOCK_TIMEOUT,
    TIDB_MODE,
    idle_timeout_variable,
    lock_timeouts,
    set_session,
)
from .writability import NO_OP_WRITE

# The server ends a transaction that sends nothing for this long, which frees the locks of a stopped process.
IDLE_TIMEOUT_SECONDS: Final = 5
# A connection is used without a new check for this long.
CHECKED_SECONDS: Final = 1.0

# Keys of a connection's `info`.
# The session variable of the idle timeout.
IDLE_TIMEOUT_VARIABLE: Final = "idle_timeout_variable"
# Whether the server is OceanBase.
OCEANBASE: Final = "oceanbase"
# Whether SKIP LOCKED locks the rows that it returns.
SKIPS_LOCKED: Final = "skips_locked"


class Freshness:
    """Watches the connections of several pools."""

    def __init__(self) -> None:
        self._replaced_at = 0.0

    def watch(self, engine: Engine) -> None:
        event.listen(engine, "connect", self._connected)
        event.listen(engine, "checkout", self._checked_out)
        event.listen(engine, "checkin", self._checked_in)
        event.listen(engine, "close", self._closing)
        event.listen(engine, "handle_error", self._failed)

    def replace_all(self) -> None:
        """Have every connection that is open now replaced before its next use."""
        self._replaced_at = time.monotonic()

    def _connected(self, connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute(FIND_VARIABLES)
        variables = dict(cursor.fetchall())
        idle_timeout = idle_timeout_variable(variables)
        closed_seconds = IDLE_TIMEOUT_SECONDS if idle_timeout == "wait_timeout" else int(variables["wait_timeout"])
        oceanbase = OCEANBASE_LOCK_TIMEOUT in variables
        waits = lock_timeouts(LOCK_TIMEOUT_SECONDS, oceanbase=oceanbase)
        no_limit = {MARIADB_LIST_LIMIT: 0} if MARIADB_LIST_LIMIT in variables else {}
        cursor.execute(set_session({idle_timeout: IDLE_TIMEOUT_SECONDS} | waits | no_limit))
        cursor.close()
        now = time.monotonic()
        record.info.update(
            {
                PACKET_LIMIT: int(variables["max_allowed_packet"]),
                IDLE_TIMEOUT_VARIABLE: idle_timeout,
                OCEANBASE: oceanbase,
                SKIPS_LOCKED: TIDB_MODE not in variables,
                "closed_after_seconds": closed_seconds,
                "connected_at": now,
                "used_at": now,
                "checked_at": now,
            }
        )

    def _checked_out(self, connection: DBAPIConnection, record: ConnectionPoolEntry, proxy: object) -> None:
        now = time.monotonic()
        if record.info["connected_at"] <= self._replaced_at:
            raise DisconnectionError
        never_used = record.info["used_at"] == record.info["connected_at"]
        if not never_used and now - record.info["checked_at"] > CHECKED_SECONDS:
            self._check(connection)
            record.info["checked_at"] = now

    def _closing(self, connection: Any, record: ConnectionPoolEntry) -> None:
        # SQLAlchemy would send a farewell to a server that has closed the connection, and log that this failed.
        if "used_at" in record.info:
            idle_seconds = time.monotonic() - record.info["used_at"]
            if idle_seconds > record.info["closed_after_seconds"] - 1:
                connection.driver_connection.close()

    def _checked_in(self, connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info["used_at"] = time.monotonic()

    def _failed(self, context: ExceptionContext) -> None:
        error = context.original_exception
        # The driver's way to say that it has closed the connection. SQLAlchemy alone would keep it in the pool.
        if context.dialect.loaded_dbapi and isinstance(error, context.dialect.loaded_dbapi.InterfaceError):
            context.is_disconnect = True

    def _check(self, connection: Any) -> None:
        """Raise InvalidatePoolError if the connection's server takes no writes, or the connection is lost.

        The first use of a connection goes unchecked, so that a database that is read-only everywhere can be read.
        """
        cursor = connection.cursor()
        try:
            cursor.execute(NO_OP_WRITE)
            connection.rollback()
        except Exception as error:
            if kind_of(error) is ErrorKind.LOCKED:
                # The table is locked, for instance by a backup, and can be read.
                return
            if kind_of(error) is ErrorKind.READ_ONLY:
                self.replace_all()
            raise InvalidatePoolError from error
        finally:
            cursor.close()
