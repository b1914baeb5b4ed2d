"""API keys, operators with their sessions, and the audit log; orders and changes of accounts know who made them.

On MySQL and MariaDB each change is committed at once, and an interrupted migration continues after the last one.
"""

import secrets
from typing import Any, Final

import sqlalchemy as sa
from alembic import context, op
from alembic.util import CommandError
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable

from myaccount.migrations.legacy_2018.unversioned import column_names

revision = "0004"
down_revision = "0003"

OPTIONS: Final[dict[str, Any]] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "sqlite_autoincrement": True,
}
ID: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME: Final = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")

TABLES: Final = sa.MetaData()

sa.Table(
    "api_key",
    TABLES,
    sa.Column("id", ID, nullable=False),
    sa.Column("key_id", sa.String(12), nullable=False),
    sa.Column("name", sa.String(45), nullable=False),
    sa.Column("secret_hash", sa.String(64), nullable=False),
    sa.Column("scopes", sa.String(500), nullable=False),
    sa.Column("rate_per_second", sa.Integer()),
    sa.Column("created_at", TIME, nullable=False),
    sa.Column("expires_at", TIME),
    sa.Column("revoked_at", TIME),
    sa.PrimaryKeyConstraint("id"),
    sa.UniqueConstraint("key_id", name="uq_api_key_key_id"),
    sa.Index("ix_api_key_name", "name"),
    **OPTIONS,
)
sa.Table(
    "operator",
    TABLES,
    sa.Column("id", ID, nullable=False),
    sa.Column("name", sa.String(45), nullable=False),
    sa.Column("role", sa.String(10), nullable=False),
    sa.Column("password_hash", sa.String(200), nullable=False),
    sa.Column("created_at", TIME, nullable=False),
    sa.Column("removed_at", TIME),
    sa.PrimaryKeyConstraint("id"),
    sa.UniqueConstraint("name", name="uq_operator_name"),
    **OPTIONS,
)
sa.Table(
    "session",
    TABLES,
    sa.Column("id", ID, nullable=False),
    sa.Column("secret_hash", sa.String(64), nullable=False),
    sa.Column("operator", sa.BigInteger(), nullable=False),
    sa.Column("address", sa.String(45), nullable=False),
    sa.Column("created_at", TIME, nullable=False),
    sa.Column("used_at", TIME, nullable=False),
    sa.Column("expires_at", TIME, nullable=False),
    sa.PrimaryKeyConstraint("id"),
    sa.UniqueConstraint("secret_hash", name="uq_session_secret_hash"),
    sa.Index("ix_session_operator", "operator"),
    sa.Index("ix_session_expires_at", "expires_at"),
    **OPTIONS,
)
SIGNING_KEY: Final = sa.Table(
    "signing_key",
    TABLES,
    sa.Column("id", ID, nullable=False),
    sa.Column("secret", sa.String(64), nullable=False),
    sa.Column("seen_at", TIME, nullable=False),
    sa.PrimaryKeyConstraint("id"),
    **OPTIONS,
)
sa.Table(
    "audit",
    TABLES,
    sa.Column("id", ID, nullable=False),
    sa.Column("at", TIME, nullable=False),
    sa.Column("who_kind", sa.String(12), nullable=False),
    sa.Column("who", sa.String(45), nullable=False),
    sa.Column("what", sa.String(45), nullable=False),
    sa.Column("about_kind", sa.String(12), nullable=False),
    sa.Column("about", sa.String(45), nullable=False),
    sa.Column("address", sa.String(45), nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("ix_audit_at", "at", "id"),
    sa.Index("ix_audit_who", "who", "id"),
    sa.Index("ix_audit_what", "what", "id"),
    sa.Index("ix_audit_about", "about", "id"),
    **OPTIONS,
)

ADD_MADE_BY: Final = "ALTER TABLE `{table}` ADD COLUMN made_by VARCHAR(45)"
MADE: Final = ("order", "account_change")

INSERT_SIGNING_KEY: Final = "INSERT INTO signing_key (id, secret, seen_at) VALUES (1, {secret}, {now})"
NOW: Final = {"mysql": "UTC_TIMESTAMP(6)", "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now')"}
# In a script the server draws the secret itself. MariaDB has this function from 10.10 on.
DRAWN_SECRET: Final = {"mysql": "LOWER(HEX(RANDOM_BYTES(32)))", "sqlite": "LOWER(HEX(RANDOMBLOB(32)))"}


def check(connection: sa.Connection) -> None:
    """Raise CommandError if a table that is not this program's has one of the names that it needs."""
    for table in TABLES.tables.values():
        if not sa.inspect(connection).has_table(table.name):
            continue
        # The signing key may be there: that of a script that was interrupted.
        is_used = table is not SIGNING_KEY and _has_rows(connection, table)
        if is_used or column_names(connection, table.name) != set(table.c.keys()):
            raise CommandError(
                f"the database {connection.engine.url.database} has a table {table.name}, which is another "
                "program's, and this program needs the name. Nothing was changed. Rename that table."
            )


def upgrade() -> None:
    connection = context.config.attributes["connection"]
    if connection is not None and not sa.inspect(connection).has_table("order"):
        # A script for a database that has no tables yet.
        connection = None
    if connection is not None:
        check(connection)
    for name in MADE:
        if connection is None or not _has_made_by(connection, name):
            op.execute(ADD_MADE_BY.format(table=name))
    for table in TABLES.sorted_tables:
        is_there = connection is not None and sa.inspect(connection).has_table(table.name)
        if is_there and _has_rows(connection, table):
            continue
        if is_there:
            # It may lack an index.
            op.execute(DropTable(table))
        op.execute(CreateTable(table))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            op.execute(CreateIndex(index))
        if table is SIGNING_KEY:
            _insert_signing_key()


def _insert_signing_key() -> None:
    dialect = op.get_context().dialect.name
    # Replicas that replay statements would each draw another secret, so it is a literal where that is possible.
    secret = DRAWN_SECRET[dialect] if context.is_offline_mode() else f"'{secrets.token_hex(32)}'"
    op.execute(INSERT_SIGNING_KEY.format(secret=secret, now=NOW[dialect]))


def _has_made_by(connection: sa.Connection, table: str) -> bool:
    # A script may be for a database in which an earlier migration, which is in it too, makes the table.
    return sa.inspect(connection).has_table(table) and "made_by" in column_names(connection, table)


def _has_rows(connection: sa.Connection, table: sa.Table) -> bool:
    return connection.execute(sa.select(sa.literal_column("1")).select_from(table).limit(1)).first() is not None
