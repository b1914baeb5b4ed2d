"""aiomysql's connection, which is refused unless it has the TLS that it was told to use."""

import asyncio
from typing import Any, Final

import aiomysql
from pymysql.constants import CLIENT

# The number that MySQL's own clients give this error.
TLS_ERROR: Final = 2026


class ServerConnection(aiomysql.Connection):  # type: ignore[misc]
    """A connection to MySQL or MariaDB.

    aiomysql itself goes on without TLS if the server offers none, and anybody on the way can take the offer out of
    the greeting. So this ends before the sign-in.
    """

    async def _get_server_information(self) -> None:
        await super()._get_server_information()
        if self._ssl_context and not self.server_capabilities & CLIENT.SSL:
            raise aiomysql.OperationalError(TLS_ERROR, "the server offers no TLS, and the configuration wants it")

    def close(self) -> None:
        if self._ssl_context and self._writer:
            # Nothing is missing after the last packet. TLS would wait for the server's goodbye, and a loop that
            # ends before it leaves the socket open.
            self._writer.transport.abort()
        super().close()

    async def opened(self) -> "ServerConnection":
        try:
            await self._connect()
        except asyncio.CancelledError:
            # aiomysql itself closes what it has opened only after errors.
            self.close()
            raise
        return self


async def connect(**arguments: Any) -> ServerConnection:
    """Return an open connection. Raises what aiomysql.connect does."""
    return await ServerConnection(**arguments).opened()
