"""Reads the fields of a request from a form, a JSON object or the query. A repeated field is an error."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from aiohttp import StreamReader, hdrs, web

from ..appkeys import expects_body_key
from ..errors import InvalidRequest, Overloaded

# Enough for 16 KiB over a slow line, and for 1 MiB at 1 Mbit/s; nginx sends a body once it has all of it. A client
# that sends nothing does not occupy a handler for longer.
BODY_TIMEOUT_SECONDS: Final = 10
# 1 MiB of JSON can take half a second. So larger bodies than this are decoded in a thread: other requests go on.
LARGE_BYTES: Final = 64 * 1024
# A process reads and decodes so many of these at once, which bounds the memory and the threads they take.
LARGE_BODIES_LIMIT: Final = 16
SHOWN_LIMIT: Final = 45
_large_bodies: Final = asyncio.Semaphore(LARGE_BODIES_LIMIT)
_FORM: Final = "application/x-www-form-urlencoded"


class JsonNumber(str):
    """A number of a JSON body as written, since an amount must not pass through a float."""

    __slots__ = ()


class _Repeating(dict[str, Any]):
    """A JSON object in which a member is repeated."""

    __slots__ = ("repeated",)
    repeated: str


async def read_fields(request: web.Request, limit_bytes: int, *, json_only: bool = False) -> dict[str, Any]:
    """Return the fields of the body by name. Values of a form are str; those of JSON keep their type.

    Numbers of JSON are JsonNumber. An object in a JSON value may repeat a member: `refuse_repeated` finds that.
    Raises InvalidRequest if the body is malformed or repeats a field, HTTPUnsupportedMediaType if it is neither
    form nor JSON, HTTPRequestEntityTooLarge if it exceeds the limit, HTTPRequestTimeout if it does not arrive in
    time, and Overloaded if LARGE_BODIES_LIMIT large ones arrive already.
    """
    if not request.body_exists:
        return {}
    parse = _parser(request)
    if json_only and parse is not _parse_json:
        raise web.HTTPUnsupportedMediaType(text="Send JSON (Content-Type: application/json).")
    length = request.content_length
    if (length or 0) > limit_bytes:
        raise _too_large(limit_bytes)
    # A body in chunks does not tell its length.
    if limit_bytes <= LARGE_BYTES or (length is not None and length <= LARGE_BYTES):
        return _decode(await _read(request, limit_bytes), parse)
    if _large_bodies.locked():
        raise Overloaded("Too many large requests arrive at once. Send the same one again in a moment.")
    async with _large_bodies:
        body = await _read(request, limit_bytes)
        if len(body) > LARGE_BYTES:
            return await asyncio.to_thread(_decode, body, parse)
        return _decode(body, parse)


async def _read(request: web.Request, limit_bytes: int) -> bytes:
    """Return the body. Its errors are those of `read_fields`."""
    try:
        if request.content.is_eof():
            # The body came with the header, as nearly all do, so no timer is needed.
            body = request.content.read_nowait()
        else:
            if request.get(expects_body_key) and request.transport is not None:
                request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
                body = await _read_beyond(request.content, limit_bytes)
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="The body did not arrive in time.") from None
    except (web.RequestPayloadError, ConnectionError):
        raise InvalidRequest("The body is cut off, or not in the transfer coding it says.") from None
    if len(body) > limit_bytes:
        raise _too_large(limit_bytes)
    return body


def _decode(body: bytes, parse: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    try:
        return parse(body.decode())
    except UnicodeDecodeError:
        raise InvalidRequest("The body is not UTF-8.") from None


async def _read_beyond(content: StreamReader, limit_bytes: int) -> bytes:
    """Return the body or, if it is longer than the limit, a beginning that is longer."""
    body = bytearray()
    while len(body) <= limit_bytes and (part := await content.readany()):
        body += part
    return bytes(body)


def _too_large(limit_bytes: int) -> web.HTTPRequestEntityTooLarge:
    text = f"The body is larger than {limit_bytes // 1024} KiB."
    return web.HTTPRequestEntityTooLarge(limit_bytes, text=text)


def read_query(request: web.Request) -> dict[str, str]:
    """Return the fields of the query. Raises InvalidRequest if it is not UTF-8, or repeats a field."""
    try:
        return _parse_form(request.rel_url.raw_query_string)
    except UnicodeDecodeError:
        raise InvalidRequest("The query is not UTF-8.") from None


def is_plain_form(headers: Mapping[str, str]) -> bool:
    """Whether a body is a form, in the spelling of nearly all clients."""
    return headers.get(hdrs.CONTENT_TYPE) == _FORM and hdrs.CONTENT_ENCODING not in headers


def form_fields(body: bytes) -> dict[str, Any]:
    """Return the fields of a form. Raises InvalidRequest if it is not UTF-8, or repeats a field."""
    return _decode(body, _parse_form)


def _parser(request: web.Request) -> Callable[[str], dict[str, Any]]:
    if is_plain_form(request.headers):
        return _parse_form
    if any(coding.lower() != "identity" for coding in request.headers.getall("Content-Encoding", ())):
        raise web.HTTPUnsupportedMediaType(text="Send the body without a Content-Encoding.")
    media_type, charsets = _content_type(request.headers.get("Content-Type", ""))
    if not charsets <= {"utf-8", "utf8"}:
        raise web.HTTPUnsupportedMediaType(text="Send the body in UTF-8.")
    if media_type == _FORM:
        return _parse_form
    if media_type == "application/json":
        return _parse_json
    raise web.HTTPUnsupportedMediaType(text=f"Send a form (Content-Type: {_FORM}) or JSON (application/json).")


def _content_type(header: str) -> tuple[str, set[str]]:
    """Return the media type, and the values of all parameters called charset, in lower case.

    aiohttp's own properties read the header with the standard library's email parser, which takes seconds for
    8 KiB of semicolons and fails on 8 KiB of parentheses.
    """
    media_type, *parameters = header.lower().split(";")
    named = [parameter.partition("=") for parameter in parameters]
    return media_type.strip(), {value.strip(' \t"') for name, _, value in named if name.strip() == "charset"}


def _parse_form(text: str) -> dict[str, Any]:
    if "%" not in text and "+" not in text:
        # No escapes, as in most orders. This takes 1.5 microseconds, parse_qsl 15.
        return _unique([pair.partition("=")[::2] for pair in text.split("&") if pair])
    return _unique(parse_qsl(text, keep_blank_values=True, errors="strict"))


def _parse_json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(
            # Some editors, and .NET, begin a text in UTF-8 with a byte order mark.
            text.removeprefix("\ufeff"),
            object_pairs_hook=_members,
            parse_int=JsonNumber,
            parse_float=JsonNumber,
            parse_constant=JsonNumber,
        )
    except RecursionError:
        raise InvalidRequest("The JSON is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not JSON: {error.msg}, at character {error.pos + 1}.") from None
    if isinstance(value, dict):
        refuse_repeated(value)
        return value
    raise InvalidRequest("The JSON must be an object with the fields as its members.")


def shown(name: str) -> str:
    """Return a client's field name in a form that a reply may contain: short, and without surrogates."""
    return name[:SHOWN_LIMIT].encode("utf-8", "replace").decode()


def refuse_repeated(value: dict[str, Any]) -> None:
    """Raise InvalidRequest if the JSON object repeats a member."""
    if isinstance(value, _Repeating):
        raise InvalidRequest("The field was sent more than once.", field=shown(value.repeated))


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    fields = _members(pairs)
    refuse_repeated(fields)
    return fields


def _members(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs as a dict: as `_Repeating`, with the first repeated name, if one comes more than once."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        fields = _Repeating(fields)
        seen = set()
        for name, _ in pairs:
            if name in seen:
                fields.repeated = name
                break
            seen.add(name)
    return fields
