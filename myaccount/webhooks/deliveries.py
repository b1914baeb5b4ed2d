"""Rows of pending deliveries: requests to the endpoints of callbacks."""

import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, Select, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.leases import lease_due
from ..database.statements import Bound, insert_rows, sql_literal
from ..database.times import sql_time
from ..model.outbox import delivery, disabled_endpoint
from ..settings.callbacks import CallbackConfig, endpoint_key

GONE: Final = "the endpoint answered 410: it is disabled"
# How many rows one transaction makes dead letters, or moves to another endpoint.
PAGE_LIMIT: Final = 1000


class Delivery(NamedTuple):
    """A pending request. The webhook id is unique for ever; after a failover, another row may get the same id."""

    id: int
    webhook_id: str
    body: str


def hosts_by_endpoint(callbacks: Collection[CallbackConfig]) -> dict[str, str]:
    """Return each endpoint's host by its key. Unlike the address, it holds no secret."""
    return {endpoint_key(callback): urlsplit(callback["url"]).hostname or "" for callback in callbacks}


def insert_deliveries(bodies: Collection[tuple[str, str]], now: datetime) -> list[Bound]:
    """Return the statements that insert a delivery, due now, for each pair of endpoint and body."""
    time = sql_literal(sql_time(now))
    rows: list[Bound] = [
        (f"(%s,%s,%s,0,{time},{time})", [endpoint, f"msg_{secrets.token_hex(16)}", body])
        for endpoint, body in bodies
    ]
    columns = "endpoint, webhook_id, body, attempts, due_at, created_at"
    return insert_rows(f"INSERT INTO delivery ({columns})", rows)


async def take_deliveries(
    connection: AsyncConnection, endpoint: str, now: datetime, limit: int, lease_seconds: float
) -> list[Delivery]:
    """Lease deliveries of the endpoint that are due; nobody else gets them for `lease_seconds`.

    If the endpoint is disabled, up to PAGE_LIMIT due deliveries become dead letters instead, and none is returned.
    """
    of_endpoint = delivery.c.endpoint == endpoint
    disabled = select(disabled_endpoint.c.endpoint).where(disabled_endpoint.c.endpoint == endpoint)
    # The lock keeps an operator from enabling it meanwhile: deliveries resent just now would become dead letters.
    if (await connection.execute(disabled.with_for_update())).first() is not None:
        rows = await lease_due(connection, delivery, now, PAGE_LIMIT, lease_seconds, of_endpoint)
        dead_letters = update(delivery).where(delivery.c.id.in_([row.id for row in rows]))
        await connection.execute(dead_letters.values(due_at=None, error=GONE))
        return []
    columns = [delivery.c.webhook_id, delivery.c.body]
    rows = await lease_due(connection, delivery, now, limit, lease_seconds, of_endpoint, columns=columns)
    return [Delivery(row.id, row.webhook_id, row.body) for row in rows]


async def take_over_deliveries(connection: AsyncConnection, former: str, endpoint: str) -> None:
    """Move up to PAGE_LIMIT deliveries of the former key to the endpoint, and keep it disabled if it was."""
    renamed = update(disabled_endpoint).where(disabled_endpoint.c.endpoint == former)
    if endpoint not in await disabled_endpoints(connection):
        await connection.execute(renamed.values(endpoint=endpoint))
    page = select(delivery.c.id).where(delivery.c.endpoint == former).limit(PAGE_LIMIT)
    if ids := list((await connection.execute(page)).scalars()):
        await move_deliveries(connection, endpoint, delivery.c.id.in_(ids))


async def move_deliveries(connection: AsyncConnection, endpoint: str, *which: ColumnElement[bool]) -> None:
    """Move the selected deliveries to the endpoint."""
    await connection.execute(update(delivery).where(*which).values(endpoint=endpoint))


async def disable_endpoint(connection: AsyncConnection, endpoint: str, now: datetime) -> bool:
    """Stop sending to the endpoint. Return False if it was disabled already."""
    if endpoint in await disabled_endpoints(connection):
        return False
    await connection.execute(insert(disabled_endpoint).values(endpoint=endpoint, created_at=now))
    return True


async def enable_endpoints(connection: AsyncConnection, endpoints: Collection[str] | Select[tuple[str]]) -> None:
    """Send to the endpoints again."""
    await connection.execute(delete(disabled_endpoint).where(disabled_endpoint.c.endpoint.in_(endpoints)))


async def disabled_endpoints(connection: AsyncConnection) -> set[str]:
    return set((await connection.execute(select(disabled_endpoint.c.endpoint))).scalars())
