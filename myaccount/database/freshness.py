"""Which pooled connections to MySQL or MariaDB may still be used.

A failover may leave connections to a server that is alive and no longer the writer. Reads from it would be stale.
So a connection proves once a second that its server takes writes, and an error that says otherwise replaces the
connections of every pool.
"""

import time
from typing import Any, Final

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.exc import DisconnectionError, InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

from .differences import (
    FIND_VARIABLES,
    LOCK_TIMEOUT_SECONDS,
    OCEANBASE_LOCK_TIMEOUT,
    TIDB_MODE,
    lock_timeouts,
    set_session,
    silence_variable,
)
from .error_kinds import ErrorKind, kind_of
from .round_trips import PACKET_LIMIT

# The server ends a transaction that is silent for so long: the locks of a process that was stopped are free again.
SILENCE_SECONDS: Final = 5
# How a connection's `info` names the session's variable that bounds its silence.
SILENCE_VARIABLE: Final = "silence_variable"
# How old the proof may be that the server takes writes.
PROOF_SECONDS: Final = 1.0
# How it says whether the server has OceanBase's variables.
OCEANBASE: Final = "oceanbase"
# And whether SKIP LOCKED locks the rows that it returns.
SKIPS_LOCKED: Final = "skips_locked"
# It changes no row and locks none, but a server that is not the writer refuses it.
_PROOF: Final = "UPDATE account SET floor = floor WHERE id = 0"


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
        silence = silence_variable(variables)
        closed_seconds = SILENCE_SECONDS if silence == "wait_timeout" else int(variables["wait_timeout"])
        oceanbase = OCEANBASE_LOCK_TIMEOUT in variables
        waits = lock_timeouts(LOCK_TIMEOUT_SECONDS, oceanbase=oceanbase)
        cursor.execute(set_session({silence: SILENCE_SECONDS} | waits))
        cursor.close()
        now = time.monotonic()
        record.info.update(
            {
                PACKET_LIMIT: int(variables["max_allowed_packet"]),
                SILENCE_VARIABLE: silence,
                OCEANBASE: oceanbase,
                SKIPS_LOCKED: TIDB_MODE not in variables,
                "closed_after_seconds": closed_seconds,
                "connected_at": now,
                "used_at": now,
                "proved_at": now,
            }
        )

    def _checked_out(self, connection: DBAPIConnection, record: ConnectionPoolEntry, proxy: object) -> None:
        now = time.monotonic()
        if record.info["connected_at"] <= self._replaced_at:
            raise DisconnectionError
        never_used = record.info["used_at"] == record.info["connected_at"]
        if not never_used and now - record.info["proved_at"] > PROOF_SECONDS:
            self._prove(connection)
            record.info["proved_at"] = now

    def _closing(self, connection: Any, record: ConnectionPoolEntry) -> None:
        # SQLAlchemy would say good-bye to a server that has closed the connection, and log that as an error.
        if "used_at" in record.info:
            idle_seconds = time.monotonic() - record.info["used_at"]
            if idle_seconds > record.info["closed_after_seconds"] - 1:
                connection.driver_connection.close()

    def _checked_in(self, connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info["used_at"] = time.monotonic()

    def _failed(self, context: ExceptionContext) -> None:
        error = context.original_exception
        if kind_of(error) is ErrorKind.READ_ONLY:
            self.replace_all()
            context.is_disconnect = True
        # So the driver says that it has closed the connection; SQLAlchemy would keep it in the pool.
        elif context.dialect.loaded_dbapi and isinstance(error, context.dialect.loaded_dbapi.InterfaceError):
            context.is_disconnect = True

    def _prove(self, connection: Any) -> None:
        """Raise InvalidatePoolError if the connection's server takes no writes, or the connection is lost.

        A new connection is used once without a proof: so a database that is read-only everywhere can be read.
        """
        cursor = connection.cursor()
        try:
            cursor.execute(_PROOF)
            connection.rollback()
        except Exception as error:
            if kind_of(error) is ErrorKind.LOCKED:
                # The table is locked, by a backup for instance, and can be read.
                return
            if kind_of(error) is ErrorKind.READ_ONLY:
                self.replace_all()
            raise InvalidatePoolError from error
        finally:
            cursor.close()
