"""The ledger's tables. Money is in the currency's smallest unit.

Each change of a table, here or in the modules beside this one, needs a migration in sql/migrations.
"""

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, String, Table, text

from .columns import OPTIONS, key, metadata, utc

# In double entry, a recharge needs a second account: each currency has one that stands for everything outside the
# ledger. It has no user and no floor. Its account id contains a space, so that no client can use it. The first one
# is made with the tables, the others with the first account in their currency.
OUTSIDE_PREFIX: Final = "outside "
EXTERNAL_ACCOUNT: Final = 1
EXTERNAL_ACCOUNT_ID: Final = OUTSIDE_PREFIX + "CNY"

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
    # The number of the last entry.
    Column("last_entry", BigInteger, nullable=False, server_default=text("0")),
    # The sum of what the account's open holds have left.
    Column("held", BigInteger, nullable=False, server_default=text("0")),
    # none, debits, credits or all.
    Column("frozen", String(7), nullable=False, server_default=text("'none'")),
    # open or closed.
    Column("status", String(6), nullable=False, server_default=text("'open'")),
    # The number of the last decline.
    Column("last_decline", BigInteger, nullable=False, server_default=text("0")),
    # The rules are in the ledger. These are the database's own checks of promise 3.
    CheckConstraint("floor IS NULL OR balance - held >= floor", name="available"),
    CheckConstraint("held >= 0", name="held"),
    **OPTIONS,
)

# Each change of an account's settings.
account_change = Table(
    "account_change",
    metadata,
    Column("id", key(), primary_key=True),
    Column("change_id", String(45), nullable=False, unique=True),
    Column("account", BigInteger, nullable=False),
    # frozen, status or floor.
    Column("setting", String(10), nullable=False),
    Column("value", String(45), nullable=False),
    Column("reason", String(200), nullable=False),
    Column("created_at", utc(), nullable=False),
    # As of an order.
    Column("made_by", String(45)),
    Index(None, "account", "id"),
    **OPTIONS,
)

# The journal: one row for each order, posted or declined.
order = Table(
    "order",
    metadata,
    Column("id", key(), primary_key=True),
    Column("order_id", String(45), nullable=False, unique=True),
    Column("order_type", String(45), nullable=False),
    Column("from_account", BigInteger, nullable=False),
    Column("to_account", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("status", String(10), nullable=False),
    Column("reason", String(45)),
    Column("created_at", utc(), nullable=False),
    # How much of it was given back.
    Column("refunded", BigInteger, nullable=False, server_default=text("0")),
    # The digest of the fields that were sent. NULL if the other columns tell them: user ids and an amount alone.
    Column("fingerprint", String(32)),
    # The order that a refund gives back, or the hold that the order is about.
    Column("target_order_id", String(45)),
    Column("bulk_id", String(45)),
    Column("note", String(200)),
    Column("reference", String(64)),
    # The id of the API key that made it, or the operator.
    Column("made_by", String(45)),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("refunded >= 0 AND refunded <= amount", name="refunded"),
    **OPTIONS,
)

# The postings: each order that moved money has one in each of its two accounts, numbered from 1 without gaps. The
# amount is signed, and `balance` is the account's after it.
entry = Table(
    "entry",
    metadata,
    Column("account", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("order_id", String(45), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("balance", BigInteger, nullable=False),
    # How much of the payer's balance is held after it. NULL for nothing, for the payee, and for older entries.
    Column("held", BigInteger),
    **OPTIONS | {"sqlite_with_rowid": False, "sqlite_autoincrement": False},
)

# The declined orders of each account, numbered from 1 without gaps. Each belongs to the payer's account or, if
# money comes from outside, to the payee's. The rest is what that account had by then. Orders that were declined
# before this table was made are not in it.
decline = Table(
    "decline",
    metadata,
    Column("account", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("order_id", String(45), nullable=False),
    # The number of its last entry.
    Column("entry", BigInteger, nullable=False),
    Column("balance", BigInteger, nullable=False),
    # NULL for nothing.
    Column("held", BigInteger),
    **OPTIONS | {"sqlite_with_rowid": False, "sqlite_autoincrement": False},
)

# What is left of each hold, and when it ends. `due_at` is NULL once it has ended.
hold = Table(
    "hold",
    metadata,
    Column("id", key(), primary_key=True),
    Column("order_id", String(45), nullable=False, unique=True),
    Column("payer", BigInteger, nullable=False),
    Column("payee", BigInteger, nullable=False),
    Column("remaining", BigInteger, nullable=False),
    Column("captured", BigInteger, nullable=False),
    # held, captured, released or expired.
    Column("status", String(8), nullable=False),
    Column("expires_at", utc(), nullable=False),
    Column("due_at", utc()),
    CheckConstraint("remaining >= 0 AND captured >= 0", name="remaining"),
    # For the holds of an account that have expired, and for the sweeper.
    Index(None, "payer", "due_at"),
    Index(None, "due_at"),
    **OPTIONS,
)

# Ids of bulks that are taken, with the digest of their content.
bulk = Table(
    "bulk",
    metadata,
    Column("id", key(), primary_key=True),
    Column("bulk_id", String(45), nullable=False, unique=True),
    Column("fingerprint", String(32), nullable=False),
    Column("created_at", utc(), nullable=False),
    **OPTIONS,
)
