"""What every request and reply passes: ids, logging, metrics, and rendering of replies and errors (replies.py)."""

import itertools
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final, NoReturn, cast

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, BadHttpMethod, InvalidURLError, LineTooLong
from aiohttp.typedefs import Middleware

from .appkeys import ending_key, malformed_key, not_found_page_key, replayed_key
from .errors import InvalidRequest
from .observability.access_log import log_access
from .observability.log_setup import request_id
from .observability.metrics import count_request
from .replies import ID_FIELD, error_reply, http_problem, identify, rendered

_logger = logging.getLogger(__name__)

Reply = web.StreamResponse | dict[str, object] | bytes | str
Handler = Callable[[web.Request], Awaitable[Reply]]

# Generated request ids: a random prefix for the process, and a number.
_process: Final = secrets.token_hex(8)
_numbers: Final = itertools.count(1)
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Logged instead of a path without a route: a wrong path may contain a card number.
UNKNOWN_ADDRESS: Final = "(unknown address)"
_MALFORMED: Final[dict[type[BaseException], str]] = {
    BadHttpMethod: "The request does not begin with a method of HTTP. This port speaks plain HTTP, not HTTPS.",
    InvalidURLError: "The address is not valid. If it has characters beyond ASCII, write them percent-encoded as "
    "UTF-8: %E5%BC%A0 for 张. curl does it with -G --data-urlencode 'userId=张三'.",
    LineTooLong: "The address or a header field is longer than 8190 bytes.",
    BadHttpMessage: "The request is not valid HTTP/1.1: check its first line, its header (Host is required; at "
    "most 128 fields, 8190 bytes each) and the chunks of its body.",
}


def _log_middleware(*, counted: bool) -> Callable[[web.Request, Handler], Awaitable[Reply]]:
    """Return the outermost middleware; `counted` means that the metrics count the request and its duration.

    It is one middleware for all of this, since each costs as much as a fortieth of an order.
    """

    @web.middleware
    async def identify_and_log(request: web.Request, handler: Handler) -> Reply:
        """Give the request an id, which its reply and its log lines carry, and log one line about it."""
        id_ = id_of(request.headers)
        request_id.set(id_)
        began = time.perf_counter()
        reply = await handler(request)
        assert isinstance(reply, web.StreamResponse)  # noqa: S101 - render_replies stands inside this middleware
        seconds = time.perf_counter() - began
        identify(reply, id_)
        # Nothing can follow a body that was cut off.
        if request.app[ending_key].is_set() or request.content.exception() is not None:
            reply.force_close()
        path = _route_path(request)
        if counted:
            count_request(path, request.method, reply.status, seconds)
        if malformed_key not in request:
            if path is None:
                # With 405, the path belongs to a route, but not for this method.
                is_route = reply.status == HTTPStatus.METHOD_NOT_ALLOWED
                path = request.rel_url.raw_path if is_route else UNKNOWN_ADDRESS
            log_access(request.method, path, reply.status, seconds)
        return reply

    return identify_and_log


def id_of(headers: Mapping[str, str]) -> str:
    """Return the id that a request has in its header, or a new one."""
    given = headers.get(ID_FIELD)
    return given if given and _REQUEST_ID.fullmatch(given) else f"{_process}-{next(_numbers):x}"


def _route_path(request: web.Request) -> str | None:
    """Return the path of the request's route, or None if no route matches path and method."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else None


@web.middleware
async def render_replies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn a handler's dict into JSON, its str into text, and every error into problem JSON (RFC 9457).

    A handler's bytes are JSON already.
    """
    try:
        if malformed_key in request:
            _refuse_malformed(request[malformed_key])
        reply = await handler(request)
    except web.HTTPException as error:
        page = request.app.get(not_found_page_key)
        if page and error.status == HTTPStatus.NOT_FOUND and "text/html" in request.headers.get("Accept", ""):
            reply = page(request)
        else:
            reply = http_problem(error)
    except Exception as error:
        reply = error_reply(request.app, error, _route_path(request))
    return rendered(reply, replayed=request.get(replayed_key, False))


def _refuse_malformed(error: BaseException) -> NoReturn:
    """Refuse a request that is not valid HTTP. Nothing of it is shown or logged: it may contain a card number."""
    _logger.info("A request was not HTTP: %s", type(error).__name__)
    raise InvalidRequest(_MALFORMED.get(type(error), _MALFORMED[BadHttpMessage]))


# aiohttp's types allow only handlers that return responses.
MIDDLEWARES: Final = cast("tuple[Middleware, ...]", (_log_middleware(counted=True), render_replies))
# The metrics count requests of clients only.
OPERATIONS_MIDDLEWARES: Final = cast("tuple[Middleware, ...]", (_log_middleware(counted=False), render_replies))
