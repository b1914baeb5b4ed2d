"""Inboxes get the messages about declines from the declines themselves, which are numbered for each account.

Orders that were declined before have no such rows: what their accounts had by then is not known, and the messages
about them are written, or are in events that an earlier version inserted. On MySQL and MariaDB each change is
committed at once, and an interrupted migration continues after the last one.
"""

from typing import Any, Final

import sqlalchemy as sa
from alembic import context, op
from alembic.util import CommandError
from sqlalchemy.schema import CreateTable

from myaccount.migrations.legacy_2018.unversioned import column_names

revision = "0006"
down_revision = "0005"

OPTIONS: Final[dict[str, Any]] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}

DECLINE: Final = sa.Table(
    "decline",
    sa.MetaData(),
    sa.Column("account", sa.BigInteger(), nullable=False, autoincrement=False),
    sa.Column("number", sa.BigInteger(), nullable=False, autoincrement=False),
    sa.Column("order_id", sa.String(45), nullable=False),
    sa.Column("entry", sa.BigInteger(), nullable=False),
    sa.Column("balance", sa.BigInteger(), nullable=False),
    sa.Column("held", sa.BigInteger()),
    sa.PrimaryKeyConstraint("account", "number"),
    sqlite_with_rowid=False,
    **OPTIONS,
)

NEW_COLUMNS: Final = {"account": "last_decline", "inbox_mark": "declines"}
ADD: Final = "ALTER TABLE {table} ADD COLUMN {column} BIGINT NOT NULL DEFAULT 0"


def upgrade() -> None:
    connection = context.config.attributes["connection"]
    if connection is None or not _has_table(connection):
        op.execute(CreateTable(DECLINE))
    for table, column in NEW_COLUMNS.items():
        if connection is None or not _has_column(connection, table, column):
            op.execute(ADD.format(table=table, column=column))


def _has_table(connection: sa.Connection) -> bool:
    """Raise CommandError if another program's table has the name that this program needs."""
    name = DECLINE.name
    if not sa.inspect(connection).has_table(name):
        return False
    if column_names(connection, name) != set(DECLINE.c.keys()):
        raise CommandError(
            f"the database {connection.engine.url.database} has a table {name}, which is another "
            "program's, and this program needs the name. Nothing was changed. Rename that table."
        )
    return True


def _has_column(connection: sa.Connection, table: str, column: str) -> bool:
    # A script may be for a database in which an earlier migration, which is in it too, makes the table.
    return sa.inspect(connection).has_table(table) and column in column_names(connection, table)
