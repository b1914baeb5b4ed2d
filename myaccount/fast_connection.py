"""A connection for the fast path: it passes whole requests on, and sends the replies to them.

Like protocol.py it uses names that aiohttp keeps private. tests/service/test_fast_path.py fails when a new version
of aiohttp changes what it relies on.
"""

import asyncio
from typing import Any, Protocol, cast

from aiohttp import hdrs, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import RawRequestMessage
from aiohttp.http_writer import _serialize_headers
from aiohttp.web_protocol import _ErrInfo

from .protocol import HEAD_END, Connection
from .replies import add_safe_headers


class Begins(Protocol):
    """Begins requests. A request's `head` is its bytes as they came, without the empty line."""

    def begin_known(self, head: bytes, body: bytes, connection: "FastConnection") -> bool | None:
        """Begin a request whose head is known; return whether it has begun, or None if the head is not known."""

    def begin(
        self, message: RawRequestMessage, body: bytes, connection: "FastConnection", head: bytes | None
    ) -> bool:
        """Begin the request; return whether it has begun. If its `head` is given, it may be remembered."""


class FastConnection(Connection):
    """A connection on which a request may begin without aiohttp's handler, which then waits for the next one.

    `requests` gets each request that comes whole and alone while nothing else is under way. If it does not begin
    it, the handler gets it. A client's requests often have the same head. From the same bytes the parser makes the
    same message, so a head that is known is not parsed again.
    """

    __slots__ = ("_held", "_is_answered", "_is_between", "_requests")

    def __init__(self, requests: Begins, server: web.Server, **options: Any) -> None:
        super().__init__(server, **options)
        self._requests = requests
        # What the handler waits for. While a request is under way, only this file sees it.
        self._held: asyncio.Future[None] | None = None
        # Whether the reply is written, but the client has not yet read enough of what was written before.
        self._is_answered = False
        # Whether the parser has read a request to its end, and no further.
        self._is_between = False

    def data_received(self, data: bytes) -> None:
        waiter, is_between = self._waiter, self._is_between
        self._is_between = False
        if waiter is None or waiter.done() or self._messages:
            super().data_received(data)
            return
        head, end, rest = data.partition(HEAD_END)
        # Without its end, more of the head is to come.
        is_between = is_between and end != b""
        begun = self._requests.begin_known(head, rest, self) if is_between else None
        if begun:
            self._request_count += 1
            self._is_between = True
            self._take_over()
            return
        is_whole = is_between and _is_whole(head, rest)
        # The handler is not woken before it is known whether it gets the request.
        self._waiter = None
        try:
            if is_whole:
                self._parse(data)
            else:
                super().data_received(data)
        finally:
            self._waiter = waiter
        if self._messages and (begun is not None or not self._begins(head if is_whole else None, rest)):
            waiter.set_result(None)

    def _begins(self, head: bytes | None, rest: bytes) -> bool:
        """Begin the request if `rest`, which came with its head, is all its body; return whether it was."""
        (message, payload), *more = self._messages
        if more or isinstance(message, _ErrInfo) or not payload.is_eof():
            return False
        # If it is longer than the body, another request has begun.
        self._is_between = len(rest) == payload.total_bytes
        if not self._is_between or not self._requests.begin(message, rest, self, head):
            return False
        self._messages.clear()
        if self._parser is not None:
            self._parser.message_consumed()
        self._take_over()
        return True

    def _take_over(self) -> None:
        """Do what aiohttp's handler does about each request."""
        if self._manager is not None:
            self._manager.requests_count += 1
        self._request_in_progress = True
        self._held, self._waiter = self._waiter, None

    @property
    def gave_up(self) -> bool:
        """Whether the request under way gets no reply, because shutdown waited long enough."""
        return self._held is not None and self._held.done()

    def reply(self, reply: bytes, *, keep_alive: bool) -> None:
        """Send the reply to the request under way."""
        is_lost = self.transport is None or self.transport.is_closing()
        if self.transport is not None and not is_lost:
            self.transport.write(reply)
        self._keepalive = keep_alive and not is_lost
        self._is_answered = True
        if is_lost or not self.writing_paused:
            self._go_on()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._is_answered:
            self._go_on()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self._is_answered:
            self._go_on()

    def _go_on(self) -> None:
        """Give the connection back to the handler or end both, as the handler does after each reply."""
        held, self._held, self._is_answered = self._held, None, False
        self._request_in_progress = False
        if self._handler_waiter is not None and not self._handler_waiter.done():
            # Shutdown waits for the request.
            self._handler_waiter.set_result(None)
        if held is None or held.done():
            return
        if self._keepalive and not self._close and not self._force_close:
            self._start_keepalive()
            self._waiter = held
            if self._messages:
                held.set_result(None)
            return
        if not self._force_close:
            self._task_handler = None
            if self.transport is not None:
                self.transport.close()
        held.cancel()

    def _start_keepalive(self) -> None:
        close_time = self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(close_time, self._process_keepalive)

    def _owes_reply(self) -> bool:
        return (self._held is not None and not self._is_answered) or super()._owes_reply()


def _is_whole(head: bytes, rest: bytes) -> bool:
    """Whether new data is one whole request. It is parsed at once, since nothing stands behind it."""
    length = b"\r\ncontent-length: %d\r\n" % len(rest)
    return head.startswith(b"POST ") and length in head.lower() + b"\r\n"


def whole_reply(reply: web.Response, *, keep_alive: bool) -> bytes:
    """Return what aiohttp writes of a reply with a body of bytes, for a client of HTTP/1.1."""
    body = cast("bytes", reply.body)
    return reply_head(reply, str(len(body)), keep_alive=keep_alive) + body


def reply_head(reply: web.Response, length: str, *, keep_alive: bool) -> bytes:
    """Return what aiohttp writes before a body of that length."""
    headers = reply.headers
    headers[hdrs.CONTENT_LENGTH] = length
    headers[hdrs.DATE] = rfc822_formatted_time()
    if not keep_alive:
        headers[hdrs.CONNECTION] = "close"
    add_safe_headers(headers)
    return _serialize_headers(f"HTTP/1.1 {reply.status} {reply.reason}", headers)
