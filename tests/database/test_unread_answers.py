"""No query gets what is left of another's answer, whatever kept that answer from being read to its end."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from aiomysql import InterfaceError, OperationalError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.database.database import Database, DriverConnection, open_database
from myaccount.database.error_kinds import TooLarge
from myaccount.database.pipeline import PACKET_LIMIT, run_mysql_pipeline, run_pipeline
from myaccount.database.server_connection import connect
from myaccount.database.statements import Bound
from myaccount.settings.paths import working_path
from myaccount.settings.schema import Config

from ..conftest import Client, Section

# The server sends these columns as GBK, which is no UTF-8: like an answer that ends within a character.
AS_STORED = "SET character_set_results = NULL"
NO_UTF8 = "CONVERT('张' USING gbk)"
BROKEN: tuple[Bound, ...] = ((AS_STORED, ()), (f"SELECT 1, {NO_UTF8}", ()), ("SELECT 1, '[\"of another\"]'", ()))
# Its first query's values are not all there, and its last statement fails.
CUT: tuple[Bound, ...] = (("SELECT 2, '[1]'", ()), ("SELECT 1, '[\"of another\"]'", ()), ("SELECT nothing", ()))
OTHER_CHARACTERS = pytest.mark.not_on("oceanbase", because="it has no character set but UTF-8")
SERVERS_ONLY = pytest.mark.parametrize("backend", ["mariadb"], indirect=True)

Work = Callable[[Database], Awaitable[Any]]


@pytest.fixture
async def database(config: Config, client: Client, backend: Section) -> AsyncIterator[Database]:
    """A database whose pools have one connection each."""
    one: Any = config | {"mysql": backend["mysql"] | {"maxsize": 2}}
    async with open_database(one, working_path(config["sqlite_file"])) as database:
        yield database


def _pipeline(statements: tuple[Bound, ...]) -> Work:
    return lambda database: database.write(lambda connection: run_pipeline(connection, *statements))


def _batch(statements: tuple[Bound, ...]) -> Work:
    async def work(connection: DriverConnection) -> object:
        return await run_mysql_pipeline(connection.driver, statements, connection.info[PACKET_LIMIT])

    return lambda database: database.write_on_driver(work, beside_orders=True)


async def _by_core(database: Database) -> None:
    async def work(connection: AsyncConnection) -> object:
        await connection.execute(text(AS_STORED))
        return await connection.execute(text(f"SELECT {NO_UTF8} UNION ALL SELECT 'of another'"))

    await database.write(work)


@SERVERS_ONLY
@pytest.mark.parametrize(
    ("work", "error"),
    [
        pytest.param(_pipeline(BROKEN), TooLarge, marks=OTHER_CHARACTERS),
        (_pipeline(CUT), OperationalError),
        pytest.param(_batch(BROKEN), TooLarge, marks=OTHER_CHARACTERS),
        (_batch(CUT), OperationalError),
        pytest.param(_by_core, TooLarge, marks=OTHER_CHARACTERS),
    ],
    ids=["broken pipeline", "cut pipeline", "broken batch", "cut batch", "broken result"],
)
async def test_the_query_after_an_answer_that_cannot_be_read_gets_its_own_answer(
    database: Database, work: Work, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await work(database)
    # Without a second attempt, which would get another connection.
    async with database._engine.connect() as connection:
        assert await run_pipeline(connection, ("SELECT 1, JSON_ARRAY('its own')", ())) == [["its own"]]
        # Within a transaction, this is an error.
        await run_pipeline(connection, ("SET TRANSACTION READ WRITE", ()))


@SERVERS_ONLY
async def test_a_snapshot_that_fails_leaves_no_connection_with_its_settings(database: Database) -> None:
    async def connection_id() -> int:
        async with database._engine.connect() as connection:
            return int((await connection.execute(text("SELECT CONNECTION_ID()"))).scalar_one())

    before = await connection_id()
    with suppress(ZeroDivisionError):
        async with database.snapshot():
            raise ZeroDivisionError
    assert await connection_id() != before


@OTHER_CHARACTERS
async def test_a_connection_is_closed_when_an_answer_cannot_be_read(mysql_section: Section) -> None:
    address = {name: mysql_section[name] for name in ("host", "port", "user", "password")}
    connection = await connect(charset="utf8mb4", init_command=AS_STORED, **address)
    try:
        cursor = await connection.cursor()
        # The rest of it is numbered like the answer to the next statement: packets are counted modulo 256. And its
        # rows look like the packet of a statement that was carried out.
        rows = " UNION ALL ".join(["SELECT '', CHAR(0, 2, 0, 0, 0, 0 USING gbk)"] * 251)
        with suppress(UnicodeDecodeError, InterfaceError):
            await cursor.execute(f"{rows} UNION ALL SELECT '', {NO_UTF8} UNION ALL {rows}")
        with pytest.raises(InterfaceError):
            await cursor.execute("SELECT 1")
        assert connection.closed
    finally:
        connection.close()
