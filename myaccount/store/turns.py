"""Statements that travel together, past SQLAlchemy Core: one turn to the database, not one each.

A worker under load comes back to each of its tasks only after some milliseconds, and meanwhile keeps the locks
that its transaction holds. What holds locks that others want is therefore one turn, COMMIT and all.
"""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

# A statement, with %s for each parameter, and its parameters. It must not hold what a client wrote.
Bound = tuple[str, Sequence[object]]

# SQLite takes 32,766 parameters a statement.
ROWS_LIMIT: Final = 500


async def turn(connection: AsyncConnection, *statements: Bound) -> list[Any]:
    """Run the statements on Core's connection; return what each query found, which must be one JSON value or NULL.

    Raises the driver's own errors.
    """
    driver = (await connection.get_raw_connection()).driver_connection
    if not is_sqlite(connection):
        return await mysql_turn(driver, statements)
    return await sqlite_turn(driver, [(text.replace("%s", "?"), parameters) for text, parameters in statements])


async def mysql_turn(driver: Any, statements: Sequence[Bound]) -> list[Any]:
    """Send the statements to MySQL or MariaDB as one."""
    found = []
    cursor = await driver.cursor()
    await cursor.execute(
        ";".join(text for text, _ in statements),
        [parameter for _, parameters in statements for parameter in parameters],
    )
    while True:
        if cursor.description:
            found.append(json.loads((await cursor.fetchone())[0] or "[]"))
        if not await cursor.nextset():
            return found


async def sqlite_turn(driver: Any, statements: Sequence[Bound]) -> list[Any]:
    """Run the statements, with ? for each parameter, in the embedded file."""
    found = []
    for text, parameters in statements:
        rows = await driver.execute_fetchall(text, parameters)
        found += [json.loads(row[0]) for row in rows]
    return found


def insert_rows(insert: str, rows: Sequence[Bound], tail: str = "") -> list[Bound]:
    """Return the statements that insert the rows, each as it is written in VALUES, with its parameters."""
    return [
        (
            f"{insert} VALUES {','.join(text for text, _ in part)} {tail}",
            [parameter for _, parameters in part for parameter in parameters],
        )
        for part in (rows[start : start + ROWS_LIMIT] for start in range(0, len(rows), ROWS_LIMIT))
    ]


def places(parameters: Collection[object]) -> str:
    return ",".join(["%s"] * len(parameters))


def is_sqlite(connection: AsyncConnection) -> bool:
    return connection.dialect.name == "sqlite"


def written(time: datetime) -> str:
    """Return a time as both databases take it."""
    return time.isoformat(" ", "microseconds")
