"""A request on the fast path, and the bytes of its reply."""

import time
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import RawRequestMessage
from multidict import CIMultiDictProxy
from yarl import URL

from .appkeys import ending_key
from .controller.operation import Operation
from .errors import RequestError
from .fast_connection import FastConnection, reply_head, whole_reply
from .middlewares import id_of
from .observability.access_log import log_access
from .observability.log_setup import protocol_logger
from .observability.metrics import count_request
from .problems import STATUS_BY_CODE
from .replies import error_reply, identify, note_refusal, refusal, refusal_body, rendered

_OK: Final = int(HTTPStatus.OK)
# The code of the error, if a reply is about one; whether it is replayed; whether the connection stays open.
_Kind = tuple[str, bool, bool]


class FastReplies:
    """Makes the replies of an application, and remembers the heads of those that are alike for a second."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._ending = app[ending_key]
        self._date = ""
        # With places for the id and the length.
        self._heads: dict[_Kind, bytes] = {}

    @property
    def keep_alive(self) -> bool:
        """Whether connections stay open after their replies."""
        return not self._ending.is_set()

    def done(self, id_: str, body: bytes, *, replayed: bool, keep_alive: bool) -> bytes:
        """Return the reply with that JSON."""
        kind = "", replayed, keep_alive
        head = self._known(kind) or self._learn(kind, rendered(body, replayed=replayed))
        return head % (id_.encode(), len(body)) + body

    def failed(
        self, id_: str, error: Exception, path: str, *, replayed: bool, keep_alive: bool
    ) -> tuple[int, bytes]:
        """Count or log the error; return the status and the reply."""
        if isinstance(error, RequestError):
            note_refusal(self._app, error)
            body, kind = refusal_body(error), (error.code, replayed, keep_alive)
            head = self._known(kind) or self._learn(kind, rendered(refusal(error, body), replayed=replayed))
            return STATUS_BY_CODE[error.code], head % (id_.encode(), len(body)) + body
        reply = rendered(error_reply(self._app, error, path), replayed=replayed)
        return reply.status, whole_reply(identify(reply, id_), keep_alive=keep_alive)

    def _known(self, kind: _Kind) -> bytes | None:
        """Return the head of such replies, if there was one in this second."""
        date = rfc822_formatted_time()
        if date is not self._date:
            self._date = date
            self._heads.clear()
        return self._heads.get(kind)

    def _learn(self, kind: _Kind, example: web.Response) -> bytes:
        """Return the head of such replies, which is that of the example."""
        head = self._heads[kind] = reply_head(identify(example, "%b"), "%d", keep_alive=kind[2])
        return head


class FastRequest:
    """A request on the fast path: its head for the checks, and the way of its reply."""

    __slots__ = ("_began", "_connection", "_message", "_replies", "id", "operation")

    def __init__(
        self,
        message: RawRequestMessage,
        operation: Operation[Any],
        connection: FastConnection,
        replies: FastReplies,
    ) -> None:
        self._began = time.perf_counter()
        self.id = id_of(message.headers)
        self.operation = operation
        self._message = message
        self._connection = connection
        self._replies = replies

    @property
    def method(self) -> str:
        return self._message.method

    @property
    def raw_path(self) -> str:
        return self._message.path

    @property
    def rel_url(self) -> URL:
        return self._message.url

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        return self._message.headers

    @property
    def remote(self) -> str | None:
        peer = self._connection.peername
        return peer if peer is None or isinstance(peer, str) else str(peer[0])

    @property
    def secure(self) -> bool:
        return self._connection.ssl_context is not None

    def reply(self, result: bytes | Exception, *, replayed: bool = False) -> None:
        """Send the reply, with that JSON or about that error; count and log it, unless shutdown gave it up."""
        if self._connection.gave_up:
            return
        keep_alive = self._replies.keep_alive
        try:
            reply = self._whole(result, replayed=replayed, keep_alive=keep_alive)
        except Exception:
            protocol_logger.exception("A reply failed.")
            reply, keep_alive = b"", False
        self._connection.reply(reply, keep_alive=keep_alive)

    def _whole(self, result: bytes | Exception, *, replayed: bool, keep_alive: bool) -> bytes:
        method, path, status = self.method, self.operation.path, _OK
        if isinstance(result, bytes):
            reply = self._replies.done(self.id, result, replayed=replayed, keep_alive=keep_alive)
        else:
            status, reply = self._replies.failed(self.id, result, path, replayed=replayed, keep_alive=keep_alive)
        seconds = time.perf_counter() - self._began
        count_request(path, method, status, seconds)
        log_access(method, path, status, seconds)
        return reply
