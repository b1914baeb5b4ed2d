"""Changes how aiohttp's HTTP protocol behaves.

Only this file and fast_connection.py use names that aiohttp keeps private.
tests/service/test_protocol.py fails when a new version of aiohttp changes them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from socket import socket
from typing import Any, Final, cast

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion10, HttpVersion11, RawRequestMessage
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler, _ErrInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from .appkeys import connection_key, expects_body_key, malformed_key

# Longer than any path of the service.
PATH_LIMIT: Final = 256
HEAD_END: Final = b"\r\n\r\n"


class Runner(web.AppRunner):
    """Runs an application on the protocol of this file."""

    @property
    def listening_sockets(self) -> list[socket]:
        """Return the sockets of every site. gunicorn's worker makes its sites itself, and keeps them."""
        servers = [cast("asyncio.Server | None", cast("Any", site)._server) for site in self.sites]
        # A site whose address is in use has no server.
        return [socket for server in servers if server is not None for socket in server.sockets]

    async def _make_server(self) -> web.Server:
        return Server(await super()._make_server(), self.app.get(connection_key, Connection))


class Server(web.Server):
    """A server whose connections are made by `connect`, a subclass of this file's Connection."""

    def __init__(self, made: web.Server, connect: Callable[..., RequestHandler]) -> None:
        request_factory = partial(_make_request, made.request_factory)
        super().__init__(made.request_handler, request_factory=request_factory, **made._kwargs)
        self._connect = connect

    def __call__(self) -> RequestHandler:
        return self._connect(self, loop=self._loop, **self._kwargs)


class Connection(RequestHandler):
    """A client's connection."""

    __slots__ = ("_last_body", "_last_writer", "sends_no_more")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Whether the client has ended its side of the connection, and its replies are not sent yet.
        self.sends_no_more = False
        # The body of the last request that was received, and the writer of the last reply.
        self._last_body: StreamReader = EMPTY_PAYLOAD
        self._last_writer: AbstractStreamWriter | None = None
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Parse the data, in parts that end where the head of a request ends.

        After the head of a request for an upgrade, such as h2c, the parser drops the rest of its input, or keeps
        it for another protocol.
        """
        for part in _parts(data):
            self._parse(part)

    def _parse(self, data: bytes) -> None:
        """Parse the data. Nothing may stand behind the head of a request for an upgrade."""
        super().data_received(data)
        if self._upgraded and not self._message_tail and self._parser is not None:
            # The service accepts no upgrade, so more HTTP follows.
            self._parser.set_upgraded(False)
            self._upgraded = False
        if self._messages:
            self._note_last()

    def _note_last(self) -> None:
        message, body = self._messages[-1]
        if not isinstance(message, _ErrInfo):
            self._last_body = body
        elif not self._last_body.is_eof():
            # The body's own request gets the reply. aiohttp would send another one after it.
            self._messages.pop()
            self._fail_unfinished_body()

    def _fail_unfinished_body(self) -> None:
        """End the handler's wait for the rest of a body that does not come. aiohttp would let it wait."""
        if not self._last_body.is_eof() and self._owes_reply():
            self._last_body.set_exception(web.RequestPayloadError())
            self._last_body.feed_eof()

    def _owes_reply(self) -> bool:
        """Return whether the reply to a request that was received has not begun."""
        return bool(self._messages) or (self._last_writer is not None and not self._last_writer.output_size)

    def eof_received(self) -> bool:  # type: ignore[override] # aiohttp's own returns None always
        """Answer the requests of a client that sends no more, and close then. aiohttp would close at once.

        A stream is closed at once: its client has most likely gone.
        """
        if not self._owes_reply():
            return False
        self.sends_no_more = True
        self._fail_unfinished_body()
        if self._messages:
            message, body = self._messages[-1]
            if not isinstance(message, _ErrInfo):
                self._messages[-1] = (message._replace(should_close=True), body)
        else:
            self.close()
        return True

    def _make_error_handler(
        self, err_info: _ErrInfo
    ) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        """Let the application reply to what the parser refused, with its error format, request id and log line."""

        async def handler(request: web.BaseRequest) -> web.StreamResponse:
            assert self._request_handler is not None  # noqa: S101 - None only after the connection is closed
            request[malformed_key] = err_info.exc
            return await self._request_handler(request)

        return handler


def _parts(data: bytes) -> list[bytes]:
    """Split the data after the end of each head, even if the end began in earlier data."""
    rest = data.lstrip(b"\r\n")
    *heads, last = rest.split(HEAD_END)
    parts = (data[: len(data) - len(rest)], *[head + HEAD_END for head in heads], last)
    # aiohttp passes empty data to continue with what the parser has kept.
    return [part for part in parts if part] or [data]


def sends_no_more(request: web.Request) -> bool:
    """Return whether the client ended its side of the connection before the reply began: a stream must end too."""
    return cast("Connection", request.protocol).sends_no_more


def shortened(url: URL) -> URL:
    """Return an address whose path is cut at the limit.

    The router looks up each parent of a path, so 8 KiB of slashes would take 20 ms.
    """
    return url.with_path(url.raw_path[:PATH_LIMIT], encoded=True)


def _make_request(
    make: Callable[..., web.BaseRequest],
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: Connection,
    writer: AbstractStreamWriter,
    task: Any,
) -> web.BaseRequest:
    protocol._last_writer = writer
    known_version = message.version in (HttpVersion10, HttpVersion11)
    if not known_version:
        # The version of the reply, which refuses the request.
        message = message._replace(version=HttpVersion11, should_close=True)
    expects = message.headers.get(hdrs.EXPECT)
    if expects is not None:
        # aiohttp refuses unknown expectations before the middlewares run.
        headers = CIMultiDict(message.headers)
        headers.popall(hdrs.EXPECT)
        message = message._replace(headers=CIMultiDictProxy(headers))
    if len(message.url.raw_path) > PATH_LIMIT:
        message = message._replace(url=shortened(message.url))
    # The parser may have dropped data that followed a body, or that it kept while many requests were waiting.
    if message.upgrade and (
        payload is not EMPTY_PAYLOAD or protocol._request_count >= protocol._max_msg_queue_size
    ):
        # Tells the client to send that data again on a new connection.
        message = message._replace(should_close=True)
    request = make(message, payload, protocol, writer, task)
    if not known_version:
        request[malformed_key] = BadHttpMessage("unknown version")
    # HTTP/1.0 has no status 100.
    if expects is not None and expects.lower() == "100-continue" and message.version >= HttpVersion11:
        request[expects_body_key] = True
    return request
