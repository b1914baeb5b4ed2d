"""What the service relies on inside aiohttp, as a digest of its source."""

import inspect
from hashlib import sha256
from typing import Any

from aiohttp import base_protocol, helpers, http_writer, streams, web_protocol, web_response, web_server

# All that decides when a handler waits, goes on and ends, and what is written of a reply.
RELIED_ON: tuple[Any, ...] = (
    base_protocol.BaseProtocol,
    helpers.rfc822_formatted_time,
    http_writer.StreamWriter,
    http_writer._py_serialize_headers,
    streams.StreamReader.is_eof,
    streams.StreamReader.feed_data,
    streams.EmptyStreamReader,
    web_protocol.RequestHandler,
    web_response.StreamResponse.prepare,
    web_response.StreamResponse._start,
    web_response.StreamResponse._prepare_headers,
    web_response.StreamResponse._write_headers,
    web_response.StreamResponse.write_eof,
    web_response.Response,
    web_server.Server,
)


def digests() -> dict[str, str]:
    """Return a digest of the source of each, by its name."""
    return {
        f"{one.__module__}.{one.__qualname__}": sha256(inspect.getsource(one).encode()).hexdigest()[:16]
        for one in RELIED_ON
    }
