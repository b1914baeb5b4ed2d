"""aiomysql's connection: it has the TLS that it was told to use, and closes when an answer cannot be read."""

import asyncio
from typing import Any, Final

import aiomysql
from pymysql.constants import CLIENT

from .error_kinds import UNREADABLE_ANSWER

# The number that MySQL's own clients give this error.
TLS_ERROR: Final = 2026


class ServerConnection(aiomysql.Connection):  # type: ignore[misc]
    """A connection to MySQL or MariaDB.

    aiomysql itself goes on without TLS if the server offers none, and anybody on the way can take the offer out of
    the greeting. So this ends before the sign-in.

    If an answer cannot be read, aiomysql leaves the rest of it unread, and would take that for the answer to the
    next statement. So this closes the connection.
    """

    async def _get_server_information(self) -> None:
        await super()._get_server_information()
        if self._ssl_context and not self.server_capabilities & CLIENT.SSL:
            raise aiomysql.OperationalError(TLS_ERROR, "the server offers no TLS, and the configuration wants it")

    async def _read_query_result(self, unbuffered: bool = False) -> None:
        try:
            await super()._read_query_result(unbuffered)
        except aiomysql.Error:
            # With the server's own error the answer ends, and after others aiomysql has closed the connection.
            raise
        except BaseException as error:
            self.close()
            if isinstance(error, UnicodeDecodeError):
                # Most likely the server cut it within a character.
                raise aiomysql.InterfaceError(UNREADABLE_ANSWER, f"the answer is not UTF-8: {error}") from error
            raise

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
