"""Several statements in one round trip to the database, past SQLAlchemy Core.

A worker under load resumes each of its tasks only after some milliseconds, during which its transaction keeps its
locks. So a transaction whose locks others want is one round trip, COMMIT included.

Each query returns one row: the number of values, the values as one JSON array, and further values, if any. The
number shows if the server cut the array off (`group_concat_max_len`) or left it out (`max_allowed_packet`).
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Protocol

from sqlalchemy import Dialect
from sqlalchemy.ext.asyncio import AsyncConnection

from .error_kinds import TooLarge
from .statements import Bound

# The key of a MySQL connection's `info` for the server's max_allowed_packet.
PACKET_LIMIT: Final = "packet_limit_bytes"
# The command's own byte, the semicolons between statements, and some room.
PACKET_MARGIN_BYTES: Final = 64
# The most that a character takes in UTF-8.
CHARACTER_BYTES: Final = 4


class OfEngine(Protocol):
    """A database or a connection to one, which knows the engine's SQL."""

    @property
    def dialect(self) -> Dialect: ...


async def run_pipeline(connection: AsyncConnection, *statements: Bound) -> list[list[Any]]:
    """Run the statements on Core's connection; return the values of each query.

    Raises TooLarge, and the driver's own errors.
    """
    driver: Any = (await connection.get_raw_connection()).driver_connection
    if is_sqlite(connection):
        return await run_sqlite_pipeline(driver, for_sqlite(statements))
    try:
        return await run_mysql_pipeline(driver, statements, connection.info[PACKET_LIMIT])
    except BaseException:
        if driver.closed:
            # Or Core would try to roll back, and raise that error instead of this.
            await connection.invalidate()
        raise


async def run_mysql_pipeline(driver: Any, statements: Sequence[Bound], packet_limit_bytes: int) -> list[list[Any]]:
    """Send the statements to MySQL or MariaDB in one packet or, if that is too large, in as few as possible."""
    rows = []
    cursor = await driver.cursor()
    for packet in _packets(
        [text % tuple(map(_quoted, values)) for text, values in statements], packet_limit_bytes
    ):
        await cursor.execute(packet)
        while True:
            if cursor.description:
                rows.append(await cursor.fetchone())
            if not await cursor.nextset():
                break
    # Not before all are read: the next statement would have to read the rest, and would raise its errors.
    return [_parse_values(*row) for row in rows]


def _quoted(value: object) -> str:
    """Return the parameter as a literal of MySQL, in the SQL mode that every session sets (engines.py).

    The driver's own way takes five times as long, and most statements have hundreds of parameters.
    """
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
    if isinstance(value, int):
        return str(int(value))
    if value is None:
        return "NULL"
    raise TypeError(f"a pipeline takes no parameter of type {type(value).__name__}")


async def run_sqlite_pipeline(driver: Any, statements: Sequence[Bound]) -> list[list[Any]]:
    """Run the statements, with ? for each parameter, in the embedded file."""
    found = []
    for text, parameters in statements:
        rows = await driver.execute_fetchall(text, parameters)
        found += [_parse_values(*row) for row in rows]
    return found


def for_sqlite(statements: Iterable[Bound]) -> list[Bound]:
    """Return the statements with SQLite's own sign for each parameter."""
    return [(text.replace("%s", "?"), parameters) for text, parameters in statements]


def select_rows(where: OfEngine, columns: str) -> str:
    """Begin a query of a pipeline whose values are rows, each an array of these columns, in any order."""
    array = "json_group_array(json_array" if is_sqlite(where) else "JSON_ARRAYAGG(JSON_ARRAY"
    return f"SELECT COUNT(*), {array}({columns}))"


def rows_at_once(connection: AsyncConnection, row_bytes: int) -> int:
    """Return how many rows of at most so many bytes one answer may have. The embedded file has no limit."""
    return max(1, int(connection.info.get(PACKET_LIMIT, sys.maxsize)) // row_bytes)


def snapshot_statements(connection: AsyncConnection) -> list[Bound]:
    """Return what begins a transaction whose reads all see the database as of the first.

    It goes before the first statement. In SQLite each transaction is like that.
    """
    return [] if is_sqlite(connection) else [("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", ())]


def _parse_values(count: int, array: str | None, *more: Any) -> list[Any]:
    """Return a query's values, and then `more`. Raises TooLarge if the array does not have `count` of them."""
    try:
        values = json.loads(array or "[]")
    except ValueError:
        values = []
    if len(values) != count:
        raise TooLarge(f"The database returned {len(values)} of {count} values. Raise its max_allowed_packet.")
    return [*values, *more]


def _packets(statements: Sequence[str], limit_bytes: int) -> Iterator[str]:
    """Join the statements to packets that are as large as the server takes. Raises TooLarge."""
    limit_bytes -= PACKET_MARGIN_BYTES
    if statements and sum(map(len, statements)) * CHARACTER_BYTES <= limit_bytes:
        # Nearly always: this small, they fit without being encoded to learn their size.
        yield ";".join(statements)
        return
    packet: list[str] = []
    size = 0
    for statement in statements:
        bytes_ = len(statement.encode()) + 1
        if bytes_ > limit_bytes:
            raise TooLarge(f"A statement has {bytes_} bytes. Raise the database's max_allowed_packet.")
        if packet and size + bytes_ > limit_bytes:
            yield ";".join(packet)
            packet, size = [], 0
        packet.append(statement)
        size += bytes_
    if packet:
        yield ";".join(packet)


def is_sqlite(where: OfEngine) -> bool:
    return where.dialect.name == "sqlite"
