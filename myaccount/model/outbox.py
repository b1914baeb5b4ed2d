"""The outbox: committed events that are not dispatched yet, and requests that are not delivered yet (promise 7).

A row is due for its next attempt at `due_at`. NULL marks a dead letter: its last attempt failed, with `error`.
"""

from typing import Any

from sqlalchemy import Column, Index, Integer, String, Table

from .columns import OPTIONS, key, long_text, metadata, utc


def _delivery_state() -> list[Column[Any]]:
    return [
        Column("body", long_text(), nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("due_at", utc()),
        Column("error", String(500)),
        Column("created_at", utc(), nullable=False),
    ]


# The changes of one batch, as JSON.
event = Table(
    "event", metadata, Column("id", key(), primary_key=True), *_delivery_state(), Index(None, "due_at"), **OPTIONS
)

# A request to send to an endpoint, with its body.
delivery = Table(
    "delivery",
    metadata,
    Column("id", key(), primary_key=True),
    Column("endpoint", String(16), nullable=False),
    # The same for every attempt, so that the receiver recognises a repeated request.
    Column("webhook_id", String(45), nullable=False),
    *_delivery_state(),
    Index(None, "endpoint", "due_at"),
    **OPTIONS,
)

# Endpoints that answered 410 (gone). Nothing is sent to them until a person enables them again.
disabled_endpoint = Table(
    "endpoint_off",
    metadata,
    Column("endpoint", String(16), primary_key=True),
    Column("created_at", utc(), nullable=False),
    **OPTIONS,
)
