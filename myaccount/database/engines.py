"""SQLAlchemy's engines for either database, set up so that both behave as the service needs."""

from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from ..settings.schema import MysqlConfig
from .differences import LOCK_TIMEOUT_SECONDS, set_session
from .freshness import Freshness

# A request that has waited this long for a connection is one too many.
POOL_TIMEOUT_SECONDS: Final = 1

# What each session of the service sets for itself, whatever the server's own settings are.
SESSION: Final[dict[str, str | int]] = {
    "sql_mode": "'STRICT_ALL_TABLES'",
    # MariaDB cuts JSON_ARRAYAGG at this length, sometimes into valid JSON.
    "group_concat_max_len": 2**30,
}


def mysql_engine(config: MysqlConfig, connections: int, freshness: Freshness) -> AsyncEngine:
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
        # We end every transaction ourselves, so no reset on return. No ping before use either: a lost connection
        # shows as an error, and the transaction is run again. `freshness` replaces what is stale.
        pool_reset_on_return=None,
        # Parameters hold card numbers, and errors reach the log.
        hide_parameters=True,
        connect_args={
            "connect_timeout": config["connect_timeout"],
            "init_command": set_session(SESSION),
        },
    )
    freshness.watch(engine.sync_engine)
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
