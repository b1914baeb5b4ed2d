"""The requests that are owed to the endpoints of callbacks."""

import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, Select, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.leases import lease_due
from ..database.statements import Bound, format_time, insert_rows
from ..model.outbox import delivery, endpoint_off
from ..settings.schema import CallbackConfig, endpoint_key

SWITCHED_OFF: Final = "the endpoint answered 410: it is switched off"
# How many rows one transaction sets aside or takes over.
PAGE_LIMIT: Final = 1000


class Delivery(NamedTuple):
    """One request that is owed. Its webhook id is unique for ever; after a failover its id may be another's."""

    id: int
    webhook_id: str
    body: str


def hosts_by_endpoint(callbacks: Collection[CallbackConfig]) -> dict[str, str]:
    """Return, by its key, what people may be shown of each endpoint."""
    return {endpoint_key(callback): urlsplit(callback["url"]).hostname or "" for callback in callbacks}


def owe(bodies: Collection[tuple[str, str]], now: datetime, off: Collection[str]) -> list[Bound]:
    """Return the statements that insert, for each endpoint, a request with that body, which is due now.

    For endpoints that are switched off it is a dead letter: kept until it is resent or dropped.
    """
    due = f"(%s,%s,%s,0,'{format_time(now)}',NULL,'{format_time(now)}')"
    set_aside = f"(%s,%s,%s,0,NULL,'{SWITCHED_OFF}','{format_time(now)}')"
    rows = [
        (set_aside if endpoint in off else due, [endpoint, f"msg_{secrets.token_hex(16)}", body])
        for endpoint, body in bodies
    ]
    columns = "endpoint, webhook_id, body, attempts, due_at, error, created_at"
    return insert_rows(f"INSERT INTO delivery ({columns})", rows)


async def take_deliveries(
    connection: AsyncConnection, endpoint: str, now: datetime, limit: int, lease_seconds: float
) -> list[Delivery]:
    """Return what is due to the endpoint; nobody else is given it while it is kept.

    Of an endpoint that is switched off, what is due is set aside instead, some of it each time.
    """
    of_endpoint = delivery.c.endpoint == endpoint
    off = select(endpoint_off.c.endpoint).where(endpoint_off.c.endpoint == endpoint)
    # Locked, so that a person who switches it on comes before or after: what was resent is not set aside again.
    if (await connection.execute(off.with_for_update())).first() is not None:
        rows = await lease_due(connection, delivery, now, PAGE_LIMIT, lease_seconds, of_endpoint)
        aside = update(delivery).where(delivery.c.id.in_([row.id for row in rows]))
        await connection.execute(aside.values(due_at=None, error=SWITCHED_OFF))
        return []
    columns = [delivery.c.webhook_id, delivery.c.body]
    rows = await lease_due(connection, delivery, now, limit, lease_seconds, of_endpoint, columns=columns)
    return [Delivery(row.id, row.webhook_id, row.body) for row in rows]


async def take_over(connection: AsyncConnection, former: str, endpoint: str) -> None:
    """Have the endpoint be owed what another key is owed, some of it each time, and be off if that was off."""
    renamed = update(endpoint_off).where(endpoint_off.c.endpoint == former)
    if endpoint not in await endpoints_off(connection):
        await connection.execute(renamed.values(endpoint=endpoint))
    owed = select(delivery.c.id).where(delivery.c.endpoint == former).limit(PAGE_LIMIT)
    if ids := list((await connection.execute(owed)).scalars()):
        await move(connection, endpoint, delivery.c.id.in_(ids))


async def move(connection: AsyncConnection, endpoint: str, *which: ColumnElement[bool]) -> None:
    """Have the endpoint be owed those deliveries."""
    await connection.execute(update(delivery).where(*which).values(endpoint=endpoint))


async def switch_off(connection: AsyncConnection, endpoint: str, now: datetime) -> bool:
    """Send the endpoint nothing more: what it is owed is set aside. Return False if it was off already."""
    if endpoint in await endpoints_off(connection):
        return False
    await connection.execute(insert(endpoint_off).values(endpoint=endpoint, created_at=now))
    return True


async def switch_on(connection: AsyncConnection, endpoints: Collection[str] | Select[tuple[str]]) -> None:
    """Let the endpoints be called again."""
    await connection.execute(delete(endpoint_off).where(endpoint_off.c.endpoint.in_(endpoints)))


async def endpoints_off(connection: AsyncConnection) -> set[str]:
    return set((await connection.execute(select(endpoint_off.c.endpoint))).scalars())
