"""The changes to aiohttp's protocol (protocol.py): what it would answer, log or drop in another way."""

import asyncio
import json
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from myaccount.protocol import Runner

from ..conftest import Client, Section
from ..helpers.actions import open_users

FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
CHUNKED = b"POST /queryacc HTTP/1.1\r\nHost: [::1]\r\n" + FORM + b"Transfer-Encoding: chunked\r\n\r\n"
SECRET = "6222777777"


INSIDES = (
    "_make_error_handler",
    "_max_msg_queue_size",
    "_message_tail",
    "_messages",
    "_parser",
    "_request_count",
    "_request_handler",
    "_upgraded",
)


class Reply(NamedTuple):
    """One reply of a connection."""

    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def problem(self) -> dict[str, Any]:
        problem: dict[str, Any] = json.loads(self.body)
        return problem


@pytest.fixture
def backend() -> Section:
    """The protocol does not depend on the database."""
    return {}


async def _reply(reader: asyncio.StreamReader) -> Reply:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status, *fields = head.rstrip().split("\r\n")
    headers = {name: value for name, _, value in (field.partition(": ") for field in fields)}
    body = await reader.readexactly(int(headers.get("Content-Length", 0)))
    return Reply(int(status.split()[1]), headers, body.decode())


async def _ask(client: Client, sent: bytes, rest: bytes = b"", replies: int = 1) -> list[Reply]:
    """Send, return the first replies; `rest` is sent after the first of them."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    try:
        async with asyncio.timeout(60):
            writer.write(sent)
            first = await _reply(reader)
            writer.write(rest)
            return [first, *[await _reply(reader) for _ in range(replies - 1)]]
    finally:
        writer.close()


def _get(target: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: [::1]", *fields, "", ""]).encode()


NOT_HTTP = {
    "UTF-8 in the query": (_get(f"/messages?userId=张三{SECRET}"), "percent-encoded as UTF-8"),
    "bytes in the path": (b"POST /\xff\xfe6222777777 HTTP/1.1\r\nHost: [::1]\r\n\r\n", "percent-encoded as UTF-8"),
    "140 fields of the header": (_get("/", *[f"X-{n}: {SECRET}" for n in range(140)]), "at most 128 fields"),
    "a long address": (_get("/" + SECRET * 900), "longer than 8190 bytes"),
    "a long field": (_get("/", "X-Long: " + SECRET * 900), "longer than 8190 bytes"),
    "a field without a colon": (_get("/", SECRET), "not valid HTTP"),
    "no host": (f"GET /{SECRET} HTTP/1.1\r\n\r\n".encode(), "Host is required"),
    "two lengths": (_get("/", "Content-Length: 1", "Content-Length: 2"), "not valid HTTP"),
    "a target without a path": (_get("?a=b"), "The address is not valid"),
    "a port above the highest": (_get("http://shop:99999/"), "The address is not valid"),
    "half a bracket": (_get("http://[::1/"), "The address is not valid"),
    "an unknown method": (f"FOO /{SECRET} HTTP/1.1\r\nHost: [::1]\r\n\r\n".encode(), "method of HTTP"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "not HTTPS"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "not valid HTTP"),
    "HTTP/9": (f"GET /{SECRET} HTTP/9.9\r\n\r\n".encode(), "not valid HTTP"),
    "HTTP/2 with a header": (_get("/").replace(b"1.1", b"2.0"), "not valid HTTP/1.1"),
    "HTTP/0.9 with a header": (_get("/").replace(b"1.1", b"0.9"), "not valid HTTP/1.1"),
}


@pytest.mark.parametrize("name", NOT_HTTP)
async def test_what_the_parser_refuses_gets_problem_json_and_one_line_in_the_log(
    client: Client, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    caplog.set_level("INFO")
    sent, expected = NOT_HTTP[name]
    (reply,) = await _ask(client, sent)
    assert (reply.status, reply.headers["Content-Type"]) == (400, "application/problem+json; charset=utf-8")
    assert (reply.problem["code"], reply.problem["status"], reply.problem["result"]) == ("invalid_request", 400, 0)
    assert reply.problem["request_id"] == reply.headers["X-Request-ID"] != "-"
    assert expected in reply.problem["detail"]
    assert SECRET not in reply.body
    (record,) = [record for record in caplog.records if record.name.startswith("myaccount")]
    assert (record.levelname, record.exc_info) == ("INFO", None)
    assert SECRET not in caplog.text


async def test_the_log_line_about_invalid_http_has_the_id_of_the_reply(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (reply,) = await _ask(client, b"GARBAGE\r\n\r\n")
    (record,) = [record for record in caplog.records if "was not HTTP" in record.getMessage()]
    assert vars(record)["request_id"] == reply.headers["X-Request-ID"]


async def test_a_bad_chunk_after_the_head_is_refused_and_not_logged(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (reply,) = await _ask(client, CHUNKED + f"cardNum={SECRET}\r\n".encode())
    assert (reply.status, reply.problem["code"]) == (400, "invalid_request")
    assert "transfer coding" in reply.problem["detail"]
    assert SECRET not in reply.body + caplog.text


@pytest.mark.parametrize("path", [b"/queryacc", b"/nowhere"])
@pytest.mark.parametrize("first_part", ["", "1\r\nx\r\n"])
async def test_a_bad_chunk_gets_one_reply_which_closes_the_connection(
    client: Client, path: bytes, first_part: str
) -> None:
    sent = CHUNKED.replace(b"/queryacc", path) + f"{first_part}zz\r\n".encode()
    replies = await _replies_until_closed(client, _get("/healthz") + sent + _get("/healthz"))
    assert [reply.status for reply in replies] == [200, 404 if path == b"/nowhere" else 400]
    assert replies[-1].headers["Connection"] == "close"


QUERY = b"POST /queryacc HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 8\r\n" + FORM + b"\r\nuserId=1"


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (QUERY, [200]),
        (QUERY * 3, [200] * 3),
        (QUERY * 40, [200] * 40),
        (QUERY + b"GARBAGE\r\n\r\n", [200, 400]),
        # The head of a request is no request.
        (QUERY + _get("/")[:-2], [200]),
        # A body that was cut off is refused.
        (QUERY + QUERY[:-1], [200, 400]),
        (QUERY[:-1], [400]),
        (_get("/")[:-2], []),
        (b"", []),
    ],
)
@pytest.mark.parametrize("pause", [False, True])
async def test_a_client_that_sends_no_more_gets_its_replies(
    client: Client, sent: bytes, statuses: list[int], pause: bool
) -> None:
    replies = await _replies_until_closed(client, sent, half_close=True, pause=pause)
    assert [reply.status for reply in replies] == statuses


async def _replies_until_closed(
    client: Client, sent: bytes, *, half_close: bool = False, pause: bool = False
) -> list[Reply]:
    """Send, and return the replies that come until the service closes the connection."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    async with asyncio.timeout(60):
        writer.write(sent)
        if pause:
            # The service reads the end apart from the rest.
            await asyncio.sleep(0)
        if half_close:
            writer.write_eof()
        received = await reader.read()
    writer.close()
    all_ = asyncio.StreamReader()
    all_.feed_data(received)
    all_.feed_eof()
    replies = []
    while not all_.at_eof():
        replies.append(await _reply(all_))
    return replies


