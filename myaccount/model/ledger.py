"""The ledger's tables. Money is in the currency's smallest unit.

Each change of a table, here or in the modules beside this one, needs a migration in sql/migrations.
"""

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, String, Table, text

from .columns import OPTIONS, key, metadata, utc

# The account that stands for everything outside the ledger: in double entry, a recharge needs a second account. It
# has no user and no floor. Its account id contains a space, so that no client can use it.
EXTERNAL_ACCOUNT: Final = 1
EXTERNAL_ACCOUNT_ID: Final = "outside CNY"

user = Table(
    "user",
    metadata,
    Column("id", key(), primary_key=True),
    Column("user_id", String(45), nullable=False, unique=True),
    Column("user_name", String(45), nullable=False),
    Column("sex", String(2), nullable=False),
    Column("card_num", String(45), nullable=False),
    Column("created_at", utc(), nullable=False),
    **OPTIONS,
)

account = Table(
    "account",
    metadata,
    Column("id", key(), primary_key=True),
    Column("account_id", String(45), nullable=False, unique=True),
    Column("account_type", String(45), nullable=False),
    Column("user_id", String(45), ForeignKey("user.user_id"), index=True),
    Column("currency", String(3), nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("floor", BigInteger),
    # Its members get a message for each change of the account.
    Column("team_id", String(45), ForeignKey("team.team_id"), index=True),
    Column("created_at", utc(), nullable=False),
    # The number of the last entry. Each posted order makes one entry in each of its two accounts, numbered from 1
    # without gaps.
    Column("last_entry", BigInteger, nullable=False, server_default=text("0")),
    # The rules are in decide(). This is the database's own check of promise 3.
    CheckConstraint("floor IS NULL OR balance >= floor", name="floor"),
    **OPTIONS,
)

# The journal. `from_balance` and `to_balance` are the two balances after the order.
order = Table(
    "order",
    metadata,
    Column("id", key(), primary_key=True),
    Column("order_id", String(45), nullable=False, unique=True),
    Column("order_type", String(45), nullable=False),
    Column("from_account", BigInteger, ForeignKey("account.id"), nullable=False, index=True),
    Column("to_account", BigInteger, ForeignKey("account.id"), nullable=False, index=True),
    Column("amount", BigInteger, nullable=False),
    Column("from_balance", BigInteger, nullable=False),
    Column("to_balance", BigInteger, nullable=False),
    Column("status", String(10), nullable=False),
    Column("reason", String(45)),
    Column("created_at", utc(), nullable=False),
    CheckConstraint("amount > 0", name="amount"),
    **OPTIONS,
)
