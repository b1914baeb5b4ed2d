"""What random requests may have that is odd for HTTP: methods, addresses, headers, media types, framing."""

from collections.abc import Callable
from typing import Final

from .fuzz_values import CARD

METHODS: Final = (
    "GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "post", "FOO",
    "PRI",
)  # fmt: skip

# Addresses that mean, or could be taken for, the same route.
SPELLINGS: Final[tuple[Callable[[str], str], ...]] = (
    lambda path: f"{path}/",
    lambda path: f"/{path}",
    lambda path: f"/.{path}",
    lambda path: f"/x/..{path}",
    lambda path: f"/static/..{path}",
    lambda path: f"{path}?",
    lambda path: f"{path}?a=1&a=2",
    lambda path: f"{path}?%ff=%",
    lambda path: f"{path}?userId=u1&orderId=x",
    lambda path: f"{path}?token=wrong",
    lambda path: f"{path}#part",
    lambda path: path.upper(),
    lambda path: f"/%{ord(path[1:2] or '/'):02x}{path[2:]}",
    lambda path: f"{path}%00",
    lambda path: f"{path}%20",
    lambda path: f"{path};a=b",
    lambda path: path.replace("/", "%2F"),
    lambda path: path.replace("/", "\\"),
    lambda path: f"http://127.0.0.1{path}",
    lambda path: f"http://other.example{path}",
    lambda path: f"//other.example{path}",
)
ADDRESSES: Final = (
    "*", "/nowhere", f"/{CARD}", "/static/", "/static/../config/config.yaml", "/static/%2e%2e/%2e%2e/etc/passwd",
    "/static/%00", "/%ff%fe", "/%", "/%zz", "/" + "a" * 300, "/" * 500, "/" + "%2e/" * 60, "/metrics",
    "/messages/", "/messages/stream/x", "/.git/config", "/errors?x=" + "y" * 4000, "/?" + "a&" * 2000,
    "127.0.0.1:80", "http://", "http://[::1", "?a=b", "", "/a b", "/\x01", "/张三", "/" + "z" * 9000,
)  # fmt: skip

# A browser sends them with a request that another site caused.
OTHER_SITES: Final = (
    b"Origin: http://bad.example", b"Origin: null", b"Origin: ", b"Origin: \xff", b"Sec-Fetch-Site: cross-site",
    b"Sec-Fetch-Site: same-site", b"Sec-Fetch-Site: ", b"Origin: http://127.0.0.1.bad.example",
)  # fmt: skip
HEADERS: Final = (
    b"Sec-Fetch-Site: same-origin", b"Sec-Fetch-Site: none", b"X-Forwarded-For: 10.0.0.1, 127.0.0.1",
    b"X-Forwarded-For: \xff", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: other.example",
    b"Forwarded: for=10.0.0.1;host=other.example", b"X-Real-IP: 10.0.0.1", b"Via: 1.1 a", b"Accept: text/html",
    b"Accept: \xff", b"Accept-Encoding: gzip, br", b"Accept-Language: \xe4\xb8", b"Range: bytes=0-1",
    b"Range: bytes=9-1", b"Range: x", b"If-None-Match: *", b"If-Match: *", b"If-Modified-Since: x",
    b"If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT", b"If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT",
    b"If-Range: x", b"Last-Event-ID: 1", b"Last-Event-ID: " + b"9" * 30, b"Last-Event-ID: \xff",
    b"X-Request-ID: of-the-client", b"X-Request-ID: \xff<b>", b"Content-Encoding: gzip",
    b"Content-Encoding: identity", b"Expect: 100-continue", b"Expect: \xff", b"TE: trailers", b"Trailer: X",
    b"Cookie: a=b; ;=;\xff; myaccount", b"Cookie: __Host-myaccount=x", b'Cookie: myaccount="\\377"',
    b"Authorization: Bearer second", b"X-HTTP-Method-Override: GET", b"Content-Language: \x80",
    b"X-Long: " + b"x" * 8000, b"Content-Disposition: attachment", b"Date: x", b"Max-Forwards: 0",
    b"Keep-Alive: timeout=0", b"Proxy-Authorization: Basic x", b"Content-Type: text/plain", b"Content-Length: ",
    b"Host: other.example", b"Connection: close", b"Connection: Upgrade\r\nUpgrade: websocket",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x", b"Connection: \xff",
    b"X-Too-Long: " + b"x" * 9000, b"\r\n".join(b"X-%d: x" % number for number in range(130)),
)  # fmt: skip

