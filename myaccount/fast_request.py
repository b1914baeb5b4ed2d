"""A request on the fast path, and the bytes of its reply."""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

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


class FastReplies:
    """Makes the replies of an application, and remembers the heads of those that are alike for a second."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._date = ""
        # By the code of the error, if it is about one, whether it is replayed, and whether the connection stays
        # open: with places for the id and the length.
        self._heads: dict[tuple[str, bool, bool], bytes] = {}

    @property
    def keep_alive(self) -> bool:
        """Whether connections stay open after their replies."""
        return not self._app[ending_key].is_set()

    def done(self, id_: str, body: bytes, *, replayed: bool) -> bytes:
        """Return the reply with that JSON."""
        return self._whole("", lambda: rendered(body, replayed=replayed), id_, body, replayed=replayed)

    def failed(self, id_: str, error: Exception, path: str, *, replayed: bool) -> tuple[int, bytes]:
        """Count or log the error; return the status and the reply."""
        if isinstance(error, RequestError):
            note_refusal(self._app, error)
            body = refusal_body(error)

            def example() -> web.Response:
                return rendered(refusal(error, body), replayed=replayed)

            return STATUS_BY_CODE[error.code], self._whole(error.code, example, id_, body, replayed=replayed)
        reply = rendered(error_reply(self._app, error, path), replayed=replayed)
        return reply.status, whole_reply(identify(reply, id_), keep_alive=self.keep_alive)

    def _whole(
        self, code: str, example: Callable[[], web.Response], id_: str, body: bytes, *, replayed: bool
    ) -> bytes:
        """Return the reply with that body and the head of the `example`, which is made only if it is not known."""
        keep_alive, date = self.keep_alive, rfc822_formatted_time()
        if date is not self._date:
            self._date = date
            self._heads.clear()
        head = self._heads.get((code, replayed, keep_alive))
        if head is None:
            head = reply_head(identify(example(), "%b"), "%d", keep_alive=keep_alive)
            self._heads[code, replayed, keep_alive] = head
        return head % (id_.encode(), len(body)) + body


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
            reply = self._whole(result, replayed=replayed)
        except Exception:
            protocol_logger.exception("A reply failed.")
            reply, keep_alive = b"", False
        self._connection.reply(reply, keep_alive=keep_alive)

    def _whole(self, result: bytes | Exception, *, replayed: bool) -> bytes:
        path, status = self.operation.path, int(HTTPStatus.OK)
        if isinstance(result, bytes):
            reply = self._replies.done(self.id, result, replayed=replayed)
        else:
            status, reply = self._replies.failed(self.id, result, path, replayed=replayed)
        seconds = time.perf_counter() - self._began
        count_request(path, self.method, status, seconds)
        log_access(self.method, path, status, seconds)
        return reply
