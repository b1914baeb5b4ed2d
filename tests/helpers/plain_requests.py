"""Random requests by a seed: plain orders, openings and queries, and variations that the fast path leaves out."""

import random
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple
from urllib.parse import urlencode

FORM: Final = "application/x-www-form-urlencoded"
HEADERS: Final = {"Host": "127.0.0.1", "Content-Type": FORM}
# Of a valid request; each in its place makes it another one.
ORDER_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "/recharge": ("orderId", "userId", "amount"),
    "/withdraw": ("orderId", "userId", "amount"),
    "/transfer": ("orderId", "fromuserId", "touserId", "amount"),
    "/refund": ("orderId", "originalOrderId"),
    "/hold": ("orderId", "fromuserId", "touserId", "amount"),
    "/capture": ("orderId", "holdOrderId"),
    "/release": ("orderId", "holdOrderId"),
    "/extend": ("orderId", "holdOrderId", "expiresIn"),
}
FIELDS: Final[dict[str, tuple[str, ...]]] = {
    **ORDER_FIELDS,
    "/openacc": ("userId", "userName", "sex", "cardNum", "accountId", "accountType"),
    "/addaccount": ("userId", "accountId", "accountType"),
    "/queryacc": ("userId",),
    "/querorder": ("orderId",),
    "/messages": ("userId", "pageSize"),
    "/teammessages": ("userId", "teamId"),
}
# How often each is sent.
_WEIGHTS: Final = (20, 10, 37, 8, 8, 4, 3, 3, 4, 2, 20, 10, 3, 1)
# Fields that are wrong, or that few orders have.
ODD_FIELDS: Final = (
    ("note", "two coffees"),
    ("note", "größer 张 +%"),
    ("note", ""),
    ("reference", "invoice-7"),
    ("currency", "CNY"),
    ("currency", "JPY"),
    ("currency", "XXX"),
    ("amount", "0"),
    ("amount", "1.005"),
    ("amount", "1e3"),
    ("amount", "99999999999999999"),
    ("orderId", "a b"),
    ("orderId", "x" * 46),
    ("touserId", "nobody"),
    ("toaccountId", "a-nobody"),
    ("pageNo", "2"),
    ("before", "read-7"),
    ("before", "7"),
    ("language", "en"),
    ("teamId", "nobody"),
    ("unknown", "1"),
    ("orderId", ""),
)
ODD_BODIES: Final = (
    b"",
    b"&&",
    b"=",
    b"orderId",
    b'{"orderId": "x"}',
    b"orderId=%ff&userId=u",
    b"\xff\xfe",
    b"orderId=a%0Ab&userId=u&amount=1",
    b"a\r\n\r\nb=1",
    b"\r\n",
    b"x=" + b"y" * 17_000,
)
# Each instead of, or beside, the plain ones. None leaves a header out.
ODD_HEADERS: Final[tuple[Mapping[str, str | None], ...]] = (
    {"X-Request-ID": "not valid!"},
    {"X-Request-ID": "x" * 65},
    {"x-request-id": "lower-case.1"},
    {"X-Request-ID": ""},
    {"Content-Type": FORM + "; charset=utf-8"},
    {"Content-Type": FORM + "; charset=latin-1"},
    {"Content-Type": FORM.upper()},
    {"Content-Type": "application/json"},
    {"Content-Type": "text/plain"},
    {"Content-Type": None},
    {"Content-Encoding": "identity"},
    {"Content-Encoding": "gzip"},
    {"Expect": "100-continue"},
    {"Expect": "tea"},
    {"Connection": "keep-alive"},
    {"Connection": "close"},
    {"Connection": "Upgrade", "Upgrade": "h2c"},
    {"Connection": "Upgrade", "Upgrade": "websocket"},
    {"Upgrade": "websocket"},
    {"Host": "localhost:80"},
    {"Host": "shop.example"},
    {"Host": ""},
    {"Host": None},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "http://shop.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "cross-site"},
    {"X-Forwarded-For": "203.0.113.7"},
    {"X-Forwarded-For": "127.0.0.1"},
    {"X-Forwarded-Host": "127.0.0.1"},
    {"X-Forwarded-Host": "shop.example"},
    {"X-Forwarded-Host": "127.0.0.1, shop.example"},
    {"Via": "1.1 proxy"},
    {"Accept": "text/html"},
    {"Accept-Encoding": "gzip, deflate"},
    {"Cookie": "a=b; session=c"},
    {"Range": "bytes=0-1"},
    {"If-None-Match": "*"},
    {"Authorization": "Basic YTpi"},
    {"Transfer-Encoding": "identity"},
    {"Content-Length": "1"},
    {"Content-Length": "+5"},
    {"X-Long": "y" * 9000},
    {"X-Höhe": "größer"},
    {"No colon\r\nX": "y"},
)
# With the path of the request.
ODD_FIRST_LINES: Final = (
    "POST {} HTTP/1.0",
    "POST {} HTTP/1.2",
    "POST  {} HTTP/1.1",
    "GET {} HTTP/1.1",
    "HEAD {} HTTP/1.1",
    "PUT {} HTTP/1.1",
    "FOO {} HTTP/1.1",
    "CONNECT {} HTTP/1.1",
    "CONNECT 127.0.0.1:80 HTTP/1.1",
    "POST {}?a=b HTTP/1.1",
    "POST {}? HTTP/1.1",
    "POST {}#a HTTP/1.1",
    "POST {}/ HTTP/1.1",
    "POST /x{} HTTP/1.1",
    "POST http://127.0.0.1{} HTTP/1.1",
    "POST http://shop.example{} HTTP/1.1",
    "\r\n\r\nPOST {} HTTP/1.1",
)


