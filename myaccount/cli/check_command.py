"""`myaccount check`: whether a service can start, and what would not work yet."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import nullcontext
from typing import Final
from urllib.parse import urlsplit

from ..access.signing import find_time_fault
from ..database.database import Database
from ..database.embedded_file import refuse_to_make
from ..observability.log_setup import set_up_logging
from ..serving import PortRefused, refuse_taken
from ..settings.schema import Config
from ..settings.servers import server_address
from ..system.addresses import connection_fault
from .arguments import Commands
from .ready_database import new_ledger, ready_database

CONNECT_SECONDS: Final = 3


def add_commands(commands: Commands) -> None:
    commands.add(
        "check",
        "check that a service can start: the configuration, the database, its schema; and warn of ports in use, "
        "and of Redis or callback receivers that do not answer",
        lambda config, options: asyncio.run(_check(config)),
        cannot="start",
    )


async def _check(config: Config) -> int:
    """Print warnings and whether a service can start.

    Raises DatabaseNotReady or OSError, which say why it cannot. All else is a warning: a port may be in use by the
    service that this one is to replace, and Redis and the receivers of callbacks may come later.
    """
    set_up_logging(config)
    new = new_ledger(config)
    if new:
        refuse_to_make(new)
        print(f"A new, empty ledger would be made in {new}.")
    async with nullcontext() if new else ready_database(config) as database:
        refused = await _refused_ports(config)
        for warning in refused:
            print(f"Warning: {warning}")
        async for warning in _warnings(config, database):
            print(f"Warning: {warning}")
        later = " once it can use each port, which a running service may have" if refused else ""
        print(f"A service can start on this configuration{later}.")
    return 0


async def _refused_ports(config: Config) -> list[str]:
    """Return which ports cannot be used now, and why. Raises OSError for an address that never can."""
    addresses = [("", config["host"], config["port"])]
    if "metrics" in config:
        addresses.append(("metrics.", config["metrics"]["host"], config["metrics"]["port"]))
    refused = []
    for section, host, port in addresses:
        try:
            await refuse_taken(section, host, port)
        except PortRefused as error:
            refused.append(str(error))
    return refused


async def _warnings(config: Config, database: Database | None) -> AsyncIterator[str]:
    checks: list[Awaitable[str]] = [_check_redis(config)] if "redis" in config else []
    if database is not None and config.get("access") == "keys":
        checks.append(database.read(find_time_fault))
    for number, callback in enumerate(config.get("callbacks", [])):
        # Behind a proxy the receiver itself need not be reachable.
        if "proxy" in callback:
            checks.append(_check_callback(f"callbacks[{number}].proxy", callback["proxy"]))
        elif not callback["trust_env"]:
            checks.append(_check_callback(f"callbacks[{number}].url", callback["url"]))
    for warning in await asyncio.gather(*checks):
        if warning:
            yield warning


async def _check_redis(config: Config) -> str:
    # Loaded only where it is used, as in main.py.
    from ..database.redis_client import redis_client

    redis = config["redis"]
    client = redis_client(redis, 1)
    try:
        # A Redis that answers PING may still refuse writes. So this is a write, which makes no stream.
        writing = client.xadd("myaccount:check", {"event": 0}, nomkstream=True)
        await asyncio.wait_for(writing, CONNECT_SECONDS)
    except Exception as error:
        # The client's own error only repeats that of the system.
        reason = _reason(error.__context__ if isinstance(error.__context__, OSError) else error)
        return f"redis: {server_address(redis)}: {reason}. Until it works, events are delivered from the database"
    finally:
        await client.aclose()
    return ""


async def _check_callback(key: str, url: str) -> str:
    # Not the url: it may hold a password.
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(parts.hostname, port), CONNECT_SECONDS)
    except OSError as error:
        place = f"{parts.hostname}:{port}"
        return f"{key}: {place}: {_reason(error)}. Its callbacks are kept and retried until it answers"
    writer.close()
    return ""


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_SECONDS} seconds"
    return connection_fault(error) or str(error).rstrip(".") or type(error).__name__
