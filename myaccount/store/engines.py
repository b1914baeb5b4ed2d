"""SQLAlchemy's engines for either database, set up so that both behave as the service needs."""

from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, event
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from ..settings import MysqlConfig

# How long an attempt waits for a row that another program's transaction holds.
LOCK_TIMEOUT_SECONDS: Final = 2
# A request that has waited this long for a connection is one too many.
POOL_TIMEOUT_SECONDS: Final = 1


def mysql_engine(config: MysqlConfig, connections: int) -> AsyncEngine:
    url = URL.create(
        "mysql+aiomysql",
        username=config["user"],
        # aiomysql writes a password in Latin-1, whatever the charset. This way it writes the password's UTF-8,
        # of which servers keep the hash.
        password=config["password"].encode().decode("latin-1"),
        host=config["host"],
        port=config["port"],
        database=config["db"],
        query={"charset": "utf8mb4"},
    )
    engine = create_async_engine(
        url,
        isolation_level="READ COMMITTED",
        # All are kept once they were needed: one that is closed after each use costs more than its query.
        pool_size=connections,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        # Each transaction is ended by us, so a connection that comes back has nothing to undo; and one that
        # was lost meanwhile shows as an error that is tried again. Neither is asked of the server each time.
        pool_reset_on_return=None,
        # Below every usual wait_timeout, so that the server never hangs up first.
        pool_recycle=300,
        # Parameters hold card numbers, and errors reach the log.
        hide_parameters=True,
        connect_args={
            "connect_timeout": config["connect_timeout"],
            "init_command": f"SET SESSION sql_mode = 'STRICT_ALL_TABLES', "
            f"SESSION innodb_lock_wait_timeout = {LOCK_TIMEOUT_SECONDS}",
        },
    )

    @event.listens_for(engine.sync_engine, "handle_error")
    def throw_away(context: ExceptionContext) -> None:
        # So the driver says that it has closed the connection; SQLAlchemy would keep it in the pool.
        if isinstance(context.original_exception, engine.dialect.loaded_dbapi.InterfaceError):
            context.is_disconnect = True

    return engine


def sqlite_engine(file: Path, connections: int) -> AsyncEngine:
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(file)),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        hide_parameters=True,
        # Transactions are begun by the listener below, never by the driver on its own; the timeout, in
        # seconds, is how long an attempt waits for another program to let go of the file.
        connect_args={"isolation_level": None, "timeout": LOCK_TIMEOUT_SECONDS},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def set_up(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        # A commit is on the disk before it is answered (promise 4).
        cursor.execute("PRAGMA synchronous = FULL")
        # On macOS alone, where a disk may otherwise keep it in its own memory.
        cursor.execute("PRAGMA fullfsync = ON")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        # A writer takes the lock at once: one that read first could not get it any more.
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine
