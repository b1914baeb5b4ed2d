"""SQLAlchemy's engines for either database, set up so that both behave as the service needs."""

from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from ..settings.servers import MysqlConfig, tls_context
from .freshness import Freshness
from .server_differences import LOCK_TIMEOUT_SECONDS, set_session

# A request that gets no connection within this time is refused.
POOL_TIMEOUT_SECONDS: Final = 1

# Set in each session, whatever the server's own settings are.
SESSION: Final[dict[str, str | int]] = {
    "sql_mode": "'STRICT_ALL_TABLES'",
    # MariaDB cuts JSON_ARRAYAGG at this length, sometimes into valid JSON.
    "group_concat_max_len": 2**30,
}


def mysql_engine(config: MysqlConfig, connections: int, freshness: Freshness) -> AsyncEngine:
    # Imported only where it is used: the embedded service needs no driver for servers.
    from .server_connection import connect

    socket = {"unix_socket": config["unix_socket"]} if "unix_socket" in config else {}
    url = URL.create(
        "mysql+aiomysql",
        username=config["user"],
        # Servers keep the hash of the password's UTF-8, but aiomysql encodes a password as Latin-1. Decoded like
        # this, it is sent as UTF-8.
        password=config["password"].encode().decode("latin-1"),
        host=config.get("host"),
        port=config.get("port"),
        database=config["db"],
        query={"charset": "utf8mb4", **socket},
    )
    engine = create_async_engine(
        url,
        isolation_level="READ COMMITTED",
        # Connections stay open: opening one costs more than a query.
        pool_size=connections,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        # We end every transaction ourselves, so no reset on return. No ping before use either: after a lost
        # connection the transaction is run again, and `freshness` replaces stale connections.
        pool_reset_on_return=None,
        # Errors are logged, and parameters contain card numbers.
        hide_parameters=True,
        connect_args={
            "async_creator_fn": connect,
            "ssl": tls_context(config),
            "connect_timeout": config["connect_timeout"],
            "init_command": set_session(SESSION),
        },
    )
    freshness.watch(engine.sync_engine)
    return engine


def sqlite_engine(file: Path, connections: int) -> AsyncEngine:
    from .file_connection import connect

    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(file)),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        pool_reset_on_return=None,
        hide_parameters=True,
        # The listener below begins transactions, never the driver by itself. The timeout, in seconds, is how long
        # an attempt waits for another program's lock on the file.
        connect_args={
            "async_creator_fn": connect,
            "isolation_level": None,
            "timeout": LOCK_TIMEOUT_SECONDS,
        },
    )

    @event.listens_for(engine.sync_engine, "connect")
    def set_up(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        # A commit is on the disk before it is answered (promise 4).
        cursor.execute("PRAGMA synchronous = FULL")
        # For macOS, where a disk may otherwise keep a commit in its own cache.
        cursor.execute("PRAGMA fullfsync = ON")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        # A writer takes the lock at once: after a read, SQLite may refuse it.
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine
