"""What a database without a version has of our tables: nothing, all, or what an unfinished migration left.

No table that has a row is ever taken for one that may go.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, MetaData, Table, inspect, literal_column, select, table, text

from ..database.not_ready import DatabaseNotReady


@dataclass(frozen=True)
class Found:
    """Which of the tables are there: all, with the external account, or else an unfinished attempt's, empty."""

    tables: list[Table]
    complete: bool = False


def find(connection: Connection, metadata: MetaData, *, besides: Collection[str] = ()) -> Found:
    """Return what there is of the tables, those left out that are somebody else's to see to.

    Raises DatabaseNotReady, saying what is lacking, if it is an earlier version's, or another program's.
    """
    present = set(inspect(connection).get_table_names()).difference(besides)
    found = [table for table in metadata.sorted_tables if table.name in present]
    missing = _missing(connection, metadata, found)
    if not missing and _has_external_account(connection):
        return Found(found, complete=True)
    if all(_is_unfinished(connection, table) for table in found):
        return Found(found)
    raise DatabaseNotReady(
        f"the database {connection.engine.url.database} is an earlier version's, or another program's: "
        f"it lacks {missing or 'the external account, row 1 of the table account'}. "
        "Move it elsewhere, or name another in the configuration."
    )


def _missing(connection: Connection, metadata: MetaData, found: list[Table]) -> str:
    """Return what is lacking, in words, or nothing."""
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
    """Return the names of a table's columns; SQLAlchemy cannot read OceanBase's definitions of tables."""
    return set(connection.execute(select(text("*")).select_from(table(table_name)).limit(0)).keys())


def _has_external_account(connection: Connection) -> bool:
    account_id: str | None = connection.scalar(text("SELECT account_id FROM account WHERE id = 1"))
    return account_id == "outside CNY"
