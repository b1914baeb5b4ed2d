"""What is committed and not yet told (promise 7).

`due_at` is when it is tried again if nobody has told it by then: never, if it is empty, since it was set aside
after its last attempt, with its `error`.
"""

from typing import Any

from sqlalchemy import Column, Index, Integer, String, Table

from .columns import OPTIONS, key, long_text, metadata, utc


def _waiting() -> list[Column[Any]]:
    return [
        Column("body", long_text(), nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("due_at", utc()),
        Column("error", String(500)),
        Column("created_at", utc(), nullable=False),
    ]


# One row carries all changes of a batch, as JSON.
event = Table(
    "event", metadata, Column("id", key(), primary_key=True), *_waiting(), Index(None, "due_at"), **OPTIONS
)

# One row is one request that is owed to an endpoint; its body is what is sent.
delivery = Table(
    "delivery",
    metadata,
    Column("id", key(), primary_key=True),
    Column("endpoint", String(16), nullable=False),
    # What the receiver knows it by, however often it comes.
    Column("webhook_id", String(45), nullable=False),
    *_waiting(),
    Index(None, "endpoint", "due_at"),
    **OPTIONS,
)

# An endpoint that said that it is gone for good is told nothing more.
endpoint_off = Table(
    "endpoint_off",
    metadata,
    Column("endpoint", String(16), primary_key=True),
    Column("created_at", utc(), nullable=False),
    **OPTIONS,
)
