"""The fast path: a plain order goes from an idle connection into the journal, and its reply is one write.

For each request aiohttp makes a task, a request, a writer and a response. That costs more than what the service
itself does for an order. An order that comes whole, as a form, alone on an idle connection, needs none of them:
aiohttp's parser reads it, it passes the same checks as on the ordinary way, and it gets the same reply. A request
that is anything else, or that is refused before the journal has it, takes the ordinary way from its beginning.

tests/service/test_fast_path.py compares both ways.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import HttpVersion11, RawRequestMessage
from multidict import CIMultiDictProxy
from yarl import URL

from .access.authorisation import known_caller
from .access.callers import ANYBODY, Caller
from .access.guard import guard_check
from .appkeys import authenticator_key, config_key, connection_key, ending_key, journal_key
from .controller.body import form_fields, is_plain_form
from .controller.operation import Operation
from .controller.submitting import DONE_REPLY, on_wire
from .errors import RequestError
from .fast_connection import FastConnection, whole_reply
from .ledger.commands import Command
from .ledger.outcomes import Outcome
from .middlewares import id_of, log_access
from .observability.log_setup import protocol_logger, request_id
from .observability.metrics import count_request
from .replies import error_reply, identify, rendered
from .routes import ORDERS

# In the place of a request's id.
_MARK: Final = "{id}"


def setup_fast_path(app: web.Application) -> None:
    connect: Callable[..., FastConnection] = partial(FastConnection, FastPath(app).begin)
    app[connection_key] = connect


class FastPath:
    """Begins orders for which nothing needs to be waited for before the journal has them."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._orders = {operation.path: operation for operation in ORDERS}
        self._check = guard_check(app[config_key])
        self._has_keys = app[config_key].get("access") == "keys"
        # The replies to orders that were done, before and after the request's id. They hold for a second.
        self._date = ""
        self._done: dict[tuple[bool, bool], list[bytes]] = {}

    def begin(self, message: RawRequestMessage, body: bytes, connection: FastConnection) -> bool:
        """Give the request's order to the journal, and its reply to the connection; return whether it is one."""
        operation = self._orders.get(message.path)
        if operation is None or not _is_plain(message) or len(body) > operation.body_limit_bytes:
            return False
        order = _Order(message, operation, connection, self)
        token = request_id.set(order.id)
        try:
            return self._accept(order, body)
        except Exception:
            # The ordinary way fails as well, and tells the client.
            return False
        finally:
            request_id.reset(token)

    def _accept(self, order: "_Order", body: bytes) -> bool:
        self._check(order)
        caller = self._caller(order)
        if caller is None:
            return False
        order.command = order.operation.parse(form_fields(body), maker=caller.maker)
        # Last, since the ordinary way would count it again.
        if caller.rate is not None and not self._app[authenticator_key].rates.allow_now(caller.rate):
            return False
        try:
            self._app[journal_key].accept(order.command, order)
        except RequestError as error:
            order.set_exception(error)
        return True

    def _caller(self, order: "_Order") -> Caller | None:
        if not self._has_keys:
            return ANYBODY
        return known_caller(order.headers, order.operation.scopes, self._app[authenticator_key])

    def reply(self, order: "_Order", error: Exception | None, *, replayed: bool) -> tuple[bytes, bool]:
        """Return the reply to an order, and whether the connection stays open."""
        keep_alive = not self._app[ending_key].is_set()
        if error is None:
            _note(order, HTTPStatus.OK)
            return self._done_reply(order.id, replayed, keep_alive), keep_alive
        if isinstance(error, RequestError):
            error = on_wire(error, order.operation, order.command)
        reply = rendered(error_reply(self._app, error, order.operation.path), replayed=replayed)
        _note(order, reply.status)
        return whole_reply(identify(reply, order.id), keep_alive=keep_alive), keep_alive

    def _done_reply(self, id_: str, replayed: bool, keep_alive: bool) -> bytes:
        date = rfc822_formatted_time()
        if date is not self._date:
            self._date = date
            self._done.clear()
        parts = self._done.get((replayed, keep_alive))
        if parts is None:
            reply = identify(rendered(DONE_REPLY, replayed=replayed), _MARK)
            parts = whole_reply(reply, keep_alive=keep_alive).split(_MARK.encode())
            self._done[replayed, keep_alive] = parts
        return id_.encode().join(parts)


class _Order:
    """An order on the fast path: the head of its request for the checks, and a kind of future for the journal."""

    __slots__ = ("_connection", "_fast_path", "_is_settled", "_message", "began", "command", "id", "operation")
    command: Command

    def __init__(
        self, message: RawRequestMessage, operation: Operation[Any], connection: FastConnection, path: FastPath
    ) -> None:
        self.began = time.perf_counter()
        self.id = id_of(message.headers)
        self.operation = operation
        self._message = message
        self._connection = connection
        self._fast_path = path
        self._is_settled = False

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

    def done(self) -> bool:
        return self._is_settled or self._connection.gave_up

    def set_result(self, outcome: Outcome) -> None:
        self._settle(outcome.error, replayed=outcome.replayed)

    def set_exception(self, error: Exception) -> None:
        self._settle(error, replayed=False)

    def _settle(self, error: Exception | None, *, replayed: bool) -> None:
        self._is_settled = True
        # In a moment, as with a future: the journal's next batch goes to the database first.
        asyncio.get_running_loop().call_soon(self._answer, error, replayed)

    def _answer(self, error: Exception | None, replayed: bool) -> None:
        # A callback has a context of its own.
        request_id.set(self.id)
        try:
            reply, keep_alive = self._fast_path.reply(self, error, replayed=replayed)
        except Exception:
            protocol_logger.exception("The reply to an order failed.")
            reply, keep_alive = b"", False
        self._connection.reply(reply, keep_alive=keep_alive)


def _note(order: _Order, status: int) -> None:
    """Count and log a reply."""
    seconds = time.perf_counter() - order.began
    count_request(order.operation.path, order.method, status, seconds)
    log_access(order.method, order.operation.path, status, seconds)


def _is_plain(message: RawRequestMessage) -> bool:
    """Whether the request is as nearly all clients send a form."""
    return (
        message.method == hdrs.METH_POST
        and message.version == HttpVersion11
        and not (message.should_close or message.upgrade or message.chunked)
        and is_plain_form(message.headers)
        and hdrs.EXPECT not in message.headers
    )