async def test_a_path_that_no_route_has_is_not_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    await _ask(client, _get(f"/{SECRET}") + _get(f"/messages/{SECRET}?a={SECRET}") + _get("/openacc"), replies=3)
    lines = [record.getMessage() for record in caplog.records if record.name == "myaccount.access"]
    assert [" ".join(line.split()[:-2]) for line in lines] == [
        "GET (unknown address) 404",
        "GET (unknown address) 404",
        "GET /openacc 405",
    ]
    assert SECRET not in caplog.text


async def test_a_body_that_ends_in_a_bad_chunk_is_refused_at_once(client: Client) -> None:
    head = CHUNKED.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    _, reply = await _ask(client, head, b"3\r\nuse\r\nzz\r\n", replies=2)
    assert (reply.status, reply.problem["code"]) == (400, "invalid_request")
    assert "transfer coding" in reply.problem["detail"]


@pytest.mark.parametrize("path", ["/nowhere", "/queryacc", "/openacctest", "/"])
async def test_an_unknown_expectation_is_ignored(client: Client, path: str) -> None:
    request = f"POST {path} HTTP/1.1\r\nHost: [::1]\r\nExpect: <b>foo</b>\r\nContent-Length: 0\r\n\r\n"
    (reply,) = await _ask(client, request.encode())
    assert reply.problem["code"] in ("not_found", "method_not_allowed", "invalid_request")
    assert "foo" not in reply.body


