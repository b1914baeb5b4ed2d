"""The whole schema as of the first release; the data of a 2018 demo's database is taken over.

Do not change this file: the present tables are in myaccount/model, and a change of them is a new migration.
"""

from typing import Any, Final

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable

from myaccount.migrations.legacy_2018 import rows as demo_rows
from myaccount.migrations.legacy_2018 import tables as demo_tables
from myaccount.migrations.legacy_2018.unversioned import Found, find

revision = "0001"
down_revision = None

OPTIONS: Final[dict[str, Any]] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "sqlite_autoincrement": True,
}
ID: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME: Final = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
LONG_TEXT: Final = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")

TABLES: Final = sa.MetaData()

sa.Table(
    "team",
    TABLES,
    sa.Column("id", ID, nullable=False),
    sa.Column("team_id", sa.String(45), nullable=False),
    sa.Column("team_name", sa.String(45), nullable=False),
    sa.Column("created_at", TIME, nullable=False),
    sa.PrimaryKeyConstraint("id"),
    sa.UniqueConstraint("team_id", name="uq_team_team_id"),
    **OPTIONS,
)
sa.Table(
    "user",
    TABLES,
    sa.Column("id", ID, nullable=False),
    sa.Column("user_id", sa.String(45), nullable=False),
    sa.Column("user_name", sa.String(45), nullable=False),
    sa.Column("sex", sa.String(2), nullable=False),
    sa.Column("card_num", sa.String(45), nullable=False),
    sa.Column("created_at", TIME, nullable=False),
    sa.PrimaryKeyConstraint("id"),
    sa.UniqueConstraint("user_id", name="uq_user_user_id"),
    **OPTIONS,
)
sa.Table(
    "team_member",
    TABLES,
    sa.Column("team_id", sa.String(45), nullable=False),
    sa.Column("user_id", sa.String(45), nullable=False),
    sa.PrimaryKeyConstraint("team_id", "user_id"),
    sa.ForeignKeyConstraint(["team_id"], ["team.team_id"], name="fk_team_member_team_id"),
    sa.ForeignKeyConstraint(["user_id"], ["user.user_id"], name="fk_team_member_user_id"),
    sa.Index("ix_team_member_user_id", "user_id"),
    **OPTIONS,
)
sa.Table(
    "account",
    TABLES,
    sa.Column("id", ID, nullable=False),
    sa.Column("account_id", sa.String(45), nullable=False),
    sa.Column("account_type", sa.String(45), nullable=False),
    sa.Column("user_id", sa.String(45)),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("balance", sa.BigInteger(), nullable=False),
    sa.Column("floor", sa.BigInteger()),
    sa.Column("team_id", sa.String(45)),
    sa.Column("created_at", TIME, nullable=False),
    sa.PrimaryKeyConstraint("id"),
    sa.CheckConstraint("floor IS NULL OR balance >= floor", name="ck_account_floor"),
    sa.UniqueConstraint("account_id", name="uq_account_account_id"),
    sa.ForeignKeyConstraint(["user_id"], ["user.user_id"], name="fk_account_user_id"),
    sa.ForeignKeyConstraint(["team_id"], ["team.team_id"], name="fk_account_team_id"),
    sa.Index("ix_account_team_id", "team_id"),
    sa.Index("ix_account_user_id", "user_id"),
    **OPTIONS,
)
sa.Table(
    "order",
    TABLES,
    sa.Column("id", ID, nullable=False),
    sa.Column("order_id", sa.String(45), nullable=False),
    sa.Column("order_type", sa.String(45), nullable=False),
    sa.Column("from_account", sa.BigInteger(), nullable=False),
    sa.Column("to_account", sa.BigInteger(), nullable=False),
    sa.Column("amount", sa.BigInteger(), nullable=False),
    sa.Column("from_balance", sa.BigInteger(), nullable=False),
    sa.Column("to_balance", sa.BigInteger(), nullable=False),
    sa.Column("status", sa.String(10), nullable=False),
    sa.Column("reason", sa.String(45)),
    sa.Column("created_at", TIME, nullable=False),
    sa.PrimaryKeyConstraint("id"),
    sa.CheckConstraint("amount > 0", name="ck_order_amount"),
    sa.UniqueConstraint("order_id", name="uq_order_order_id"),
    sa.ForeignKeyConstraint(["from_account"], ["account.id"], name="fk_order_from_account"),
    sa.ForeignKeyConstraint(["to_account"], ["account.id"], name="fk_order_to_account"),
    sa.Index("ix_order_from_account", "from_account"),
    sa.Index("ix_order_to_account", "to_account"),
    **OPTIONS,
)
sa.Table(
    "event",
    TABLES,
    sa.Column("id", ID, nullable=False),
    sa.Column("body", LONG_TEXT, nullable=False),
    sa.Column("attempts", sa.Integer(), nullable=False),
    sa.Column("due_at", TIME),
    sa.Column("error", sa.String(500)),
    sa.Column("created_at", TIME, nullable=False),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("ix_event_due_at", "due_at"),
    **OPTIONS,
)
sa.Table(
    "delivery",
    TABLES,
    sa.Column("id", ID, nullable=False),
    sa.Column("endpoint", sa.String(16), nullable=False),
    sa.Column("webhook_id", sa.String(45), nullable=False),
    sa.Column("body", LONG_TEXT, nullable=False),
    sa.Column("attempts", sa.Integer(), nullable=False),
    sa.Column("due_at", TIME),
    sa.Column("error", sa.String(500)),
    sa.Column("created_at", TIME, nullable=False),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("ix_delivery_endpoint", "endpoint", "due_at"),
    **OPTIONS,
)
sa.Table(
    "endpoint_off",
    TABLES,
    sa.Column("endpoint", sa.String(16), nullable=False),
    sa.Column("created_at", TIME, nullable=False),
    sa.PrimaryKeyConstraint("endpoint"),
    **OPTIONS,
)
sa.Table(
    "message",
    TABLES,
    sa.Column("id", ID, nullable=False),
    sa.Column("reader_id", sa.String(45), nullable=False),
    sa.Column("team_id", sa.String(45), nullable=False),
    sa.Column("message_type", sa.String(20), nullable=False),
    sa.Column("own", sa.Boolean(), nullable=False),
    sa.Column("unread", sa.Boolean(), nullable=False),
    sa.Column("source_id", sa.String(45), nullable=False),
    sa.Column("user_id", sa.String(45), nullable=False),
    sa.Column("user_name", sa.String(45), nullable=False),
    sa.Column("team_name", sa.String(45), nullable=False),
    sa.Column("receiver_id", sa.String(45), nullable=False),
    sa.Column("title", sa.String(100), nullable=False),
    sa.Column("body", sa.Text(), nullable=False),
    sa.Column("created_at", TIME, nullable=False),
    sa.PrimaryKeyConstraint("id"),
    sa.UniqueConstraint("source_id", "reader_id", "team_id", "message_type", name="uq_message_source_id"),
    sa.Index("ix_message_reader", "reader_id", "id"),
    sa.Index("ix_message_reader_id", "reader_id", "team_id", "message_type", "own", "unread", "id"),
    **OPTIONS,
)
sa.Table(
    "folder",
    TABLES,
    sa.Column("reader_id", sa.String(45), nullable=False),
    sa.Column("team_id", sa.String(45), nullable=False),
    sa.Column("message_type", sa.String(20), nullable=False),
    sa.Column("own", sa.Boolean(), nullable=False),
    sa.Column("total", sa.Integer(), nullable=False),
    sa.Column("unread", sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint("reader_id", "team_id", "message_type", "own"),
    **OPTIONS,
)

EXTERNAL_ACCOUNT: Final = """\
-- Stands for everything outside the ledger: the other side of every recharge.
INSERT INTO account (id, account_id, account_type, user_id, currency, balance, floor, created_at)
VALUES (1, 'outside CNY', 'external', NULL, 'CNY', 0, NULL, {now})"""
NOW: Final = {"mysql": "UTC_TIMESTAMP(6)", "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now')"}


def check(connection: sa.Connection) -> Found:
    """Return which of the tables exist. Raises CommandError if the migration cannot start from these."""
    if demo_tables.is_there(connection):
        demo_tables.check(connection)
    return find(connection, TABLES, ignored=demo_tables.tables_to_rename(connection))


def upgrade() -> None:
    attributes = context.config.attributes
    connection, report = attributes["connection"], attributes["report"]
    found = Found([]) if connection is None else check(connection)
    if found.complete:
        report("The tables are there already, as an earlier checkout made them: they are kept as they are.")
        return
    has_demo = connection is not None and demo_tables.is_there(connection)
    if has_demo and context.is_offline_mode():
        report("The demo's tables are here. `myaccount migrate` itself renames them and takes over their data;")
        report("a script cannot. These statements only make the new tables.")
        has_demo = False
    if has_demo:
        demo_tables.rename(connection, report)
    # Empty tables of an unfinished migration.
    for table in reversed(found.tables):
        op.execute(DropTable(table))
    for table in TABLES.sorted_tables:
        op.execute(CreateTable(table))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            op.execute(CreateIndex(index))
    # On either database, everything from here to the version's row is one transaction.
    op.execute(EXTERNAL_ACCOUNT.format(now=NOW[op.get_context().dialect.name]))
    if has_demo:
        demo_rows.copy_rows(connection, report)
