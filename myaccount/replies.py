"""Replies and their headers: JSON, and problem JSON (RFC 9457) for errors."""

import json
import logging
from http import HTTPStatus
from typing import Final, TypeVar

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11
from multidict import CIMultiDict, istr

from .appkeys import refusals_key
from .errors import RequestError
from .observability.log_setup import request_id
from .observability.metrics import count_refusal
from .problems import DETAIL_BY_CODE, STATUS_BY_CODE

_logger = logging.getLogger(__name__)

Response = TypeVar("Response", bound=web.StreamResponse)

RETRY_AFTER_SECONDS: Final = "1"
_JSON: Final = CIMultiDict({hdrs.CONTENT_TYPE: "application/json; charset=utf-8"})
_PROBLEM: Final = CIMultiDict({hdrs.CONTENT_TYPE: "application/problem+json; charset=utf-8"})
ID_FIELD: Final = istr("X-Request-ID")
_CODE_BY_STATUS: Final = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "payload_too_large",
    415: "unsupported_media_type",
}


def rendered(reply: Response | dict[str, object] | bytes | str, *, replayed: bool) -> Response | web.Response:
    """Return a handler's reply as a response; `replayed` means that it repeats the reply of an earlier request."""
    if isinstance(reply, dict):
        reply = encoded(reply)
    if isinstance(reply, bytes):
        response: Response | web.Response = web.Response(body=reply, headers=_JSON)
    elif isinstance(reply, str):
        response = web.Response(text=reply)
    else:
        response = reply
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def error_reply(app: web.Application, error: Exception, path: str | None) -> web.Response:
    """Count or log the error of a request to a route, and return the reply."""
    if isinstance(error, RequestError):
        note_refusal(app, error)
        return refusal(error, refusal_body(error))
    _logger.error("The handler of %s failed.", path, exc_info=error)
    detail = "The service failed. Its log tells more under this request id."
    return _problem("internal_error", _problem_body("internal_error", "Internal Server Error", detail))


def refusal(error: RequestError, body: bytes) -> web.Response:
    """Return the reply about an error, with that body."""
    reply = _problem(error.code, body)
    reply.headers.update(error.headers)
    return reply


def refusal_body(error: RequestError) -> bytes:
    return _problem_body(error.code, error.title, str(error), error.field, error.failed)


def note_refusal(app: web.Application, error: RequestError) -> None:
    """Count the error of a reply, and log it if the service could not do its work."""
    count_refusal(error.code)
    if STATUS_BY_CODE[error.code] == HTTPStatus.SERVICE_UNAVAILABLE:
        app[refusals_key].note(error.cause, request_id.get())


def identify(reply: Response, id_: str) -> Response:
    """Return the reply with the id of its request."""
    reply.headers[ID_FIELD] = id_
    return reply


async def complete_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Set the headers of every reply: no server name, no guessing of the media type, no storing by caches."""
    headers = response.headers
    headers.popall(hdrs.SERVER, None)
    if request.version < HttpVersion11 and response.content_length is None:
        # For HTTP/1.0, a body without a length ends with the connection. aiohttp-sse says keep-alive.
        response.force_close()
        headers[hdrs.CONNECTION] = "close"
    add_safe_headers(headers)


def add_safe_headers(headers: CIMultiDict[str]) -> None:
    headers["X-Content-Type-Options"] = "nosniff"
    # To other sites' pages even the status is an error, also over plain HTTP, where browsers do not name the site.
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    # aiohttp-sse sets no-cache, which still allows caches to store a copy.
    if headers.get(hdrs.CACHE_CONTROL, "no-cache") == "no-cache":
        headers[hdrs.CACHE_CONTROL] = "no-store"


json_text: Final = json.JSONEncoder(ensure_ascii=False).encode


def encoded(reply: dict[str, object]) -> bytes:
    """Return a handler's dict as the body of its reply."""
    # The line end is for terminals, as with curl.
    return (json_text(reply) + "\n").encode()


def http_problem(error: web.HTTPException) -> web.Response:
    code = _CODE_BY_STATUS.get(error.status, "invalid_request" if error.status < 500 else "internal_error")
    # aiohttp's default text only repeats the status.
    detail = error.text if error.text != f"{error.status}: {error.reason}" else None
    if isinstance(error, web.HTTPMethodNotAllowed):
        *others, last = sorted(error.allowed_methods)
        detail = f"This address takes {', '.join(others)} and {last}." if others else f"This address takes {last}."
    body = _problem_body(
        code, HTTPStatus(error.status).phrase, detail or DETAIL_BY_CODE[code], status=error.status
    )
    reply = _problem(code, body, status=error.status)
    if "Allow" in error.headers:
        reply.headers["Allow"] = error.headers["Allow"]
    return reply


def _problem_body(
    code: str,
    title: str,
    detail: str,
    field: str | None = None,
    failed: int | None = None,
    *,
    status: int | None = None,
) -> bytes:
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
    return encoded(body)


def _problem(code: str, body: bytes, *, status: int | None = None) -> web.Response:
    status = status or STATUS_BY_CODE[code]
    reply = web.Response(body=body, status=status, headers=_PROBLEM)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        reply.headers["Retry-After"] = RETRY_AFTER_SECONDS
    return reply
