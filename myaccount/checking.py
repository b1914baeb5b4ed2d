"""`myaccount check`: whether a service can start, and what else it would miss."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Final
from urllib.parse import urlsplit

from .inspection import new_ledger, ready_database
from .logsetup import set_up_logging
from .serving import refuse_taken
from .settings import Config
from .store.embedded import refuse_to_make

CONNECT_SECONDS: Final = 3


async def check(config: Config) -> int:
    """Print what would be missing and whether a service can start.

    Raises DatabaseNotReady or OSError, which say why it cannot. All else is a warning: a port may be in use by the
    service that this one is to replace, and Redis and the receivers of callbacks may come later.
    """
    set_up_logging(config)
    new = new_ledger(config)
    if new:
        refuse_to_make(new)
        print(f"A new, empty ledger would be made in {new}.")
    async with nullcontext() if new else ready_database(config):
        async for warning in _warnings(config):
            print(f"Warning: {warning}")
        print("A service can start on this configuration.")
    return 0


async def _warnings(config: Config) -> AsyncIterator[str]:
    checks = [_check_port("", config["host"], config["port"])]
    if "metrics" in config:
        checks.append(_check_port("metrics.", config["metrics"]["host"], config["metrics"]["port"]))
    if "redis" in config:
        checks.append(_check_redis(config))
    for number, callback in enumerate(config.get("callbacks", [])):
        # Behind a proxy the receiver itself need not be reachable.
        if "proxy" in callback:
            checks.append(_check_callback(f"callbacks[{number}].proxy", callback["proxy"]))
        elif not callback["trust_env"]:
            checks.append(_check_callback(f"callbacks[{number}].url", callback["url"]))
    for warning in await asyncio.gather(*checks):
        if warning:
            yield warning


async def _check_port(section: str, host: str, port: int) -> str:
    """Return why the address cannot be listened at, or an empty text."""
    try:
        await refuse_taken(section, host, port)
    except OSError as error:
        return str(error)
    return ""


async def _check_redis(config: Config) -> str:
    # Loaded only where it is used, as in main.py.
    from .listener.redis_queue import redis_client

    redis = config["redis"]
    client = redis_client(redis, 1)
    try:
        # A Redis that answers PING may still refuse writes.
        await asyncio.wait_for(client.set("myaccount:check", "", px=1), CONNECT_SECONDS)
    except Exception as error:
        reason = str(error).rstrip(".") or type(error).__name__
        place = f"{redis['host']}:{redis['port']}"
        return f"redis: {place}: {reason}. Until it works, events are delivered from the database"
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
        reason = error.strerror or type(error).__name__
        return f"{key}: {parts.hostname}:{port}: {reason}. Until somebody answers there, its callbacks wait"
    writer.close()
    return ""
