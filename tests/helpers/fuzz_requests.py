"""Random requests, made from the table of routes: a new route gets its share of them by itself."""

import random
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple

from aiohttp import web

from myaccount.controller.bulk_orders import BULK
from myaccount.controller.operation import Operation
from myaccount.controller.operator_pages import CHANGE_PASSWORD, SIGN_IN
from myaccount.routes import OPERATIONS, setup_routes, setup_sign_in_routes

from .fuzz_callers import Caller, Callers
from .fuzz_contents import Content, Contents, SentOrder
from .fuzz_oddities import (
    ADDRESSES,
    BODIES,
    FORM,
    FRAMINGS,
    HEADERS,
    JSON,
    MEDIA_TYPES,
    METHODS,
    OTHER_SITES,
    SPELLINGS,
)

_DEFINED: Final = {operation.path: operation for operation in (*OPERATIONS, SIGN_IN, CHANGE_PASSWORD)}
# Before the number of a request, in ids of the client's own.
OWN_ID: Final = b"fuzz-"
# Routes that end sessions.
LEAVING: Final = ("/signout", "/account")


class Route(NamedTuple):
    """A method of a path, and the operation that is there, if any."""

    method: str
    path: str
    operation: Operation[Any] | None

    @property
    def weight(self) -> float:
        """Orders are most of the requests, and pages the fewest."""
        if self.operation is None:
            return 0.1
        makes_orders = any(field.fresh for field in self.operation.fields.values())
        return 6 if makes_orders or self.operation is BULK else 0.4


class Request(NamedTuple):
    """A request as it is sent, with the orders that it makes if the service accepts it.

    Without an `ending` it ends where its header says. Else the client sends no more ("eof") or goes away ("gone").
    """

    number: int
    caller: Caller
    method: str
    target: str
    data: bytes
    orders: Sequence[SentOrder] = ()
    from_other_site: bool = False
    ending: str = ""


def all_routes() -> list[Route]:
    app = web.Application()
    setup_routes(app)
    setup_sign_in_routes(app)
    paths = [(route.method, route.resource.canonical) for route in app.router.routes() if route.resource]
    return [Route(method, path, _DEFINED.get(path)) for method, path in paths]


class Requests:
    """Makes requests: the same ones for the same seed, but for the callers' secrets."""

    def __init__(self, seed: int, callers: Callers, host: str) -> None:
        self._random = random.Random(seed)
        self._callers = callers
        self._host = host.encode()
        self._contents = Contents(self._random)
        self._routes = all_routes()
        self._weights = list(accumulate(route.weight for route in self._routes))
        self._made = 0

    def next(self) -> Request:
        (route,) = self._random.choices(self._routes, cum_weights=self._weights)
        content = self._contents.of(route.operation or self._random.choice(OPERATIONS))
        caller, target = self._caller(route), self._target(route)
        orders = content.orders if route.operation and target not in ADDRESSES else ()
        method = self._random.choice(METHODS) if self._is(0.04) else route.method
        lines, from_other_site = list(caller.lines), self._is(0.03)
        if from_other_site:
            lines.insert(self._random.randint(0, len(lines)), self._random.choice(OTHER_SITES))
        elif self._is(0.1):
            lines += self._random.choices(HEADERS, k=self._random.randint(1, 3))
        media_type, body = self._body(content)
        if method in ("GET", "HEAD") and not self._is(0.02):
            # The fields are in the address.
            target += f"{'&' if '?' in target else '?'}{content.form()}" if route.operation else ""
            media_type = body = b""
        if media_type:
            lines.append(b"Content-Type: " + media_type)
        self._made += 1
        if self._is(0.5):
            lines.append(b"X-Request-ID: %s%d" % (OWN_ID, self._made))
        version = b"HTTP/1.0" if self._is(0.005) else b"HTTP/1.1"
        first = b"%s %s %s" % (method.encode(), target.encode("utf-8", "surrogatepass"), version)
        data, ending = self._framed(b"\r\n".join([first, b"Host: " + self._host, *lines, b""]), body)
        return Request(self._made, caller, method, target, data, orders, from_other_site, ending)

    def _caller(self, route: Route) -> Caller:
        """Return one that may use the route, in most requests."""
        if route.path.startswith(LEAVING):
            return self._random.choice(self._callers.leavers)
        if route.operation is None or self._is(0.3):
            return self._random.choice(self._callers.all)
        if self._is(0.3):
            return self._callers.all[0]
        scopes = set(route.operation.scopes)
        return self._random.choice(
            [caller for caller in self._callers.all if caller.scopes & scopes] or self._callers.all
        )

    def _target(self, route: Route) -> str:
        if self._is(0.02):
            return self._random.choice(ADDRESSES)
        if route.operation and "token" in route.operation.fields and self._is(0.3):
            return f"{route.path}?token={self._random.choice(self._callers.tokens)}"
        return self._random.choice(SPELLINGS)(route.path) if self._is(0.03) else route.path

    def _body(self, content: Content) -> tuple[bytes, bytes]:
        """Return the media type and the body."""
        in_json = (content.operation.json_only or self._is(0.4)) is not self._is(0.01)
        body = (content.json() if in_json else content.form()).encode("utf-8", "surrogatepass")
        if self._is(0.04):
            body = self._random.choice(BODIES)(body)
        media_type = JSON if in_json else FORM
        return self._random.choice(MEDIA_TYPES) if self._is(0.02) else media_type, body

    def _framed(self, head: bytes, body: bytes) -> tuple[bytes, str]:
        """Return the whole request, and how it ends."""
        if self._is(0.01):
            return self._random.choice(FRAMINGS)(head, body), "eof"
        if self._is(0.02):
            chunks = b"".join([b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:9], body[9:]) if part])
            return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n", ""
        whole = head + (b"Content-Length: %d\r\n\r\n" % len(body) if body else b"\r\n") + body
        if self._is(0.01):
            return self._damaged(whole), "eof"
        return whole, "gone" if self._is(0.005) else ""

    def _damaged(self, data: bytes) -> bytes:
        """Return the bytes with one of them replaced or left out."""
        place = self._random.randrange(len(data))
        middle = self._random.choice(
            (bytes([self._random.randrange(256)]), b"", b"\r\n", b"\x00\x00", data[:place])
        )
        return data[:place] + middle + data[place + 1 :]

    def _is(self, share: float) -> bool:
        return self._random.random() < share
