"""aiosqlite's connection to the embedded file. Neither its opening nor its end leaves anything behind."""

import asyncio
import sqlite3
from contextlib import suppress
from typing import Any

import aiosqlite


class _Connection(sqlite3.Connection):
    """A connection that ends its transaction when it is closed.

    SQLite keeps a closed connection and its locks until its last statement is gone. What a cancelled task
    executed may be gone only when Python collects its garbage, and until then nobody else could write.
    """

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self.rollback()
        super().close()


async def connect(file: str, **arguments: Any) -> aiosqlite.Connection:
    """Return an open connection. Raises what aiosqlite.connect does.

    aiosqlite opens the file in a thread, and that goes on after a cancellation or an error. If it outlives the
    loop, it fails with a traceback. So this waits for it, which takes milliseconds.
    """
    connection = aiosqlite.connect(file, factory=_Connection, **arguments)
    thread = connection._thread  # noqa: SLF001 - there is no other way, and the version is pinned
    # As SQLAlchemy does, so that no statement keeps a process from ending.
    thread.daemon = True
    opening = asyncio.ensure_future(connection)
    try:
        return await asyncio.shield(opening)
    except BaseException:
        with suppress(sqlite3.Error):
            await opening
            await connection.close()
        await asyncio.to_thread(thread.join)
        raise
