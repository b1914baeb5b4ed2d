"""What every request and reply passes: ids, logging, metrics, and rendering of replies and errors."""

import itertools
import json
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, NoReturn, cast

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11
from aiohttp.http_exceptions import BadHttpMessage, BadHttpMethod, InvalidURLError, LineTooLong
from aiohttp.typedefs import Middleware
from multidict import CIMultiDict

from .appkeys import ending_key, malformed_key, not_found_page_key, refusals_key, replayed_key
from .errors import InvalidRequest, RequestError
from .observability.log_setup import request_id
from .observability.metrics import count_refusal, count_request
from .problems import DETAIL_BY_CODE, STATUS_BY_CODE

_access_logger = logging.getLogger("myaccount.access")
_logger = logging.getLogger(__name__)

Reply = web.StreamResponse | dict[str, object] | bytes | str
Handler = Callable[[web.Request], Awaitable[Reply]]

RETRY_AFTER_SECONDS: Final = "1"
_JSON: Final = CIMultiDict({hdrs.CONTENT_TYPE: "application/json; charset=utf-8"})

# Generated request ids: a random prefix for the process, and a number.
_process: Final = secrets.token_hex(8)
_numbers: Final = itertools.count(1)
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Monitoring requests these every few seconds, so they are logged at DEBUG.
_PROBES: Final = frozenset(("/healthz", "/readyz", "/metrics"))
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
_CODE_BY_STATUS: Final = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "payload_too_large",
    415: "unsupported_media_type",
}


def _log_middleware(*, counted: bool) -> Callable[[web.Request, Handler], Awaitable[Reply]]:
    """Return the outermost middleware; `counted` means that the metrics count the request and its duration.

    It is one middleware for all of this, since each costs as much as a fortieth of an order.
    """

    @web.middleware
    async def identify_and_log(request: web.Request, handler: Handler) -> Reply:
        """Give the request an id, which its reply and its log lines carry, and log one line about it."""
        given = request.headers.get("X-Request-ID")
        id_ = given if given and _REQUEST_ID.fullmatch(given) else f"{_process}-{next(_numbers):x}"
        request_id.set(id_)
        began = time.perf_counter()
        reply = await handler(request)
        assert isinstance(reply, web.StreamResponse)  # noqa: S101 - render_replies stands inside this middleware
        seconds = time.perf_counter() - began
        reply.headers["X-Request-ID"] = id_
        # Nothing can follow a body that was cut off.
        if request.app[ending_key].is_set() or request.content.exception() is not None:
            reply.force_close()
        path = _route_path(request)
        if counted:
            count_request(path, request.method, reply.status, seconds)
        if malformed_key not in request:
            _log_access(request, path, reply.status, seconds)
        return reply

    return identify_and_log


def _log_access(request: web.Request, path: str | None, status: int, seconds: float) -> None:
    if path is None:
        # With 405, the path belongs to a route, but not for this method.
        path = request.rel_url.raw_path if status == HTTPStatus.METHOD_NOT_ALLOWED else UNKNOWN_ADDRESS
    level = logging.DEBUG if path in _PROBES else logging.INFO
    if _access_logger.isEnabledFor(level):
        _access_logger.log(level, "%s %s %s %.1f ms", request.method, path, status, seconds * 1000)


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
    except RequestError as error:
        note_refusal(request, error)
        reply = _problem(error.code, error.title, str(error), error.field, error.failed)
        reply.headers.update(error.headers)
    except web.HTTPException as error:
        page = request.app.get(not_found_page_key)
        if page and error.status == HTTPStatus.NOT_FOUND and "text/html" in request.headers.get("Accept", ""):
            reply = page(request)
        else:
            reply = _http_problem(error)
    except Exception:
        _logger.exception("The handler of %s failed.", _route_path(request))
        detail = "The service failed. Its log tells more under this request id."
        reply = _problem("internal_error", "Internal Server Error", detail)
    if isinstance(reply, dict):
        reply = _dumps(reply).encode()
    if isinstance(reply, bytes):
        reply = web.Response(body=reply, headers=_JSON)
    elif isinstance(reply, str):
        reply = web.Response(text=reply)
    if request.get(replayed_key):
        reply.headers["Idempotent-Replayed"] = "true"
    return reply


def note_refusal(request: web.Request, error: RequestError) -> None:
    """Count the error of a reply, and log it if the service could not do its work."""
    count_refusal(error.code)
    if STATUS_BY_CODE[error.code] == HTTPStatus.SERVICE_UNAVAILABLE:
        request.app[refusals_key].note(error.cause, request_id.get())


def _refuse_malformed(error: BaseException) -> NoReturn:
    """Refuse a request that is not valid HTTP. Nothing of it is shown or logged: it may contain a card number."""
    _logger.info("A request was not HTTP: %s", type(error).__name__)
    raise InvalidRequest(_MALFORMED.get(type(error), _MALFORMED[BadHttpMessage]))


# aiohttp's types allow only handlers that return responses.
MIDDLEWARES: Final = cast("tuple[Middleware, ...]", (_log_middleware(counted=True), render_replies))
# The metrics count requests of clients only.
OPERATIONS_MIDDLEWARES: Final = cast("tuple[Middleware, ...]", (_log_middleware(counted=False), render_replies))


async def complete_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Set the headers of every reply: no server name, no guessing of the media type, no storing by caches."""
    headers = response.headers
    headers.popall(hdrs.SERVER, None)
    headers["X-Content-Type-Options"] = "nosniff"
    if request.version < HttpVersion11 and response.content_length is None:
        # For HTTP/1.0, a body without a length ends with the connection. aiohttp-sse says keep-alive.
        response.force_close()
        headers[hdrs.CONNECTION] = "close"
    # aiohttp-sse sets no-cache, which still allows caches to store a copy.
    if headers.get(hdrs.CACHE_CONTROL, "no-cache") == "no-cache":
        headers[hdrs.CACHE_CONTROL] = "no-store"


_encode: Final = json.JSONEncoder(ensure_ascii=False).encode


def _dumps(value: object) -> str:
    # The line end is for terminals, as with curl.
    return _encode(value) + "\n"


def _http_problem(error: web.HTTPException) -> web.Response:
    code = _CODE_BY_STATUS.get(error.status, "invalid_request" if error.status < 500 else "internal_error")
    # aiohttp's default text only repeats the status.
    detail = error.text if error.text != f"{error.status}: {error.reason}" else None
    if isinstance(error, web.HTTPMethodNotAllowed):
        *others, last = sorted(error.allowed_methods)
        detail = f"This address takes {', '.join(others)} and {last}." if others else f"This address takes {last}."
    reply = _problem(code, HTTPStatus(error.status).phrase, detail or DETAIL_BY_CODE[code], status=error.status)
    if "Allow" in error.headers:
        reply.headers["Allow"] = error.headers["Allow"]
    return reply


def _problem(
    code: str,
    title: str,
    detail: str,
    field: str | None = None,
    failed: int | None = None,
    *,
    status: int | None = None,
) -> web.Response:
    body: dict[str, object] = {
        "type": f"/errors#{code}",
        "title": title,
        "status": status or STATUS_BY_CODE[code],
        "detail": detail,
        "result": 0,
        "code": code,
        "request_id": request_id.get(),
    }
    if field is not None:
        body["field"] = field
    if failed is not None:
        body["failed"] = failed
    status = status or STATUS_BY_CODE[code]
    headers = {"Retry-After": RETRY_AFTER_SECONDS} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return web.Response(text=_dumps(body), status=status, headers=headers, content_type="application/problem+json")
