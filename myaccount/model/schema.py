"""The schema as statements: for the embedded file, and as the script `sql/sql.sql`."""

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, inspect, select
from sqlalchemy.dialects.mysql import dialect
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

# Imported for their tables, which the metadata then has.
from . import inbox, outbox  # noqa: F401
from .columns import metadata
from .tables import EXTERNAL_ACCOUNT, EXTERNAL_ACCOUNT_ID, account

# The account that makes every recharge a double entry.
EXTERNAL_ROW: Final = {
    "id": EXTERNAL_ACCOUNT,
    "account_id": EXTERNAL_ACCOUNT_ID,
    "account_type": "external",
    "user_id": None,
    "currency": "CNY",
    "balance": 0,
    "floor": None,
}

SCRIPT_HEADER: Final = """\
-- Sets up an empty MySQL 8 or MariaDB 10.11 schema for MyAccount:  mariadb DATABASE < sql/sql.sql
-- Written by `make sql` from myaccount/model; a test holds the two together.
"""


def missing_tables(connection: Connection) -> list[str]:
    """Return the names of our tables that the database does not have."""
    present = set(inspect(connection).get_table_names())
    return [table.name for table in metadata.sorted_tables if table.name not in present]


def missing_columns(connection: Connection) -> list[str]:
    """Return the names of our columns that tables lack which are there: they are an earlier version's."""
    inspector = inspect(connection)
    present = {
        f"{table}.{column['name']}"
        for table in inspector.get_table_names()
        for column in inspector.get_columns(table)
    }
    tables = {name.partition(".")[0] for name in present}
    return [
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.c
        if table.name in tables and f"{table.name}.{column.name}" not in present
    ]


def create_tables(connection: Connection) -> None:
    """Create the tables that are missing and, if it is missing, the external account."""
    metadata.create_all(connection)
    if not has_external_account(connection):
        connection.execute(
            account.insert(), {**EXTERNAL_ROW, "created_at": datetime.now(UTC).replace(tzinfo=None)}
        )


def has_external_account(connection: Connection) -> bool:
    return (
        connection.scalar(select(account.c.account_id).where(account.c.id == EXTERNAL_ACCOUNT))
        == EXTERNAL_ACCOUNT_ID
    )


def mysql_script() -> str:
    """Return what `sql/sql.sql` holds."""
    definitions: list[ExecutableDDLElement] = []
    for table in metadata.sorted_tables:
        definitions.append(CreateTable(table))
        definitions.extend(
            CreateIndex(index) for index in sorted(table.indexes, key=lambda index: str(index.name))
        )
    compiled = [str(definition.compile(dialect=dialect())).strip() for definition in definitions]
    statements = [
        sql.replace("\t", "    ").replace(", \n", ",\n").replace(")ENGINE", ") ENGINE") for sql in compiled
    ]
    columns = ", ".join(EXTERNAL_ROW)
    values = ", ".join("NULL" if value is None else repr(value) for value in EXTERNAL_ROW.values())
    statements.append(
        "-- Stands for everything outside the ledger: the other side of every recharge.\n"
        f"INSERT INTO account ({columns}, created_at)\nVALUES ({values}, UTC_TIMESTAMP(6))"
    )
    return SCRIPT_HEADER + "".join(f"\n{statement};\n" for statement in statements)
