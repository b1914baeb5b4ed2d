"""Inboxes get the messages about entries from the entries themselves, and know up to which they have them.

The messages about openings and about the entries that exist are written, or are in events that an earlier version
inserted. So each account's mark is its last entry. On MySQL and MariaDB each change is committed at once; an
interrupted migration sets the marks again, since a service of the earlier version may have run meanwhile.
"""

from typing import Any, Final

import sqlalchemy as sa
from alembic import context, op
from alembic.util import CommandError
from sqlalchemy.schema import CreateTable, DropTable

from myaccount.migrations.legacy_2018.unversioned import column_names

revision = "0005"
down_revision = "0004"

OPTIONS: Final[dict[str, Any]] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}

INBOX_MARK: Final = sa.Table(
    "inbox_mark",
    sa.MetaData(),
    sa.Column("account", sa.BigInteger(), nullable=False, autoincrement=False),
    sa.Column("number", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("account"),
    sqlite_with_rowid=False,
    **OPTIONS,
)

# NULL for all entries so far: their messages do not need it.
ADD_HELD: Final = "ALTER TABLE entry ADD COLUMN held BIGINT"
MARK: Final = (
    "INSERT INTO inbox_mark (account, number) SELECT id, last_entry FROM account WHERE user_id IS NOT NULL"
)


def check(connection: sa.Connection) -> None:
    """Raise CommandError if another program's table has the name that this program needs."""
    name = INBOX_MARK.name
    if sa.inspect(connection).has_table(name) and column_names(connection, name) != set(INBOX_MARK.c.keys()):
        raise CommandError(
            f"the database {connection.engine.url.database} has a table {name}, which is another "
            "program's, and this program needs the name. Nothing was changed. Rename that table."
        )


def upgrade() -> None:
    connection = context.config.attributes["connection"]
    if connection is not None:
        check(connection)
    if connection is None or not _has_held(connection):
        op.execute(ADD_HELD)
    if connection is not None and sa.inspect(connection).has_table(INBOX_MARK.name):
        op.execute(DropTable(INBOX_MARK))
    op.execute(CreateTable(INBOX_MARK))
    op.execute(MARK)


def _has_held(connection: sa.Connection) -> bool:
    # A script may be for a database in which an earlier migration, which is in it too, makes the table.
    return sa.inspect(connection).has_table("entry") and "held" in column_names(connection, "entry")
