"""The messages in everyone's inbox, and the teams that share what they are told.

An inbox is divided into folders: the messages of one team (none: the reader's own account), of one type, and
either the reader's own business or not. Every question about an inbox is one about some of its folders.
"""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

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
    # Empty in the messages of the reader's own account: a key cannot hold NULL.
    Column("team_id", String(45), nullable=False),
    Column("message_type", String(20), nullable=False),
    # Whether it is the reader's own business: of the reader's doing, or concerning the reader.
    Column("own", Boolean, nullable=False),
    Column("unread", Boolean, nullable=False),
    # The order, account or note that it tells of.
    Column("source_id", String(45), nullable=False),
    # Who did it: nobody, if it was the service.
    Column("user_id", String(45), nullable=False),
    Column("user_name", String(45), nullable=False),
    Column("team_name", String(45), nullable=False),
    Column("receiver_id", String(45), nullable=False),
    # Only a note of a person's has its own; the others' is made from a template when they are read.
    Column("title", String(100), nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", utc(), nullable=False),
    # Each reader is told of everything once (promise 7).
    UniqueConstraint("source_id", "reader_id", "team_id", "message_type"),
    # A page of an inbox.
    Index(None, "reader_id", "team_id", "message_type", "own", "unread", "id"),
    # What is new to a reader.
    Index("ix_message_reader", "reader_id", "id"),
    **OPTIONS,
)

# How many messages a folder holds: counting a million of them takes longer than reading a page.
folder = Table(
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
