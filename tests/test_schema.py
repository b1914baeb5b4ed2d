"""sql.sql, the SQLAlchemy tables and the embedded schema are one schema."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import Boolean, Connection, DateTime, Integer, String, create_engine, inspect
from sqlalchemy.engine.interfaces import ReflectedColumn

from myaccount.configuration import CONFIGURATION
from myaccount.main import create_app
from myaccount.model.columns import metadata
from myaccount.model.schema import create_tables, missing_tables, mysql_script
from myaccount.resources import resource
from myaccount.store.schema import DatabaseNotReady

from .conftest import Section
from .servers import MariaDB


def _shape(connection: Connection) -> dict[str, Any]:
    """Return what a database says of its tables, in words that both databases share."""
    inspector = inspect(connection)
    return {
        table: {
            "columns": {column["name"]: _column(column) for column in inspector.get_columns(table)},
            "primary key": inspector.get_pk_constraint(table)["constrained_columns"],
            "unique": sorted(unique["column_names"] for unique in inspector.get_unique_constraints(table)),
            "indexes": sorted(
                index["column_names"] for index in inspector.get_indexes(table) if not index["unique"]
            ),
            "foreign keys": sorted(
                (key["constrained_columns"], key["referred_table"], key["referred_columns"])
                for key in inspector.get_foreign_keys(table)
            ),
            "checks": len([c for c in inspector.get_check_constraints(table) if str(c["name"]).startswith("ck_")]),
        }
        for table in inspector.get_table_names()
    }


def _column(column: ReflectedColumn) -> tuple[bool, type[Any], int | None]:
    """Return whether it may be null, its kind, and a text's length; SQLite has one kind of whole number."""
    kind = column["type"].as_generic()
    length = getattr(kind, "length", None)
    if isinstance(kind, Boolean):
        # MySQL has it as a small number.
        kind = Integer()
    for family in (Integer, DateTime, String):
        if isinstance(kind, family):
            return column["nullable"], family, length
    raise AssertionError(kind)


def _mysql(mariadb: MariaDB, database: str) -> Any:
    return create_engine(f"mysql+pymysql://{mariadb.user}:{mariadb.password}@127.0.0.1:{mariadb.port}/{database}")


def test_the_script_is_what_the_tables_say() -> None:
    assert resource("sql/sql.sql").read_text("utf-8") == mysql_script(), "run `make sql`"


def test_the_script_the_tables_and_the_embedded_schema_are_one(
    mariadb: MariaDB, mysql_section: Section, tmp_path: Path
) -> None:
    by_script = _mysql(mariadb, mysql_section["db"])
    by_tables = _mysql(mariadb, mariadb.new_database())
    embedded = create_engine(f"sqlite:///{tmp_path}/embedded.db")
    shapes = []
    for engine in (by_script, by_tables, embedded):
        with engine.begin() as connection:
            create_tables(connection)
            shapes.append(_shape(connection))
        engine.dispose()
    assert shapes[0] == shapes[1] == shapes[2]
    assert set(shapes[0]) == set(metadata.tables)


def test_every_text_is_compared_exactly_in_mariadb(mariadb: MariaDB, mysql_section: Section) -> None:
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT collation_name FROM information_schema.columns"
            " WHERE table_schema = %s AND collation_name IS NOT NULL",
            (mysql_section["db"],),
        )
        assert cursor.fetchall() == (("utf8mb4_bin",),)


async def test_a_database_without_the_external_account_is_refused(
    mariadb: MariaDB, mysql_section: Section, tmp_path: Path
) -> None:
    with mariadb.connect(database=mysql_section["db"]) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM account")
    config = CONFIGURATION.check({"mysql": mysql_section, "log_folder": str(tmp_path)})
    runner = web.AppRunner(create_app(config))
    with pytest.raises(DatabaseNotReady, match="lacks the external account"):
        await runner.setup()
    await runner.cleanup()


def test_the_embedded_schema_is_completed_where_something_is_missing(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/embedded.db")
    with engine.begin() as connection:
        create_tables(connection)
        connection.exec_driver_sql("DROP TABLE event")
    for _ in range(2):
        with engine.begin() as connection:
            create_tables(connection)
            assert missing_tables(connection) == []
    engine.dispose()


async def test_a_database_without_the_schema_is_refused_with_what_to_run(
    mariadb: MariaDB, mysql_section: Section, tmp_path: Path
) -> None:
    empty = mariadb.new_database()
    config = CONFIGURATION.check({"mysql": mysql_section | {"db": empty}, "log_folder": str(tmp_path)})
    runner = web.AppRunner(create_app(config))
    with pytest.raises(
        DatabaseNotReady, match=rf"delivery.*user, account.*order.*mariadb {empty} < .*sql/sql.sql"
    ) as raised:
        await runner.setup()
    assert mariadb.password not in str(raised.value)
    await runner.cleanup()


async def test_a_database_of_an_earlier_version_is_refused_with_what_it_lacks(
    backend: Section, mariadb: MariaDB, tmp_path: Path
) -> None:
    file = tmp_path / "embedded.db"
    engine = _mysql(mariadb, backend["mysql"]["db"]) if backend else create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        create_tables(connection)
        connection.exec_driver_sql("ALTER TABLE message DROP COLUMN title")
    engine.dispose()
    config = CONFIGURATION.check(backend | {"sqlite_file": str(file), "log_folder": str(tmp_path)})
    runner = web.AppRunner(create_app(config))
    with pytest.raises(DatabaseNotReady, match=r"lacks the columns message\.title"):
        await runner.setup()
    await runner.cleanup()
