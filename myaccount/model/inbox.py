"""Inboxes: messages and their counters; teams and their members.

An inbox has a counter for each combination of team (empty: the reader's own account), message type, and whether
the message is the reader's own. Every query of an inbox covers some of these combinations.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from .columns import OPTIONS, key, metadata, utc

team = Table(
    "team",
    metadata,
    Column("id", key(), primary_key=True),
    Column("team_id", String(45), nullable=False, unique=True),
    Column("team_name", String(45), nullable=False),
    Column("created_at", utc(), nullable=False),
    **OPTIONS,
)

team_member = Table(
    "team_member",
    metadata,
    Column("team_id", String(45), ForeignKey("team.team_id"), primary_key=True),
    Column("user_id", String(45), ForeignKey("user.user_id"), primary_key=True, index=True),
    **OPTIONS,
)

message = Table(
    "message",
    metadata,
    Column("id", key(), primary_key=True),
    Column("reader_id", String(45), nullable=False),
    # Empty for messages about the reader's own account, since primary keys cannot hold NULL.
    Column("team_id", String(45), nullable=False),
    Column("message_type", String(20), nullable=False),
    # Whether the reader caused the message, or it concerns the reader.
    Column("own", Boolean, nullable=False),
    Column("unread", Boolean, nullable=False),
    # The id of the order, account or note that the message is about.
    Column("source_id", String(45), nullable=False),
    # Who caused it. Empty for the service.
    Column("user_id", String(45), nullable=False),
    Column("user_name", String(45), nullable=False),
    Column("team_name", String(45), nullable=False),
    Column("receiver_id", String(45), nullable=False),
    # Stored for notes only. Others get title and text from a template when they are read.
    Column("title", String(100), nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", utc(), nullable=False),
    # Each reader gets one message about each source (promise 7).
    UniqueConstraint("source_id", "reader_id", "team_id", "message_type"),
    # For pages of an inbox.
    Index(None, "reader_id", "team_id", "message_type", "own", "unread", "id"),
    # For live streams: the newest messages of a reader.
    Index("ix_message_reader", "reader_id", "id"),
    **OPTIONS,
)

# The numbers of the last entry and of the last decline of each account that its user's inbox has a message about.
# An opening is entry 0; without a row, the inbox has no message about the account.
inbox_mark = Table(
    "inbox_mark",
    metadata,
    Column("account", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("declines", BigInteger, nullable=False, server_default=text("0")),
    **OPTIONS | {"sqlite_with_rowid": False, "sqlite_autoincrement": False},
)

# Numbers of messages. Counting a million rows would take longer than reading a page.
counter = Table(
    "folder",
    metadata,
    Column("reader_id", String(45), primary_key=True),
    Column("team_id", String(45), primary_key=True),
    Column("message_type", String(20), primary_key=True),
    Column("own", Boolean, primary_key=True),
    Column("total", Integer, nullable=False),
    Column("unread", Integer, nullable=False),
    **OPTIONS,
)