class Step(NamedTuple):
    """What a client sends on a connection, in parts that the service reads one by one.

    Unless the client sends no more after it, so many replies are expected, if the connection is not closed before.
    """

    parts: tuple[bytes, ...]
    replies: int = 1
    is_last: bool = False


def request(
    path: str,
    fields: Mapping[str, str] | bytes,
    headers: Mapping[str, str | None] = {},
    first_line: str = "POST {} HTTP/1.1",
) -> bytes:
    """Return a request with the body in the length that it has, unless the headers say otherwise."""
    body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
    lines = {**HEADERS, "Content-Length": str(len(body)), **headers}
    head = [first_line.format(path), *(f"{name}: {value}" for name, value in lines.items() if value is not None)]
    return "\r\n".join([*head, "", ""]).encode() + body


class Requests:
    """The steps of one client, who has users of its own; `headers` come with each request."""

    def __init__(self, name: str, seed: int, headers: tuple[Mapping[str, str | None], ...] = ({},)) -> None:
        self.users = [f"{name}-{n}" for n in range(3)]
        self._name = name
        self._random = random.Random(f"{name} {seed}")
        self._headers = headers
        self._sent: list[tuple[str, dict[str, str]]] = []
        self._numbers = iter(range(1, 10**9))

    def steps(self, count: int) -> Iterator[Step]:
        """Return so many steps, after those that give the users money."""
        for user in self.users:
            fields = {"orderId": f"{user}-first", "userId": user, "amount": "50"}
            yield Step((request("/recharge", fields, self._headers[0]),))
        for _ in range(count):
            yield self._random.choices(
                (self._one, self._odd, self._pipelined, self._split, self._followed, self._ended),
                (45, 25, 5, 15, 5, 5),
            )[0]()

    def _one(self) -> Step:
        return Step((self._plain(),))

    def _pipelined(self) -> Step:
        requests = [self._plain() for _ in range(self._random.choice((2, 3, 5, 40)))]
        if self._random.random() < 0.2:
            requests[-1] = self._strange()
            return Step((b"".join(requests),), is_last=True)
        return Step((b"".join(requests),), len(requests))

    def _split(self) -> Step:
        """Cut one request, or two, anywhere."""
        count = self._random.choice((1, 1, 2))
        return Step(self._cut(b"".join(self._plain() for _ in range(count))), count)

    def _followed(self) -> Step:
        """Send more while the first request is under way."""
        more = b"".join(self._plain() for _ in range(self._random.randint(1, 3)))
        if self._random.random() < 0.3:
            return Step((self._plain(), *self._cut(more + self._strange())), is_last=True)
        return Step((self._plain(), *self._cut(more)), 1 + more.count(b"HTTP/1.1\r\n"))

    def _ended(self) -> Step:
        sent = self._plain()
        return Step(self._cut(sent) if self._random.random() < 0.5 else (sent,), is_last=True)

    def _odd(self) -> Step:
        sent = self._strange()
        kind = self._random.random()
        if kind < 0.3:
            return Step(self._cut(sent), is_last=True)
        if kind < 0.4:
            # Cut off.
            return Step((sent[: self._random.randrange(len(sent))],), is_last=True)
        return Step((sent,), is_last=True)

    def _cut(self, sent: bytes) -> tuple[bytes, ...]:
        places = sorted(self._random.sample(range(1, len(sent)), min(len(sent) - 1, self._random.randint(1, 3))))
        return tuple(sent[begin:end] for begin, end in zip([0, *places], [*places, len(sent)], strict=True))

    def _plain(self) -> bytes:
        path, fields = self._fields()
        return request(path, fields, self._plain_headers())

    def _plain_headers(self) -> dict[str, str | None]:
        headers = dict(self._random.choice(self._headers))
        if self._random.random() < 0.7:
            headers["X-Request-ID"] = f"{self._name}-{next(self._numbers)}"
        return headers

    def _fields(self) -> tuple[str, dict[str, str]]:
        """Return path and fields of a new request, one that was sent before, or an order with a used id."""
        if self._sent and self._random.random() < 0.15:
            path, fields = self._random.choice(self._sent)
            return path, {**fields, **({"amount": "7"} if self._random.random() < 0.3 else {})}
        path = self._random.choices(list(FIELDS), _WEIGHTS)[0]
        fields = {name: self._value(path, name) for name in FIELDS[path]}
        self._sent.append((path, fields))
        return path, fields

    def _value(self, path: str, name: str) -> str:
        match path, name:
            case "/querorder", _:
                return self._earlier(*ORDER_FIELDS)
            case _, "originalOrderId":
                return self._earlier("/recharge", "/transfer")
            case _, "holdOrderId":
                return self._earlier("/hold")
            case (_, "orderId" | "accountId") | ("/openacc", "userId"):
                return f"{self._name}-o{next(self._numbers)}"
            case _, "amount":
                return self._random.choice(("1", "0.01", "2.50", "30", "400"))
            case _, "expiresIn":
                return "3600"
            case _, "pageSize":
                return self._random.choice(("1", "5"))
            case "/queryacc" | "/messages", "userId":
                return self._random.choice((*self.users, "nobody"))
            case _, "userName" | "sex" | "cardNum" | "accountType" | "teamId":
                return "张" if name == "userName" else "01"
            case _:
                return self._random.choice(self.users)

    def _earlier(self, *paths: str) -> str:
        """Return the id of an order that was sent before to one of the paths."""
        earlier = [fields["orderId"] for path, fields in self._sent[-60:] if path in paths]
        return self._random.choice(earlier or ["none"])

    def _strange(self) -> bytes:
        """Return a request that is not plain, in one way or two."""
        path, fields = self._fields()
        headers = self._plain_headers()
        first_line = "POST {} HTTP/1.1"
        body: Mapping[str, str] | bytes = fields
        for _ in range(self._random.choice((1, 1, 2))):
            match self._random.randrange(4):
                case 0:
                    headers |= self._random.choice(ODD_HEADERS)
                case 1:
                    name, value = self._random.choice(ODD_FIELDS)
                    body = {**fields, name: value}
                case 2:
                    form = urlencode(fields).encode()
                    body = self._random.choice(
                        (*ODD_BODIES, form + b"&" + form, form + b"&" * 17_000, b"&" + form)
                    )
                case _:
                    first_line = self._random.choice(ODD_FIRST_LINES)
        return request(path, body, headers, first_line)