async def test_only_a_client_of_http_1_1_gets_100_continue(client: Client) -> None:
    head = (
        b"POST /queryacc HTTP/1.1\r\nHost: [::1]\r\nExpect: 100-Continue\r\nContent-Length: 8\r\n" + FORM + b"\r\n"
    )
    replies = await _ask(client, head, b"userId=1", replies=2)
    assert [reply.status for reply in replies] == [100, 200]
    # A client of HTTP/1.0 would take the 100 for the reply. The service reads the head before the body arrives.
    head = head.replace(b"1.1", b"1.0")
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(head)
    async with client.get("/healthz"):
        writer.write(b"userId=1")
    assert (await _reply(reader)).status == 200
    writer.close()


async def test_a_body_that_its_header_rules_out_gets_no_100_continue(client: Client) -> None:
    head = b"POST /queryacc HTTP/1.1\r\nHost: [::1]\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n"
    (reply,) = await _ask(client, head)
    assert reply.status == 415


@pytest.mark.parametrize("upgrade", ["h2c", "H2C", "TLS/1.3", "websocket"])
@pytest.mark.parametrize("name", ["Upgrade", "upgrade", "UPGRADE", "upGRADE"])
async def test_a_request_after_an_upgrade_is_answered(client: Client, name: str, upgrade: str) -> None:
    first = _get("/nowhere", f"Connection: {name}", f"{name}: {upgrade}")
    replies = await _ask(client, first + _get("/healthz") + _get("/nowhere"), replies=3)
    assert [reply.status for reply in replies] == [404, 200, 404]


@pytest.mark.parametrize("upgrade", ["h2c", "websocket"])
async def test_a_request_after_an_upgrade_is_answered_wherever_its_segments_end(
    client: Client, upgrade: str
) -> None:
    request = _get("/nowhere", "Connection: Upgrade", f"Upgrade: {upgrade}")
    both = request + request + _get("/healthz")
    # Within the word, and before, within and after the end of the head.
    ends = [request.index(b"Upgrade") + 3, *range(len(request) - 5, len(request) + 3)]
    for end in ends:
        # The reply to the first shows that its segment was parsed alone.
        replies = await _ask(client, _get("/") + both[:end], both[end:], replies=4)
        assert [reply.status for reply in replies] == [200, 404, 404, 200], end


async def test_an_upgrade_that_waited_for_many_requests_closes_the_connection(client: Client) -> None:
    upgrade = _get("/nowhere", "Connection: Upgrade", "Upgrade: h2c")
    replies = await _ask(client, _get("/healthz") * 40 + upgrade + _get("/healthz"), replies=41)
    assert [reply.status for reply in replies] == [200] * 40 + [404]
    assert replies[-1].headers["Connection"] == "close"


