"""API keys of a running service, and clients that send them."""

import math
from collections.abc import Collection
from datetime import datetime, timedelta

from myaccount.access.key_rows import create_key
from myaccount.access.scopes import SCOPES
from myaccount.appkeys import authenticator_key, scopes_key
from myaccount.database.database import Database
from myaccount.database.times import utc_now
from myaccount.routes import Scopes

from ..conftest import Client, ClientOf

# Of a key that may do everything.
ALL = SCOPES
# These are about an operator's own session, which no key and no token has.
OPERATORS_PATHS = {"/signout", "/account", "/account/password", "/account/sessions"}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def new_key(
    database: Database,
    name: str,
    *scopes: str,
    now: datetime | None = None,
    lifetime: timedelta | None = None,
    rate: int | None = None,
) -> str:
    """Return a new key. A running service knows it a second later, unless it has looked for no key before."""
    return await create_key(database, name, scopes, now or utc_now(), rate_per_second=rate, lifetime=lifetime)


def client_with(client: Client, key: str) -> Client:
    """Return another client of the same server, which sends the key; it is closed with its `async with`."""
    return ClientOf(client.server, headers=bearer(key))


def routes_of(client: Client) -> list[tuple[str, str, Scopes]]:
    """Return the method, the path and the scopes of each route of the client's service."""
    app = client.server.app  # type: ignore[attr-defined]
    scopes = app[scopes_key]
    return [(route.method, route.resource.canonical, scopes[route.resource]) for route in app.router.routes()]


def without(scopes: Collection[str]) -> list[str]:
    """Return the scopes of keys but for these."""
    return [scope for scope in SCOPES if scope not in scopes]


async def read_keys_again(client: Client) -> None:
    """Let the service read the keys with the next request, whether or not they are a second old."""
    keys = client.server.app[authenticator_key]._keys  # type: ignore[attr-defined]
    # A read under way has seen nothing of what was changed since it began.
    await keys.close()
    keys._began, keys._error = -math.inf, None
