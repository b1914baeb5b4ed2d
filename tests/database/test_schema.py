"""The migrations, sql.sql and the SQLAlchemy tables are one schema."""

import importlib.util
import subprocess
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Boolean, Connection, DateTime, Integer, MetaData, String, create_engine, insert, inspect
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.exc import DBAPIError

from myaccount.database.database import Database
from myaccount.database.times import utc_now
from myaccount.migrations.runner import setup_script, upgrade
from myaccount.model import access  # noqa: F401 - the metadata has its tables
from myaccount.model.columns import metadata
from myaccount.settings.paths import resource

from ..conftest import Section
from ..deploy.test_readme import block
from ..helpers.migrating import VERSION, mysql_engine
from ..helpers.servers import MariaDB
from ..helpers.services import ENVIRONMENT

NOW = utc_now()


def _shape(connection: Connection) -> dict[str, Any]:
    """Describe a database's tables, in terms that both databases share."""
    inspector = inspect(connection)
    return {
        table: {
            "columns": {column["name"]: _column(column) for column in inspector.get_columns(table)},
            "primary key": inspector.get_pk_constraint(table)["constrained_columns"],
            "unique": sorted(
                (str(unique["name"]), unique["column_names"]) for unique in inspector.get_unique_constraints(table)
            ),
            "indexes": sorted(
                (str(index["name"]), index["column_names"])
                for index in inspector.get_indexes(table)
                if not index["unique"]
            ),
            "foreign keys": sorted(
                (str(key["name"]), key["constrained_columns"], key["referred_table"], key["referred_columns"])
                for key in inspector.get_foreign_keys(table)
            ),
            "checks": sorted(
                name
                for check in inspector.get_check_constraints(table)
                if (name := str(check["name"])).startswith("ck_")
            ),
        }
        for table in inspector.get_table_names()
        if table != VERSION
    }


def _column(column: ReflectedColumn) -> tuple[bool, type[Any], int | None]:
    """Return whether it may be NULL, its type, and a text's length. SQLite has one type for all integers."""
    kind = column["type"].as_generic()
    length = getattr(kind, "length", None)
    if isinstance(kind, Boolean):
        # MySQL stores it as a small integer.
        kind = Integer()
    for family in (Integer, DateTime, String):
        if isinstance(kind, family):
            return column["nullable"], family, length
    raise AssertionError(kind)


def definitions(connection: Connection) -> dict[str, Any]:
    """Return MariaDB's own definitions of the tables, with types and options."""
    names = [name for name in inspect(connection).get_table_names() if name != VERSION]
    return {name: connection.exec_driver_sql(f"SHOW CREATE TABLE `{name}`").scalar() for name in names}


def test_the_script_is_what_the_migrations_say() -> None:
    assert resource("sql/sql.sql").read_text("utf-8") == setup_script(), "run `make sql`"


def test_the_migrations_the_script_and_the_tables_are_one_schema_in_mariadb(
    mariadb: MariaDB, mysql_section: Section
) -> None:
    by_script = mysql_engine(mariadb, mysql_section["db"])
    by_migrations = mysql_engine(mariadb, mariadb.new_database())
    by_tables = mysql_engine(mariadb, mariadb.new_database())
    with by_migrations.begin() as connection:
        assert upgrade(connection, print) == ["0001", "0002", "0003", "0004", "0005", "0006"]
    with by_tables.begin() as connection:
        metadata.create_all(connection)
    with by_script.connect() as script, by_migrations.connect() as migrations, by_tables.connect() as tables:
        # The row of the external account has advanced a counter.
        expected = {name: sql.replace(" AUTO_INCREMENT=2", "") for name, sql in definitions(migrations).items()}
        assert expected == {
            name: sql.replace(" AUTO_INCREMENT=2", "") for name, sql in definitions(script).items()
        }
        assert expected == definitions(tables)
        assert set(expected) == set(metadata.tables)
        assert compare_metadata(MigrationContext.configure(migrations), metadata) == []
    for engine in (by_script, by_migrations, by_tables):
        engine.dispose()