FORM: Final = b"application/x-www-form-urlencoded"
JSON: Final = b"application/json"
MEDIA_TYPES: Final = (
    FORM, JSON, b"", b"text/plain", b"application/xml", b"multipart/form-data; boundary=b", b";;=", b"\xff",
    b"application/json; charset=utf-16", b"application/json; charset=\"utf-8\"; charset=latin-1",
    b"application/x-www-form-urlencoded; charset=gbk", b"APPLICATION/JSON;charset=UTF-8", b"application/json, x/y",
    b"application/json" + b";" * 4000, b"application/problem+json", b"(" * 3000,
)  # fmt: skip
# What becomes of a body.
BODIES: Final[tuple[Callable[[bytes], bytes], ...]] = (
    lambda body: b"",
    lambda body: body[: len(body) // 2],
    lambda body: b"\xef\xbb\xbf" + body,
    lambda body: body.decode().encode("utf-16"),
    lambda body: b"[%s]" % body,
    lambda body: body + body,
    lambda body: body + b"}",
    lambda body: body + b"\xff",
    lambda body: body.ljust(17 * 1024),
    lambda body: body.ljust(70 * 1024),
    lambda body: b'{"a": ' + body + b"}",
    lambda body: b"null",
    lambda body: b'"' + body,
    lambda body: b"&" + body + b"&&=&",
    lambda body: b"[" * 8000,
    lambda body: b'{"orders": ' * 2000,
    lambda body: b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + body + b"\r\n--b--\r\n",
)
# Of a whole request: the head up to its last field, and the body. Each may be read in more than one way.
FRAMINGS: Final[tuple[Callable[[bytes, bytes], bytes], ...]] = (
    lambda head, body: head + b"Content-Length: %d\r\n\r\n" % (len(body) + 5) + body,
    lambda head, body: head + b"Content-Length: %d\r\n\r\n" % max(len(body) - 3, 0) + body,
    lambda head, body: head + b"Content-Length: %d\r\nContent-Length: 1\r\n\r\n" % len(body) + body,
    lambda head, body: head + b"Content-Length: +%d\r\n\r\n" % len(body) + body,
    lambda head, body: head + b"Content-Length: -1\r\n\r\n" + body,
    lambda head, body: head + b"Content-Length: %s\r\n\r\n" % (b"9" * 30) + body,
    lambda head, body: head + b"Content-Length: 0x%x\r\n\r\n" % len(body) + body,
    lambda head, body: head + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n" % len(body) + body,
    lambda head, body: head + b"Transfer-Encoding: chunked\r\n\r\n" + body,
    lambda head, body: head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\nzz\r\n",
    lambda head, body: head + b"Transfer-Encoding: chunked\r\n\r\n%x;%s\r\n" % (len(body), b"e" * 9000) + body,
    lambda head, body: head + b"Transfer-Encoding: chunked\r\n\r\n%s\r\n" % (b"f" * 20) + body,
    lambda head, body: head + b"Transfer-Encoding: gzip\r\n\r\n" + body,
    lambda head, body: head + b"Transfer-Encoding: chunked, identity\r\n\r\n" + body,
    lambda head, body: head + b"Transfer-Encoding : chunked\r\n\r\n" + body,
    lambda head, body: head.replace(b"\r\n", b"\n") + b"\n" + body,
    lambda head, body: head + b" folded: x\r\n\r\n" + body,
    lambda head, body: head + b"no colon\r\n\r\n" + body,
    lambda head, body: head + b": nameless\r\n\r\n" + body,
    lambda head, body: head + b"X-Null: a\x00b\r\n\r\n" + body,
    lambda head, body: head.replace(b"Host:", b"X-Host:") + b"\r\n" + body,
    lambda head, body: head.replace(b"HTTP/1.1", b"HTTP/9.9") + b"\r\n" + body,
    lambda head, body: head.replace(b" HTTP/1.1", b"") + b"\r\n" + body,
    lambda head, body: head,
    lambda head, body: b"\x16\x03\x01\x02\x00\x01" + head,
    lambda head, body: b"GARBAGE\r\n\r\n" + head + b"\r\n" + body,
    lambda head, body: b"\r\n" * 50 + head + b"\r\n" + body,
)
