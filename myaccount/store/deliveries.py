"""The requests that are owed to the endpoints of callbacks."""

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..model.outbox import delivery, endpoint_off
from ..settings import CallbackConfig
from .retries import take_due
from .turns import Bound, insert_rows, written

SWITCHED_OFF: Final = "the endpoint answered 410: it is switched off"
ASIDE_LIMIT: Final = 1000


class Delivery(NamedTuple):
    """One request that is owed; a receiver knows it by its webhook id."""

    id: int
    webhook_id: str
    body: str


def endpoint_key(url: str) -> str:
    """Return what stands for an address in the tables: the address itself may hold a password."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def hosts_by_endpoint(callbacks: Collection[CallbackConfig]) -> dict[str, str]:
    """Return, by its key, what people may be shown of each endpoint."""
    return {endpoint_key(callback["url"]): urlsplit(callback["url"]).hostname or "" for callback in callbacks}


def owe(bodies: Collection[tuple[str, str]], now: datetime) -> list[Bound]:
    """Return the statements that owe each endpoint a request with that body, from now on."""
    times = f"'{written(now)}','{written(now)}'"
    rows = [
        (f"(%s,%s,%s,0,{times})", [endpoint, f"msg_{secrets.token_hex(16)}", body]) for endpoint, body in bodies
    ]
    return insert_rows("INSERT INTO delivery (endpoint, webhook_id, body, attempts, due_at, created_at)", rows)


async def take_deliveries(
    connection: AsyncConnection, endpoint: str, now: datetime, limit: int, keep_seconds: float
) -> list[Delivery]:
    """Return what is due to the endpoint; nobody else is given it while it is kept.

    Of an endpoint that is switched off, what is due is set aside instead, some of it each time.
    """
    of_endpoint = delivery.c.endpoint == endpoint
    if endpoint in await endpoints_off(connection):
        rows = await take_due(connection, delivery, now, ASIDE_LIMIT, keep_seconds, of_endpoint)
        aside = update(delivery).where(delivery.c.id.in_([row.id for row in rows]))
        await connection.execute(aside.values(due_at=None, error=SWITCHED_OFF))
        return []
    columns = [delivery.c.webhook_id, delivery.c.body]
    rows = await take_due(connection, delivery, now, limit, keep_seconds, of_endpoint, columns=columns)
    return [Delivery(row.id, row.webhook_id, row.body) for row in rows]


async def switch_off(connection: AsyncConnection, endpoint: str, now: datetime) -> None:
    """Owe the endpoint nothing more; what it is owed already is set aside when it is due."""
    if endpoint not in await endpoints_off(connection):
        await connection.execute(insert(endpoint_off).values(endpoint=endpoint, created_at=now))


async def switch_on(connection: AsyncConnection, *which: ColumnElement[bool]) -> None:
    """Let the endpoints be called again that are owed those deliveries."""
    owed = select(delivery.c.endpoint).where(*which)
    await connection.execute(delete(endpoint_off).where(endpoint_off.c.endpoint.in_(owed)))


async def endpoints_off(connection: AsyncConnection) -> set[str]:
    return set((await connection.execute(select(endpoint_off.c.endpoint))).scalars())
