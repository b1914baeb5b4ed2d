"""The tables, as SQLAlchemy Core sees them. `sql/sql.sql` and the embedded file are made from these.

Money is in the currency's smallest unit. Times are UTC, to the microsecond. Ids are compared exactly
(case, accents and all), so they have a binary collation.
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

# The row of the account table that stands for everything outside the ledger: double entry needs a second
# account for every recharge. It has no user and no floor. Its account id holds a space, which no id that
# comes over the wire may, so that nobody can take or name it.
EXTERNAL_ACCOUNT: Final = 1
EXTERNAL_ACCOUNT_ID: Final = "outside CNY"

_OPTIONS: Final[dict[str, Any]] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "sqlite_autoincrement": True,
}


def _key() -> TypeEngine[int]:
    # Only a column declared INTEGER numbers itself in SQLite.
    return BigInteger().with_variant(Integer, "sqlite")


def _utc() -> TypeEngine[datetime]:
    return DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

user = Table(
    "user",
    metadata,
    Column("id", _key(), primary_key=True),
    Column("user_id", String(45), nullable=False, unique=True),
    Column("user_name", String(45), nullable=False),
    Column("sex", String(2), nullable=False),
    Column("card_num", String(45), nullable=False),
    Column("created_at", _utc(), nullable=False),
    **_OPTIONS,
)

account = Table(
    "account",
    metadata,
    Column("id", _key(), primary_key=True),
    Column("account_id", String(45), nullable=False, unique=True),
    Column("account_type", String(45), nullable=False),
    Column("user_id", String(45), ForeignKey("user.user_id"), index=True),
    Column("currency", String(3), nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("floor", BigInteger),
    Column("created_at", _utc(), nullable=False),
    # The rules are in decide(); this is the database's own word on promise 3.
    CheckConstraint("floor IS NULL OR balance >= floor", name="floor"),
    **_OPTIONS,
)

# The journal. `from_balance` and `to_balance` are the two balances after the order.
order = Table(
    "order",
    metadata,
    Column("id", _key(), primary_key=True),
    Column("order_id", String(45), nullable=False, unique=True),
    Column("order_type", String(45), nullable=False),
    Column("from_account", BigInteger, ForeignKey("account.id"), nullable=False, index=True),
    Column("to_account", BigInteger, ForeignKey("account.id"), nullable=False, index=True),
    Column("amount", BigInteger, nullable=False),
    Column("from_balance", BigInteger, nullable=False),
    Column("to_balance", BigInteger, nullable=False),
    Column("status", String(10), nullable=False),
    Column("reason", String(45)),
    Column("created_at", _utc(), nullable=False),
    CheckConstraint("amount > 0", name="amount"),
    **_OPTIONS,
)

# What is committed and not yet told (promise 7). `due_at` is when the sweeper sends it again; `set_aside_at`
# is set once it has failed for the last time, with its `error`.
event = Table(
    "event",
    metadata,
    Column("id", _key(), primary_key=True),
    Column("event_type", String(45), nullable=False),
    # One row carries a whole batch, which may be more than the 64 KiB of a TEXT.
    Column("body", Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", _utc(), nullable=False),
    Column("set_aside_at", _utc()),
    Column("error", String(500)),
    Column("created_at", _utc(), nullable=False),
    Index(None, "due_at"),
    **_OPTIONS,
)
