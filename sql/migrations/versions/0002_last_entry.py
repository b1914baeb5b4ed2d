"""Accounts know the number of their last entry, which puts an account's changes in order.

An entry is one posted order in one of its two accounts. Entries that exist already are counted.
"""

from typing import Final

import sqlalchemy as sa
from alembic import context, op

revision = "0002"
down_revision = "0001"

# MySQL and MariaDB keep the column if the migration is interrupted after adding it. Counting again is harmless.
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
    # For a script (`migrate --sql`) the table need not exist yet.
    if not sa.inspect(connection).has_table("account"):
        return False
    # SQLAlchemy cannot inspect OceanBase's tables.
    columns = list(connection.execute(sa.text("SELECT * FROM account LIMIT 0")).keys())
    return "last_entry" in columns
