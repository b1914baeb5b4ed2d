"""Clients of Redis: the only place that makes them."""

import ssl
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ..settings.servers import RedisConfig, tls_context

POOL_TIMEOUT_SECONDS: Final = 10
CONNECT_SECONDS: Final = 2
# The longest that a read may block.
BLOCK_SECONDS: Final = 2


class TlsConnection(SSLConnection):
    """A connection with a given context: redis-py's own trusts the system's authorities beside those of `ca`."""

    def __init__(self, *, context: ssl.SSLContext, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.ssl_context.context = context


def redis_client(config: RedisConfig, connections: int) -> Redis:
    # This pool waits for a free connection; the default pool raises an error.
    pool = BlockingConnectionPool(
        **_way_to(config),
        timeout=POOL_TIMEOUT_SECONDS,
        db=config["db"],
        username=config.get("user"),
        password=config.get("password"),
        max_connections=connections,
        # The callers retry by themselves; the client's ten retries would only hide that Redis is away.
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=CONNECT_SECONDS,
        # Longer than a read blocks, or an idle stream would look like a lost connection.
        socket_timeout=BLOCK_SECONDS + 3,
        health_check_interval=10,
        decode_responses=True,
    )
    return Redis.from_pool(pool)


def _way_to(config: RedisConfig) -> dict[str, Any]:
    if "unix_socket" in config:
        return {"connection_class": UnixDomainSocketConnection, "path": config["unix_socket"]}
    address = {"host": config["host"], "port": config["port"]}
    if context := tls_context(config):
        return {"connection_class": TlsConnection, "context": context, **address}
    return address
