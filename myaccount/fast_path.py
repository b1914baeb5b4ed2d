"""The fast path: a plain order, opening or query goes past aiohttp's objects, and its reply is one write.

For each request aiohttp makes a task, a request, a writer and a response. That costs more than what the service
itself does for an order. A request that comes whole, as a form, alone on an idle connection, needs none of them:
aiohttp's parser reads its head, unless the same one came a moment before. It passes the same checks as on the
ordinary way, and gets the same reply. A request that is anything else, or that is refused by its head, takes the
ordinary way from its beginning.

tests/service/test_fast_path.py compares both ways.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11, RawRequestMessage

from .access.authorisation import known_caller
from .access.callers import ANYBODY, Caller
from .access.guard import guard_check, is_checked_by_head
from .appkeys import authenticator_key, config_key, connection_key, journal_key
from .controller.body import is_plain_form
from .controller.submitting import DONE_REPLY, on_wire
from .errors import RequestError
from .fast_connection import FastConnection
from .fast_heads import KnownHead, KnownHeads
from .fast_request import FastReplies, FastRequest
from .ledger.commands import Command
from .ledger.outcomes import Outcome
from .observability.log_setup import request_id
from .replies import ID_FIELD
from .routes import COMMANDS, QUERIES, Query

_OPERATIONS: Final = {operation.path: operation for operation in (*COMMANDS, *QUERIES)}


async def fast_path_context(app: web.Application) -> AsyncIterator[None]:
    fast_path = FastPath(app)
    connect: Callable[..., FastConnection] = partial(FastConnection, fast_path)
    app[connection_key] = connect
    yield
    await fast_path.close()


class FastPath:
    """Begins requests for which nothing needs to be waited for before their work begins."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._replies = FastReplies(app)
        self._check = guard_check(app[config_key])
        self._has_keys = app[config_key].get("access") == "keys"
        self._queries: set[asyncio.Future[Any]] = set()
        self._heads = KnownHeads()

    def begin_known(self, head: bytes, body: bytes, connection: FastConnection) -> bool | None:
        """Begin a request whose head is known; return whether it has begun, or None if the head is not known."""
        known = self._heads.find(head, len(body))
        if known is None:
            return None
        request = FastRequest(known.message, known.operation, connection, self._replies)
        return self._begins(request, body, check=not known.is_checked)

    def begin(
        self, message: RawRequestMessage, body: bytes, connection: FastConnection, head: bytes | None
    ) -> bool:
        """Begin the request's work, whose reply the connection will get; return whether it has begun."""
        operation = _OPERATIONS.get(message.path)
        if operation is None or not _is_plain(message) or len(body) > operation.body_limit_bytes:
            return False
        request = FastRequest(message, operation, connection, self._replies)
        if not self._begins(request, body, check=True):
            return False
        if head is not None and ID_FIELD not in message.headers:
            self._heads.remember(head, KnownHead(message, operation, len(body), is_checked_by_head(request)))
        return True

    def _begins(self, request: FastRequest, body: bytes, *, check: bool) -> bool:
        token = request_id.set(request.id)
        try:
            if check:
                self._check(request)
            return self._begin(request, body)
        except Exception:
            # The ordinary way fails as well, and tells the client.
            return False
        finally:
            request_id.reset(token)

    def _begin(self, request: FastRequest, body: bytes) -> bool:
        operation, caller = request.operation, self._caller(request)
        if caller is None:
            return False
        more = COMMANDS[operation](caller) if operation in COMMANDS else {}
        try:
            made = operation.parse_form(body, **more)
        except RequestError as error:
            made = error
        # Last, since the ordinary way would count it again.
        if caller.rate is not None and not self._app[authenticator_key].rates.allow_now(caller.rate):
            return False
        if isinstance(made, RequestError):
            # In a moment, when the connection has taken the request over.
            asyncio.get_running_loop().call_soon(request.reply, made)
        elif operation in COMMANDS:
            self._submit(request, made)
        else:
            self._ask(request, QUERIES[operation], made, caller)
        return True

    def _caller(self, request: FastRequest) -> Caller | None:
        if not self._has_keys:
            return ANYBODY
        return known_caller(request.headers, request.operation.scopes, self._app[authenticator_key])

    def _submit(self, request: FastRequest, command: Command) -> None:
        answer = _Answer(request, command)
        try:
            self._app[journal_key].accept(command, answer)
        except RequestError as error:
            answer.set_exception(error)

    def _ask(self, request: FastRequest, query: Query, made: object, caller: Caller) -> None:
        # A coalesced query is a future already. A task for each would take five microseconds more.
        found = asyncio.ensure_future(query.find(made, caller, self._app))
        self._queries.add(found)
        found.add_done_callback(partial(self._answer, request, partial(query.text, made, caller)))

    def _answer(self, request: FastRequest, text: Callable[[Any], bytes], found: asyncio.Future[Any]) -> None:
        self._queries.discard(found)
        if found.cancelled():
            return
        try:
            reply: bytes | Exception = text(found.result())
        except Exception as error:
            reply = error
        request.reply(reply)

    async def close(self) -> None:
        """End the queries that shutdown has given up."""
        for query in self._queries:
            query.cancel()
        await asyncio.gather(*self._queries, return_exceptions=True)


class _Answer:
    """In the place of a future, gets a command's outcome from the journal, and replies."""

    __slots__ = ("_command", "_is_settled", "_request")

    def __init__(self, request: FastRequest, command: Command) -> None:
        self._request = request
        self._command = command
        self._is_settled = False

    def done(self) -> bool:
        return self._is_settled

    def set_result(self, outcome: Outcome) -> None:
        self._settle(outcome.error, replayed=outcome.replayed)

    def set_exception(self, error: Exception) -> None:
        self._settle(error, replayed=False)

    def _settle(self, error: Exception | None, *, replayed: bool) -> None:
        self._is_settled = True
        # In a moment, as with a future: the journal's next batch goes to the database first.
        asyncio.get_running_loop().call_soon(self._reply, error, replayed)

    def _reply(self, error: Exception | None, replayed: bool) -> None:
        # A callback has a context of its own.
        request_id.set(self._request.id)
        if isinstance(error, RequestError):
            error = on_wire(error, self._request.operation, self._command)
        self._request.reply(error or DONE_REPLY, replayed=replayed)


def _is_plain(message: RawRequestMessage) -> bool:
    """Whether the request is as nearly all clients send a form."""
    return (
        message.method == hdrs.METH_POST
        and message.version == HttpVersion11
        and not (message.should_close or message.upgrade or message.chunked)
        and is_plain_form(message.headers)
        and hdrs.EXPECT not in message.headers
    )
