"""Accounts know the number of their last entry, by which the changes of an account are put in order.

An entry is one posted order in one of its two accounts. Those that there are already are counted.
"""

from typing import Final

import sqlalchemy as sa
from alembic import context, op

revision = "0002"
down_revision = "0001"

# MySQL and MariaDB keep the column if the migration is cut off after it; counting again does no harm.
COLUMN: Final = "ALTER TABLE account ADD COLUMN last_entry BIGINT NOT NULL DEFAULT 0"
COUNT: Final = """\
UPDATE account SET last_entry =
    (SELECT COUNT(*) FROM `order` WHERE from_account = account.id AND status = 'posted')
    + (SELECT COUNT(*) FROM `order` WHERE to_account = account.id AND status = 'posted')"""


def upgrade() -> None:
    connection = context.config.attributes["connection"]
    if connection is None or not _has_column(connection):
        op.execute(COLUMN)
    op.execute(COUNT)


def _has_column(connection: sa.Connection) -> bool:
    # A script of SQL may be asked for where there is no table yet.
    if not sa.inspect(connection).has_table("account"):
        return False
    # SQLAlchemy does not understand how OceanBase describes a table.
    columns = list(connection.execute(sa.text("SELECT * FROM account LIMIT 0")).keys())
    return "last_entry" in columns