def test_the_embedded_schema_is_that_of_mariadb_and_of_the_tables(
    mariadb: MariaDB, mysql_section: Section, tmp_path: Path
) -> None:
    server = mysql_engine(mariadb, mysql_section["db"])
    embedded = create_engine(f"sqlite:///{tmp_path}/embedded.db")
    by_tables = create_engine(f"sqlite:///{tmp_path}/tables.db")
    with embedded.begin() as connection:
        assert upgrade(connection, print) == ["0001", "0002", "0003", "0004", "0005", "0006"]
    with by_tables.begin() as connection:
        metadata.create_all(connection)
    with server.connect() as mysql, embedded.connect() as sqlite, by_tables.connect() as tables:
        assert _shape(sqlite) == _shape(mysql) == _shape(tables)
        assert compare_metadata(MigrationContext.configure(sqlite), metadata) == []
        numbered = "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%' ORDER BY name"
        assert list(sqlite.exec_driver_sql(numbered)) == list(tables.exec_driver_sql(numbered))
    for engine in (server, embedded, by_tables):
        engine.dispose()


VALID_ROWS: dict[str, dict[str, Any]] = {
    "order": {"order_id": "o", "order_type": "01", "from_account": 1, "to_account": 1, "amount": 5,
              "status": "posted", "created_at": NOW, "refunded": 5},
    "account": {"account_id": "a", "account_type": "01", "currency": "CNY", "balance": -5, "floor": -15,
                "created_at": NOW, "held": 10},
    "hold": {"order_id": "o", "payer": 1, "payee": 1, "remaining": 0, "captured": 0, "status": "held",
             "expires_at": NOW},
}  # fmt: skip


@pytest.mark.not_on("mysql8", "foreign", because="MySQL enforces CHECK from 8.0.16 on, TiDB only if told to")
@pytest.mark.parametrize(
    ("table", "values", "check"),
    [
        ("order", {"amount": 0, "refunded": 0}, "ck_order_amount"),
        ("order", {"refunded": 6}, "ck_order_refunded"),
        ("order", {"refunded": -1}, "ck_order_refunded"),
        ("account", {"held": -1}, "ck_account_held"),
        ("account", {"held": 11}, "ck_account_available"),
        ("account", {"balance": -6}, "ck_account_available"),
        ("hold", {"remaining": -1}, "ck_hold_remaining"),
        ("hold", {"captured": -1}, "ck_hold_remaining"),
    ],
)
async def test_the_database_refuses_what_the_rules_forbid(
    database: Database, table: str, values: dict[str, int], check: str
) -> None:
    row = VALID_ROWS[table]
    into = insert(metadata.tables[table])
    with pytest.raises(DBAPIError, match=check):
        await database.write(lambda connection: connection.execute(into.values(row | values)))
    # Nothing else was wrong with it.
    await database.write(lambda connection: connection.execute(into.values(row)))


def test_every_text_is_compared_exactly_in_mariadb(mariadb: MariaDB, mysql_section: Section) -> None:
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT collation_name FROM information_schema.columns"
            " WHERE table_schema = %s AND collation_name IS NOT NULL",
            (mysql_section["db"],),
        )
        assert cursor.fetchall() == (("utf8mb4_bin",),)


def _names(models: MetaData) -> dict[str, list[str]]:
    return {table.name: sorted(column.name for column in table.c) for table in models.sorted_tables}


@pytest.mark.parametrize("readme", ["README.rst", "README.zh-CN.rst"])
def test_the_recipe_for_models_works_for_our_tables(
    mariadb: MariaDB, mysql_section: Section, tmp_path: Path, readme: str
) -> None:
    recipe = block(readme, ".venv/bin/pip install sqlacodegen").splitlines()[1]
    url = f"{mariadb.user}:{mariadb.password}@{mariadb.host}:{mariadb.port}/{mysql_section['db']}"
    command = recipe.removeprefix(".venv/bin/").replace("myaccount:PASSWORD@127.0.0.1:3306/bus", url)
    assert url in command
    subprocess.run(command, shell=True, cwd=tmp_path, env=ENVIRONMENT, check=True)  # noqa: S602 - as a person does
    spec = importlib.util.spec_from_file_location("models", tmp_path / "models.py")
    assert spec is not None
    assert spec.loader is not None
    models = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(models)
    # Without the version's table.
    assert _names(models.Base.metadata) == _names(metadata)
    engine = mysql_engine(mariadb, mysql_section["db"])
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), models.Base.metadata) == []
    engine.dispose()
