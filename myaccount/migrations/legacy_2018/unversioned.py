"""Which of our tables a database without a version has: none, all, or those of an unfinished migration.

A table that has a row never counts as one that may be dropped.
"""

from collections.abc import Collection
from dataclasses import dataclass

from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, Table, inspect, literal_column, select, table, text


@dataclass(frozen=True)
class Found:
    """The tables that exist: all of them, with the external account, or empty ones of an unfinished migration."""

    tables: list[Table]
    complete: bool = False


def find(connection: Connection, metadata: MetaData, *, ignored: Collection[str] = ()) -> Found:
    """Return which of the tables exist, but for those with the ignored names.

    Raises CommandError, with what is lacking, if the tables are an earlier version's, or another program's.
    """
    present = set(inspect(connection).get_table_names()).difference(ignored)
    found = [table for table in metadata.sorted_tables if table.name in present]
    missing = _missing(connection, metadata, found)
    if not missing and _has_external_account(connection):
        return Found(found, complete=True)
    if all(_is_unfinished(connection, table) for table in found):
        return Found(found)
    raise CommandError(
        f"the database {connection.engine.url.database} is an earlier version's, or another program's: "
        f"it lacks {missing or 'the external account, row 1 of the table account'}. "
        "Move it elsewhere, or name another in the configuration."
    )


def _missing(connection: Connection, metadata: MetaData, found: list[Table]) -> str:
    """Describe the tables and columns that are lacking; empty if none are."""
    lacking = {
        "tables": [table.name for table in metadata.sorted_tables if table not in found],
        "columns": [
            f"{table.name}.{column.name}"
            for table in found
            for column in table.c
            if column.name not in column_names(connection, table.name)
        ],
    }
    return ", ".join(f"the {kind} {', '.join(names)}" for kind, names in lacking.items() if names)


def _is_unfinished(connection: Connection, table: Table) -> bool:
    if column_names(connection, table.name) != set(table.c.keys()):
        return False
    return connection.execute(select(literal_column("1")).select_from(table).limit(1)).first() is None


def column_names(connection: Connection, table_name: str) -> set[str]:
    """Return the names of a table's columns. SQLAlchemy cannot inspect OceanBase's tables, so a query does it."""
    return set(connection.execute(select(text("*")).select_from(table(table_name)).limit(0)).keys())


def _has_external_account(connection: Connection) -> bool:
    account_id: str | None = connection.scalar(text("SELECT account_id FROM account WHERE id = 1"))
    return account_id == "outside CNY"
