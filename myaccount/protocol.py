"""What aiohttp's HTTP protocol would do otherwise than the service wants. Only this file depends on its insides.

tests/test_protocol.py fails when a new version of aiohttp does any of it in another way.
"""

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler, _ErrInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from .keys import expects_body_key, malformed_key

# Longer than any address of the service.
PATH_LIMIT: Final = 256
_HEADS: Final = re.compile(rb"(?<=\r\n\r\n)")


class Runner(web.AppRunner):
    """Runs an application behind the protocol of this file."""

    async def _make_server(self) -> web.Server:
        return Server(await super()._make_server())


class Server(web.Server):
    """A server like another, whose connections are those of this file."""

    def __init__(self, made: web.Server) -> None:
        request_factory = partial(_make_request, made.request_factory)
        super().__init__(made.request_handler, request_factory=request_factory, **made._kwargs)

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


class Connection(RequestHandler):
    """A client's connection."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Parse what came.

        After a request for an upgrade that it does not know, such as h2c, the parser drops the rest of what it was
        given. So it is given each head by itself where there may be such a request.
        """
        if b"pgrade" in data or b"PGRADE" in data:
            for part in _HEADS.split(data):
                super().data_received(part)
        else:
            super().data_received(data)
        if self._messages and isinstance(self._messages[-1][0], _ErrInfo):
            self._fail_unfinished_body()

    def _fail_unfinished_body(self) -> None:
        """Tell the handler that its body goes no further: aiohttp would let it wait."""
        if len(self._messages) > 1:
            body = self._messages[-2][1]
        elif self._current_request is not None:
            body = self._current_request.content
        else:
            return
        if not body.is_eof():
            body.set_exception(web.RequestPayloadError())
            body.feed_eof()

    def _make_error_handler(
        self, err_info: _ErrInfo
    ) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        """Have the application answer what the parser refused, for the reply's form, its id and the log's line."""

        async def handler(request: web.BaseRequest) -> web.StreamResponse:
            assert self._request_handler is not None  # noqa: S101 - it is dropped with the connection
            request[malformed_key] = err_info.exc
            return await self._request_handler(request)

        return handler


class Request(web.Request):
    """A request whose reply does not name the programs, and is neither stored nor taken for what it is not."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        headers = response.headers
        headers.popall(hdrs.SERVER, None)
        headers["X-Content-Type-Options"] = "nosniff"
        # aiohttp-sse says no-cache, which still allows a copy to be kept.
        if headers.get(hdrs.CACHE_CONTROL, "no-cache") == "no-cache":
            headers[hdrs.CACHE_CONTROL] = "no-store"
        await super()._prepare_hook(response)


def shortened(url: URL) -> URL:
    """Return an address whose path is cut off at the limit.

    The router looks up each parent of a path: 8 KiB of slashes would take it 20 milliseconds.
    """
    return url.with_path(url.raw_path[:PATH_LIMIT], encoded=True)


def _make_request(
    make: Callable[..., web.BaseRequest],
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: Any,
) -> web.BaseRequest:
    expects = message.headers.get(hdrs.EXPECT)
    if expects is not None:
        # aiohttp refuses what it does not know, and does so before the middlewares.
        headers = CIMultiDict(message.headers)
        headers.popall(hdrs.EXPECT)
        message = message._replace(headers=CIMultiDictProxy(headers))
    if len(message.url.raw_path) > PATH_LIMIT:
        message = message._replace(url=shortened(message.url))
    if message.upgrade and payload is not EMPTY_PAYLOAD:
        # What follows its body may have been dropped: the client sends that again on another connection.
        message = message._replace(should_close=True)
    request = make(message, payload, protocol, writer, task, _cls=Request)
    # A client of HTTP/1.0 does not know the answer 100.
    if expects is not None and expects.lower() == "100-continue" and message.version >= HttpVersion11:
        request[expects_body_key] = True
    return request