async def test_an_upgrade_with_a_body_closes_the_connection(client: Client) -> None:
    """That tells the client to send unanswered requests again."""
    head = (
        b"POST /queryacc HTTP/1.1\r\nHost: [::1]\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 8\r\n"
    )
    (reply,) = await _ask(client, head + FORM + b"\r\nuserId=1" + _get("/healthz"))
    assert (reply.status, reply.headers["Connection"]) == (200, "close")


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 200), ("/errors", 200), ("/healthz", 200), ("/nowhere", 404), ("/messages?userId=u1", 404),
     ("/messages", 400), ("/openacc", 405), ("/messages/stream?userId=u1", 404), ("/opeacclistentest", 200),
     ("/transfertest", 200)],
)  # fmt: skip
async def test_no_reply_with_data_may_be_cached_or_names_the_server_software(
    client: Client, path: str, status: int
) -> None:
    (reply,) = await _ask(client, _get(path))
    assert reply.status == status
    assert "Server" not in reply.headers
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("field", ["Accept: */*", "Connection: keep-alive"])
async def test_a_stream_for_http_1_0_ends_with_the_connection(client: Client, field: str) -> None:
    await open_users(client, "u1")
    request = _get("/messages/stream?userId=u1", field).replace(b"1.1", b"1.0")
    (reply,) = await _ask(client, request)
    assert (reply.status, reply.headers["Connection"]) == (200, "close")
    assert "Transfer-Encoding" not in reply.headers


async def test_a_stream_ends_when_its_client_sends_no_more(client: Client) -> None:
    await open_users(client, "u1")
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(_get("/messages/stream?userId=u1"))
    await reader.readuntil(b"id: ")
    writer.write_eof()
    async with asyncio.timeout(60):
        await reader.read()
    writer.close()


async def test_a_stream_ends_whose_client_sent_no_more_before_it_began(client: Client) -> None:
    await open_users(client, "u1")
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(_get("/messages/stream?userId=u1"))
    writer.write_eof()
    async with asyncio.timeout(60):
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
    writer.close()


async def test_a_stream_may_not_be_cached(client: Client) -> None:
    fields = {"userId": "u1", "userName": "A", "sex": "F", "cardNum": "1", "accountId": "a1", "accountType": "01"}
    async with client.post("/openacc", data=fields) as response:
        assert response.status == 200
    async with client.get("/messages/stream", params={"userId": "u1"}) as response:
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in response.headers


@pytest.mark.parametrize("path", ["/favicon.ico", "/static/icon.svg", "/static/style.css", "/static/form.js"])
async def test_static_files_may_be_cached_for_a_while(client: Client, path: str) -> None:
    (reply,) = await _ask(client, _get(path))
    assert (reply.status, reply.headers["Cache-Control"]) == (200, "max-age=60")
    assert (reply.headers["X-Content-Type-Options"], "Server" in reply.headers) == ("nosniff", False)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"), ("*/*", "application/problem+json"),
     ("application/json", "application/problem+json")],
)  # fmt: skip
async def test_browsers_get_a_page_for_an_unknown_address(client: Client, accept: str, content_type: str) -> None:
    (reply,) = await _ask(client, _get("/nowhere", f"Accept: {accept}"))
    assert (reply.status, reply.headers["Content-Type"]) == (404, f"{content_type}; charset=utf-8")
    assert reply.headers["X-Request-ID"]
    assert ("There is nothing at this address" in reply.body) == (content_type == "text/html")


async def test_a_browser_that_queries_an_unknown_user_gets_the_problem_all_the_same(client: Client) -> None:
    (reply,) = await _ask(client, _get("/messages?userId=nobody", "Accept: text/html"))
    assert (reply.status, reply.problem["code"]) == (404, "user_not_found")


async def test_the_insides_of_aiohttp_that_the_protocol_uses_have_their_names() -> None:
    assert [name for name in INSIDES if not hasattr(RequestHandler, name)] == []
    server = web.Server(lambda request: pytest.fail("there is no request"))
    assert {"_kwargs", "_loop"} <= vars(server).keys()
    assert hasattr(web.AppRunner, "_make_server")
    assert hasattr(web.SockSite, "_server")


async def test_a_runner_has_the_sockets_of_sites_that_gunicorn_made() -> None:
    runner = Runner(web.Application())
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # As gunicorn's worker does.
        await web.SockSite(runner, listening).start()
        assert [found.getsockname() for found in runner.listening_sockets] == [listening.getsockname()]
        # A site that could not start has no sockets.
        with pytest.raises(OSError, match="in use"):
            await web.TCPSite(runner, *listening.getsockname()).start()
        assert len(runner.listening_sockets) == 1
        await runner.cleanup()
