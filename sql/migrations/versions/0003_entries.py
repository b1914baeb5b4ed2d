"""Entries, holds, refunds and bulks; accounts can be frozen and closed.

Each posted order gets an entry in each of its two accounts. The entries take over the order's two balances. On
MySQL and MariaDB they are committed in parts, and an interrupted migration continues after the last part.
"""

import time
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from alembic import context, op
from alembic.util import CommandError
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable

from myaccount.migrations.legacy_2018.unversioned import column_names

revision = "0003"
down_revision = "0002"

# The orders of each part. MariaDB sorts the entries of this many in memory.
PAGE_SIZE: Final = 20_000
REPORT_SECONDS: Final = 5
# At most this many deviations of one kind are reported.
SHOWN: Final = 20

OPTIONS: Final[dict[str, Any]] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}
ID: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME: Final = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")

TABLES: Final = sa.MetaData()

ENTRY: Final = sa.Table(
    "entry",
    TABLES,
    sa.Column("account", sa.BigInteger(), nullable=False, autoincrement=False),
    sa.Column("number", sa.BigInteger(), nullable=False, autoincrement=False),
    sa.Column("order_id", sa.String(45), nullable=False),
    sa.Column("amount", sa.BigInteger(), nullable=False),
    sa.Column("balance", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("account", "number"),
    sqlite_with_rowid=False,
    **OPTIONS,
)
sa.Table(
    "hold",
    TABLES,
    sa.Column("id", ID, nullable=False),
    sa.Column("order_id", sa.String(45), nullable=False),
    sa.Column("payer", sa.BigInteger(), nullable=False),
    sa.Column("payee", sa.BigInteger(), nullable=False),
    sa.Column("remaining", sa.BigInteger(), nullable=False),
    sa.Column("captured", sa.BigInteger(), nullable=False),
    sa.Column("status", sa.String(8), nullable=False),
    sa.Column("expires_at", TIME, nullable=False),
    sa.Column("due_at", TIME),
    sa.PrimaryKeyConstraint("id"),
    sa.CheckConstraint("remaining >= 0 AND captured >= 0", name="ck_hold_remaining"),
    sa.UniqueConstraint("order_id", name="uq_hold_order_id"),
    sa.Index("ix_hold_payer", "payer", "due_at"),
    sa.Index("ix_hold_due_at", "due_at"),
    sqlite_autoincrement=True,
    **OPTIONS,
)
sa.Table(
    "bulk",
    TABLES,
    sa.Column("id", ID, nullable=False),
    sa.Column("bulk_id", sa.String(45), nullable=False),
    sa.Column("fingerprint", sa.String(32), nullable=False),
    sa.Column("created_at", TIME, nullable=False),
    sa.PrimaryKeyConstraint("id"),
    sa.UniqueConstraint("bulk_id", name="uq_bulk_bulk_id"),
    sqlite_autoincrement=True,
    **OPTIONS,
)
sa.Table(
    "account_change",
    TABLES,
    sa.Column("id", ID, nullable=False),
    sa.Column("change_id", sa.String(45), nullable=False),
    sa.Column("account", sa.BigInteger(), nullable=False),
    sa.Column("setting", sa.String(10), nullable=False),
    sa.Column("value", sa.String(45), nullable=False),
    sa.Column("reason", sa.String(200), nullable=False),
    sa.Column("created_at", TIME, nullable=False),
    sa.PrimaryKeyConstraint("id"),
    sa.UniqueConstraint("change_id", name="uq_account_change_change_id"),
    sa.Index("ix_account_change_account", "account", "id"),
    sqlite_autoincrement=True,
    **OPTIONS,
)

# While the entries are made, a server's orders have this name. So a program of an earlier version, which would
# write orders without entries, fails.
UNFINISHED: Final = "order_0002"

# The type of an order that the 2018 demo had was anything. These types mean something else from now on.
OTHER_TYPES: Final = "order_type IN ('03', '04', '05', '06', '07', '08')"

# An account that paid itself, as in the 2018 demo, has two entries of such an order.
ENTRIES: Final = """\
INSERT INTO entry (account, number, order_id, amount, balance)
SELECT side.account,
    COALESCE((SELECT made.number FROM entry AS made WHERE made.account = side.account
        ORDER BY made.number DESC LIMIT 1), 0)
    + ROW_NUMBER() OVER (PARTITION BY side.account ORDER BY side.id, side.amount),
    side.order_id, side.amount, side.balance
FROM (
    SELECT id, order_id, from_account AS account, -amount AS amount,
        CASE WHEN from_account = to_account THEN from_balance - amount ELSE from_balance END AS balance
    FROM `{orders}` WHERE status = 'posted' AND {page}
    UNION ALL
    SELECT id, order_id, to_account, amount, to_balance
    FROM `{orders}` WHERE status = 'posted' AND {page}
) AS side"""

ENTRY_COUNT: Final = """\
COALESCE((SELECT number FROM entry WHERE entry.account = account.id ORDER BY number DESC LIMIT 1), 0)"""

# The columns, indexes and constraints of version 0002 that change, and the statement that drops each. OceanBase
# does not take two kinds of change in one statement.
DROP_OF_ORDER: Final = {
    "fk_order_from_account": "DROP FOREIGN KEY fk_order_from_account, DROP FOREIGN KEY fk_order_to_account",
    "ix_order_from_account": "DROP INDEX ix_order_from_account, DROP INDEX ix_order_to_account",
    "from_balance": "DROP COLUMN from_balance, DROP COLUMN to_balance",
}
ADD_TO_ORDER: Final = {
    "refunded": """\
ADD COLUMN refunded BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN fingerprint VARCHAR(32),
    ADD COLUMN target_order_id VARCHAR(45),
    ADD COLUMN bulk_id VARCHAR(45),
    ADD COLUMN note VARCHAR(200),
    ADD COLUMN reference VARCHAR(64)""",
    "ck_order_refunded": "ADD CONSTRAINT ck_order_refunded CHECK (refunded >= 0 AND refunded <= amount)",
}
DROP_OF_ACCOUNT: Final = {
    # MariaDB runs the first comment. MySQL that enforces CHECK, and OceanBase, run the second.
    "ck_account_floor": """\
/*M!100200 DROP CONSTRAINT ck_account_floor */ /*!80016 DROP CHECK ck_account_floor */""",
}
ADD_TO_ACCOUNT: Final = {
    "held": """\
ADD COLUMN held BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN frozen VARCHAR(7) NOT NULL DEFAULT 'none',
    ADD COLUMN status VARCHAR(6) NOT NULL DEFAULT 'open'""",
    "ck_account_available": """\
ADD CONSTRAINT ck_account_available CHECK (floor IS NULL OR balance - held >= floor)""",
    "ck_account_held": "ADD CONSTRAINT ck_account_held CHECK (held >= 0)",
}

# SQLite cannot drop a constraint, so these two tables are made again.
SQLITE_ORDER: Final = """\
CREATE TABLE `order` (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    order_id VARCHAR(45) NOT NULL,
    order_type VARCHAR(45) NOT NULL,
    from_account BIGINT NOT NULL,
    to_account BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    status VARCHAR(10) NOT NULL,
    reason VARCHAR(45),
    created_at DATETIME NOT NULL,
    refunded BIGINT NOT NULL DEFAULT 0,
    fingerprint VARCHAR(32),
    target_order_id VARCHAR(45),
    bulk_id VARCHAR(45),
    note VARCHAR(200),
    reference VARCHAR(64),
    CONSTRAINT ck_order_amount CHECK (amount > 0),
    CONSTRAINT ck_order_refunded CHECK (refunded >= 0 AND refunded <= amount),
    CONSTRAINT uq_order_order_id UNIQUE (order_id)
)"""
SQLITE_ACCOUNT: Final = """\
CREATE TABLE account (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    account_id VARCHAR(45) NOT NULL,
    account_type VARCHAR(45) NOT NULL,
    user_id VARCHAR(45),
    currency VARCHAR(3) NOT NULL,
    balance BIGINT NOT NULL,
    floor BIGINT,
    team_id VARCHAR(45),
    created_at DATETIME NOT NULL,
    last_entry BIGINT NOT NULL DEFAULT 0,
    held BIGINT NOT NULL DEFAULT 0,
    frozen VARCHAR(7) NOT NULL DEFAULT 'none',
    status VARCHAR(6) NOT NULL DEFAULT 'open',
    CONSTRAINT ck_account_available CHECK (floor IS NULL OR balance - held >= floor),
    CONSTRAINT ck_account_held CHECK (held >= 0),
    CONSTRAINT uq_account_account_id UNIQUE (account_id),
    CONSTRAINT fk_account_user_id FOREIGN KEY(user_id) REFERENCES user (user_id),
    CONSTRAINT fk_account_team_id FOREIGN KEY(team_id) REFERENCES team (team_id)
)"""
ORDER_COLUMNS: Final = "id, order_id, order_type, from_account, to_account, amount, status, reason, created_at"
ACCOUNT_COLUMNS: Final = (
    "id, account_id, account_type, user_id, currency, balance, floor, team_id, created_at, last_entry"
)


def check(connection: sa.Connection) -> None:
    """Raise CommandError if a table that is not this program's has one of the names that it needs."""
    _is_renamed(connection)
    for table in TABLES.tables.values():
        if not sa.inspect(connection).has_table(table.name):
            continue
        rows = connection.scalar(sa.text(f"SELECT COUNT(*) FROM (SELECT 1 FROM {table.name} LIMIT 1) AS found"))
        # Entries may be there: those of an interrupted migration.
        if column_names(connection, table.name) != set(table.c.keys()) or (rows and table is not ENTRY):
            raise CommandError(
                f"the database {connection.engine.url.database} has a table {table.name}, which is another "
                "program's, and this program needs the name. Nothing was changed. Rename that table."
            )


def _is_renamed(connection: sa.Connection) -> bool:
    """Whether an interrupted migration left the orders under the other name. Raises CommandError for a copy."""
    inspector = sa.inspect(connection)
    if not inspector.has_table(UNFINISHED):
        return False
    if inspector.has_table("order"):
        raise CommandError(
            f"the database {connection.engine.url.database} has a table {UNFINISHED} beside the table order, and "
            "this program needs the name. Nothing was changed. Rename that table."
        )
    return True


def upgrade() -> None:
    connection = context.config.attributes["connection"]
    if connection is not None and not _has_column(connection, "account", "last_entry"):
        # A script for a database that has no tables yet.
        connection = None
    _create_tables(connection)
    if op.get_context().dialect.name == "sqlite":
        _upgrade_sqlite(connection)
    else:
        _upgrade_server(connection)


def _create_tables(connection: sa.Connection | None) -> None:
    for table in TABLES.sorted_tables:
        is_there = connection is not None and sa.inspect(connection).has_table(table.name)
        if is_there and table is ENTRY:
            continue
        if is_there:
            # It is empty, and may lack an index.
            op.execute(DropTable(table))
        op.execute(CreateTable(table))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            op.execute(CreateIndex(index))


def _upgrade_sqlite(connection: sa.Connection | None) -> None:
    # 64 MiB instead of 2: entries are inserted all over their table. It ends with the connection.
    op.execute("PRAGMA cache_size = -65536")
    _make_entries(connection, "order")
    _rebuild("order", SQLITE_ORDER, ORDER_COLUMNS)
    # Only now, when no order refers to it.
    _rebuild("account", SQLITE_ACCOUNT, ACCOUNT_COLUMNS)
    op.execute("CREATE INDEX ix_account_team_id ON account (team_id)")
    op.execute("CREATE INDEX ix_account_user_id ON account (user_id)")


def _rebuild(table: str, create: str, columns: str) -> None:
    op.execute(f"ALTER TABLE `{table}` RENAME TO {table}_0002")
    op.execute(create)
    op.execute(f"INSERT INTO `{table}` ({columns}) SELECT {columns} FROM {table}_0002 ORDER BY id")
    # The next row's key follows the last one that was ever given.
    op.execute(f"DELETE FROM sqlite_sequence WHERE name = '{table}'")
    op.execute(f"UPDATE sqlite_sequence SET name = '{table}' WHERE name = '{table}_0002'")
    op.execute(f"DROP TABLE {table}_0002")


def _upgrade_server(connection: sa.Connection | None) -> None:
    is_renamed = connection is not None and _is_renamed(connection)
    if is_renamed or connection is None or _has_column(connection, "order", "from_balance"):
        names = _names(connection, UNFINISHED if is_renamed else "order", DROP_OF_ORDER)
        if not is_renamed:
            op.execute(f"RENAME TABLE `order` TO {UNFINISHED}")
        if "from_balance" in names:
            _make_entries(connection, UNFINISHED, resume=is_renamed)
        _change(UNFINISHED, names, DROP_OF_ORDER, ADD_TO_ORDER)
        op.execute(f"RENAME TABLE {UNFINISHED} TO `order`")
    _change("account", _names(connection, "account", DROP_OF_ACCOUNT), DROP_OF_ACCOUNT, ADD_TO_ACCOUNT)


def _change(table: str, names: set[str], drops: Mapping[str, str], additions: Mapping[str, str]) -> None:
    """Make the changes that are not made yet."""
    for name, change in drops.items():
        if name in names:
            op.execute(f"ALTER TABLE {table} {change}")
    for name, change in additions.items():
        if name not in names:
            op.execute(f"ALTER TABLE {table} {change}")


def _make_entries(connection: sa.Connection | None, orders: str, *, resume: bool = False) -> None:
    after = _last_order_with_entries(connection, orders) if connection is not None and resume else 0
    if connection is None or context.is_offline_mode():
        op.execute(ENTRIES.format(orders=orders, page=f"id > {after}"))
    else:
        _make_entries_in_parts(connection, orders, after)
        _report_corrections(connection, orders)
    op.execute(f"UPDATE account SET last_entry = {ENTRY_COUNT}")
    op.execute(f"UPDATE `{orders}` SET order_type = '02' WHERE {OTHER_TYPES}")


def _last_order_with_entries(connection: sa.Connection, orders: str) -> int:
    """Return the key of the last order that has its entries, from which an interrupted migration goes on."""
    done = (connection.scalar(sa.text("SELECT COUNT(*) FROM entry")) or 0) // 2
    query = f"SELECT id FROM `{orders}` WHERE status = 'posted' ORDER BY id LIMIT 1 OFFSET {done - 1}"
    return connection.scalar(sa.text(query)) or 0 if done else 0


def _make_entries_in_parts(connection: sa.Connection, orders: str, after: int) -> None:
    report = context.config.attributes["report"]
    end = connection.scalar(sa.text(f"SELECT MAX(id) FROM `{orders}`")) or 0
    last_key = sa.text(
        f"SELECT MAX(id) FROM (SELECT id FROM `{orders}` WHERE id > :after ORDER BY id LIMIT {PAGE_SIZE}) AS page"
    )
    insert = sa.text(ENTRIES.format(orders=orders, page="id > :after AND id <= :last"))
    reported = time.monotonic()
    while last := connection.scalar(last_key, {"after": after}):
        connection.execute(insert, {"after": after, "last": last})
        if connection.dialect.name != "sqlite":
            # SQLAlchemy's transaction is that of the whole migration.
            connection.exec_driver_sql("COMMIT")
        after = last
        if time.monotonic() >= reported + REPORT_SECONDS:
            report(f"Entries are made up to key {after} of the orders, of {end}.")
            reported = time.monotonic()
    if end:
        count = connection.scalar(sa.text("SELECT COUNT(*) FROM entry"))
        report(f"The orders have {count} entries. The tables of orders and accounts are changed now.")


def _report_corrections(connection: sa.Connection, orders: str) -> None:
    report = context.config.attributes["report"]
    wrong = f"SELECT account_id, last_entry, {ENTRY_COUNT} FROM account WHERE last_entry <> {ENTRY_COUNT}"
    for account_id, last_entry, count in connection.execute(sa.text(f"{wrong} ORDER BY id LIMIT {SHOWN}")):
        report(f"account {account_id!r}: it had {last_entry} as the number of its last entry: that is {count} now")
    query = (
        f"SELECT order_type, COUNT(*) FROM `{orders}` WHERE {OTHER_TYPES} GROUP BY order_type ORDER BY order_type"
    )
    first = sa.text(f"SELECT order_id FROM `{orders}` WHERE order_type = :type ORDER BY id LIMIT {SHOWN}")
    for order_type, count in connection.execute(sa.text(query)).all():
        ids = [repr(id_) for id_ in connection.execute(first, {"type": order_type}).scalars()]
        more = f" and {count - SHOWN} more" if count > SHOWN else ""
        report(
            f"order type {order_type!r} means something else now: its orders ({count}) are transfers, '02': "
            f"{', '.join(ids)}{more}"
        )


def _names(connection: sa.Connection | None, table: str, drops: Mapping[str, str]) -> set[str]:
    """Return the names of the table's columns, indexes and constraints; of `drops`, if there is only a script."""
    if connection is None:
        return set(drops)
    found: set[str] = set()
    for view, schema, name in (
        ("columns", "table_schema", "column_name"),
        ("statistics", "table_schema", "index_name"),
        ("table_constraints", "constraint_schema", "constraint_name"),
    ):
        query = f"SELECT {name} FROM information_schema.{view} WHERE {schema} = DATABASE() AND table_name = :table"
        found.update(connection.execute(sa.text(query), {"table": table}).scalars())
    return found


def _has_column(connection: sa.Connection, table: str, column: str) -> bool:
    return sa.inspect(connection).has_table(table) and column in column_names(connection, table)
