"""Who may do what: API keys, operators and their sessions, the key that signs tokens, and the audit log.

Only the secret that signs is stored as it is. A `secret_hash` is the SHA-256 of a random secret, in hex.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from .columns import OPTIONS, key, metadata, utc

# Keys with one name are rotations of each other.
api_key = Table(
    "api_key",
    metadata,
    Column("id", key(), primary_key=True),
    # The public part of the key.
    Column("key_id", String(12), nullable=False, unique=True),
    Column("name", String(45), nullable=False, index=True),
    Column("secret_hash", String(64), nullable=False),
    # With commas between them.
    Column("scopes", String(500), nullable=False),
    # NULL: without a limit.
    Column("rate_per_second", Integer),
    Column("created_at", utc(), nullable=False),
    Column("expires_at", utc()),
    Column("revoked_at", utc()),
    **OPTIONS,
)

operator = Table(
    "operator",
    metadata,
    Column("id", key(), primary_key=True),
    Column("name", String(45), nullable=False, unique=True),
    Column("role", String(10), nullable=False),
    Column("password_hash", String(200), nullable=False),
    Column("created_at", utc(), nullable=False),
    Column("removed_at", utc()),
    **OPTIONS,
)

# A session that ended is deleted.
session = Table(
    "session",
    metadata,
    Column("id", key(), primary_key=True),
    Column("secret_hash", String(64), nullable=False, unique=True),
    Column("operator", BigInteger, nullable=False, index=True),
    Column("address", String(45), nullable=False),
    Column("created_at", utc(), nullable=False),
    Column("used_at", utc(), nullable=False),
    Column("expires_at", utc(), nullable=False, index=True),
    **OPTIONS,
)

# One row: the secret that signs users' tokens and sessions, and the highest time that any process has seen.
signing_key = Table(
    "signing_key",
    metadata,
    Column("id", key(), primary_key=True),
    Column("secret", String(64), nullable=False),
    Column("seen_at", utc(), nullable=False),
    **OPTIONS,
)

# Rows are only ever inserted.
audit = Table(
    "audit",
    metadata,
    Column("id", key(), primary_key=True),
    Column("at", utc(), nullable=False),
    # key, operator, user, command line or nobody.
    Column("who_kind", String(12), nullable=False),
    Column("who", String(45), nullable=False),
    Column("what", String(45), nullable=False),
    Column("about_kind", String(12), nullable=False),
    Column("about", String(45), nullable=False),
    Column("address", String(45), nullable=False),
    Column("request_id", String(64), nullable=False),
    Index(None, "at", "id"),
    Index(None, "who", "id"),
    Index(None, "what", "id"),
    Index(None, "about", "id"),
    **OPTIONS,
)
