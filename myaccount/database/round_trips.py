"""Statements that travel together, past SQLAlchemy Core: one round trip to the database, not one each.

A worker under load comes back to each of its tasks only after some milliseconds, and meanwhile keeps the locks
that its transaction holds. What holds locks that others want is therefore one round trip, COMMIT and all.

Each query returns one row: how many values it found, and those values as one JSON array. The count is what tells a
whole answer from one that the server cut off (`group_concat_max_len`) or left out (`max_allowed_packet`).
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from .error_kinds import TooLarge

# A statement, with %s for each parameter, and its parameters. It must not hold what a client wrote.
Bound = tuple[str, Sequence[object]]

# Where a MySQL connection keeps how many bytes the server takes at once (database/engines.py).
PACKET_LIMIT: Final = "packet_limit_bytes"
# A command's own byte, the semicolons between statements, and some room.
PACKET_MARGIN_BYTES: Final = 64
# No character of a statement takes more bytes in UTF-8.
CHARACTER_BYTES: Final = 4

# SQLite takes 32,766 parameters a statement.
ROWS_LIMIT: Final = 500
# Below the least `max_allowed_packet` that the service works with (64 KiB), with escapes and all.
ROWS_LIMIT_CHARACTERS: Final = 12_000


async def turn(connection: AsyncConnection, *statements: Bound) -> list[list[Any]]:
    """Run the statements on Core's connection; return what each query found.

    Raises TooLarge, and the driver's own errors.
    """
    driver = (await connection.get_raw_connection()).driver_connection
    if not is_sqlite(connection):
        return await mysql_turn(driver, statements, connection.info[PACKET_LIMIT])
    return await sqlite_turn(driver, [(text.replace("%s", "?"), parameters) for text, parameters in statements])


async def mysql_turn(driver: Any, statements: Sequence[Bound], packet_limit_bytes: int) -> list[list[Any]]:
    """Send the statements to MySQL or MariaDB in one packet or, where that is too large, in as few as it takes."""
    found = []
    cursor = await driver.cursor()
    for packet in _packets([cursor.mogrify(*statement) for statement in statements], packet_limit_bytes):
        await cursor.execute(packet)
        while True:
            if cursor.description:
                found.append(_whole_answer(*await cursor.fetchone()))
            if not await cursor.nextset():
                break
    return found


async def sqlite_turn(driver: Any, statements: Sequence[Bound]) -> list[list[Any]]:
    """Run the statements, with ? for each parameter, in the embedded file."""
    found = []
    for text, parameters in statements:
        rows = await driver.execute_fetchall(text, parameters)
        found += [_whole_answer(*row) for row in rows]
    return found


def _whole_answer(count: int, array: str | None) -> list[Any]:
    """Return the values of a query's answer. Raises TooLarge if it does not hold as many as there were."""
    try:
        values = json.loads(array or "[]")
    except ValueError:
        values = []
    if len(values) != count:
        raise TooLarge(f"The database returned {len(values)} of {count} values. Raise its max_allowed_packet.")
    return list(values)


def _packets(statements: Sequence[str], limit_bytes: int) -> Iterator[str]:
    """Join the statements to packets that are as large as the server takes."""
    limit_bytes -= PACKET_MARGIN_BYTES
    if statements and sum(map(len, statements)) * CHARACTER_BYTES <= limit_bytes:
        # As nearly always: nothing has to be encoded to know its size.
        yield ";".join(statements)
        return
    packet: list[str] = []
    size = 0
    for statement in statements:
        bytes_ = len(statement.encode()) + 1
        if bytes_ > limit_bytes:
            raise TooLarge(f"A statement has {bytes_} bytes, and the database's max_allowed_packet is less.")
        if packet and size + bytes_ > limit_bytes:
            yield ";".join(packet)
            packet, size = [], 0
        packet.append(statement)
        size += bytes_
    if packet:
        yield ";".join(packet)


def insert_rows(insert: str, rows: Iterable[Bound], tail: str = "") -> list[Bound]:
    """Return the statements that insert the rows, each as it is written in VALUES, with its parameters."""
    return [
        (
            f"{insert} VALUES {','.join(text for text, _ in part)} {tail}",
            [parameter for _, parameters in part for parameter in parameters],
        )
        for part in _parts(rows)
    ]


def _parts(rows: Iterable[Bound]) -> Iterator[list[Bound]]:
    """Divide the rows into those of one statement each."""
    part: list[Bound] = []
    size = 0
    for row in rows:
        characters = len(row[0]) + sum(len(str(parameter)) for parameter in row[1])
        if part and (len(part) == ROWS_LIMIT or size + characters > ROWS_LIMIT_CHARACTERS):
            yield part
            part, size = [], 0
        part.append(row)
        size += characters
    if part:
        yield part


def places(parameters: Collection[object]) -> str:
    return ",".join(["%s"] * len(parameters))


def is_sqlite(connection: AsyncConnection) -> bool:
    return connection.dialect.name == "sqlite"


def written(time: datetime) -> str:
    """Return a time as both databases take it."""
    return time.isoformat(" ", "microseconds")
