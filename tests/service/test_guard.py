"""By which names an open service answers, and which requests of browsers change nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from myaccount.main import create_app
from myaccount.routes import ROUTES
from myaccount.settings.schema import Config

from ..conftest import Client, ClientOf, Section, Server
from ..helpers.actions import balance, open_users
from ..helpers.callers import routes_of

FORM = "Content-Type: application/x-www-form-urlencoded"
PAGES = ("/", "/errors", "/transfertest", "/messagestest", "/static/style.css", "/favicon.ico", "/nowhere")
KNOWN = (
    "localhost", "localhost:1", "app.localhost:80", "127.0.0.1", "127.1.2.3:99", "[::1]:8080",
    "Pay.Example.com", "pay.example.com:8443", "pay.example.com.", "[2001:db8::5]", "10.1.2.3:80",
)  # fmt: skip
UNKNOWN = (
    "evil.test", "evil.test:8080", "127.0.0.1.evil.test", "localhost.evil.test", "pay.example.com.evil.test",
    "xpay.example.com", "a.pay.example.com", "0x7f.1", "2130706433", "127.1", "0.0.0.0", "10.1.2.4", "[::]",
    "[::ffff:127.0.0.1]", "::1", "user@127.0.0.1", "127.0.0.1@evil.test", "127.0.0.1, evil.test", "",
    "a" * 8000, "\xff\xfe", "<b>",
)  # fmt: skip


class Reply(NamedTuple):
    """The reply to a request that was written byte for byte."""

    status: int
    text: str

    @property
    def code(self) -> Any:
        return json.loads(self.text)["code"]


@pytest.fixture
def backend() -> Section:
    """The guard does not look at the database."""
    return {}


@pytest.fixture
def queue() -> Section:
    return {"hosts": ["pay.example.com", "2001:DB8::5", "10.1.2.3"]}


async def _ask(client: Client, first: str, *fields: str, body: str = "") -> Reply:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    head = "\r\n".join([first, *fields, *([f"Content-Length: {len(body)}"] if body else []), "Connection: close"])
    writer.write(f"{head}\r\n\r\n{body}".encode("latin-1"))
    async with asyncio.timeout(60):
        lines, _, text = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return Reply(int(lines.split()[1]), text.decode())


async def _get(client: Client, host: str, target: str = "/", method: str = "GET") -> Reply:
    return await _ask(client, f"{method} {target} HTTP/1.1", f"Host: {host}")


async def _recharge(client: Client, order_id: str, *fields: str, host: str = "127.0.0.1") -> Reply:
    body = f"orderId={order_id}&userId=u1&amount=1"
    return await _ask(client, "POST /recharge HTTP/1.1", f"Host: {host}", FORM, *fields, body=body)


@pytest.fixture
async def alice(client: Client) -> AsyncIterator[Client]:
    """A service with the user u1, whose balance no refused request has changed."""
    await open_users(client, "u1")
    yield client
    assert await balance(client, "u1") == "0.00"


@pytest.mark.parametrize("host", KNOWN)
async def test_an_open_service_answers_by_loopback_and_by_the_names_in_hosts(client: Client, host: str) -> None:
    assert (await _get(client, host)).status == 200
    assert (await _recharge(client, "r1", host=host)).code == "user_not_found"


@pytest.mark.parametrize("host", UNKNOWN)
async def test_an_open_service_answers_by_no_other_name(alice: Client, host: str) -> None:
    refused = await _recharge(alice, "r1", host=host)
    assert (refused.status, refused.code) == (403, "unknown_host")
    assert "hosts" in refused.text
    assert (await _get(alice, host)).code == "unknown_host"


async def test_a_service_without_hosts_answers_by_loopback_alone(config: Config) -> None:
    async with Server(create_app({**config, "hosts": []})) as server, ClientOf(server) as client:
        assert (await _get(client, "localhost")).status == 200
        assert (await _get(client, "pay.example.com")).code == "unknown_host"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE"])
async def test_every_address_is_guarded_for_every_method(client: Client, method: str) -> None:
    paths = {*PAGES, *(route.operation.path for route in ROUTES)}
    for path in paths:
        reply = await _get(client, "evil.test", path, method)
        assert reply.status == 403, path
        # A reply to HEAD has no body.
        assert method == "HEAD" or reply.code == "unknown_host", path
        assert (await _get(client, "127.0.0.1", path, method)).status != 403, path


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/opeacclistentest"])
async def test_health_and_the_listener_test_answer_by_any_name(
    client: Client, patient_probes: None, path: str
) -> None:
    for host in ("balancer", "10.9.9.9:80", ""):
        assert (await _get(client, host, path)).status == 200


async def test_a_request_without_a_host_is_refused(client: Client) -> None:
    # HTTP/1.1 requires it.
    assert (await _ask(client, "GET / HTTP/1.1")).code == "invalid_request"
    assert (await _ask(client, "GET / HTTP/1.0")).code == "unknown_host"
    assert (await _ask(client, "GET / HTTP/1.0", "Host: localhost")).status == 200


@pytest.mark.parametrize("fields", [("Host", "Host"), ("Host", "HOST"), ("host", "hOST")])
async def test_a_request_with_two_hosts_is_refused(client: Client, fields: tuple[str, str]) -> None:
    for hosts in (("localhost", "evil.test"), ("evil.test", "localhost"), ("localhost", "localhost")):
        both = [f"{name}: {host}" for name, host in zip(fields, hosts, strict=True)]
        reply = await _ask(client, "GET / HTTP/1.1", *both)
        assert (reply.status, reply.code) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("target", "status"),
    [("http://localhost/", 200), ("http://127.0.0.1:80/errors", 200), ("http://[::1]/", 200),
     ("https://pay.example.com/", 200), ("http://evil.test/", 403), ("http://user@localhost/", 403),
     ("http://localhost@evil.test/", 403), ("http://evil.test/@localhost", 403),
     ("http://localhost?@evil.test", 403), ("http://evil.test/healthz", 200), ("//evil.test/", 404),
     ("/errors?a=http://evil.test/", 200)],
)  # fmt: skip
async def test_the_target_of_a_request_may_name_a_known_host_only(
    client: Client, target: str, status: int
) -> None:
    assert (await _get(client, "localhost", target)).status == status
    # The header is not replaced by it.
    assert (await _get(client, "evil.test", target)).status == (200 if "healthz" in target else 403)


async def test_the_other_forms_of_a_target_are_refused(client: Client) -> None:
    assert (await _get(client, "localhost", "evil.test:443", "CONNECT")).code == "unknown_host"
    assert (await _get(client, "localhost", "*", "OPTIONS")).code == "not_found"


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [(("pay.example.com",), 200), (("localhost:8080", "pay.example.com"), 200),
     (("pay.example.com, localhost",), 200), (("evil.test",), 403), (("pay.example.com", "evil.test"), 403),
     (("evil.test, localhost",), 403), (("",), 403)],
)  # fmt: skip
async def test_the_name_that_a_proxy_forwards_must_be_known_too(
    client: Client, forwarded: tuple[str, ...], status: int
) -> None:
    fields = [f"X-Forwarded-Host: {host}" for host in forwarded]
    assert (await _ask(client, "GET / HTTP/1.1", "Host: 127.0.0.1", *fields)).status == status


@pytest.mark.parametrize("access", ["open", "keys"])
async def test_a_request_that_names_more_hosts_than_proxies_stand_in_a_row_is_refused(
    config: Config, access: str
) -> None:
    async with Server(create_app({**config, "access": access})) as server, ClientOf(server) as client:
        for names, is_refused in (
            (["pay.example.com"] * 8, False),
            (["pay.example.com"] * 9, True),
            ([",".join(["pay.example.com"] * 4)] * 2, False),
            ([",".join(["pay.example.com"] * 3)] * 3, True),
            (["," * 8000] * 100, True),
        ):
            fields = [f"X-Forwarded-Host: {name}" for name in names]
            reply = await _recharge(client, "r1", *fields, host="pay.example.com")
            assert (reply.code == "unknown_host") is is_refused, (len(names), names[0][:50])
            assert (await _ask(client, "GET /healthz HTTP/1.1", "Host: localhost", *fields)).status == 200


FORWARDED = (
    "X-Forwarded-For: 203.0.113.5", "X-Real-IP: 203.0.113.5", "Via: 1.1 proxy", "X-Forwarded-Proto: https",
    "X-Forwarded-Host: localhost", "Forwarded: for=203.0.113.5;host=pay.example.com",
)  # fmt: skip


@pytest.mark.parametrize("field", FORWARDED)
async def test_a_proxy_that_names_the_service_s_own_address_reaches_no_open_service(
    alice: Client, field: str
) -> None:
    for host in ("127.0.0.1:8080", "localhost", "app.localhost", "[::1]"):
        refused = await _recharge(alice, "r1", field, host=host)
        assert (refused.status, refused.code) == (403, "unknown_host"), host
        assert (await _ask(alice, "GET / HTTP/1.1", f"Host: {host}", field)).code == "unknown_host"
        assert (await _ask(alice, "GET /healthz HTTP/1.1", f"Host: {host}", field)).status == 200


@pytest.mark.parametrize("field", FORWARDED)
async def test_a_proxy_that_passes_on_a_name_in_hosts_reaches_it(client: Client, field: str) -> None:
    for host in ("pay.example.com", "10.1.2.3:8080"):
        assert (await _recharge(client, "r1", field, host=host)).code == "user_not_found"


async def test_a_trusted_proxy_s_clients_on_this_machine_may_use_a_loopback_name(config: Config) -> None:
    """As on a machine on which somebody tries out deploy/nginx.conf."""
    async with (
        Server(create_app({**config, "trusted_proxies": ["127.0.0.1"]})) as server,
        ClientOf(server) as client,
    ):
        for fields, status in (
            (["X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http"], 200),
            (["X-Forwarded-For: junk, ::1"], 200),
            (["X-Forwarded-For: 203.0.113.5"], 403),
            # What stands before was written by the client.
            (["X-Forwarded-For: 127.0.0.1, 203.0.113.5"], 403),
            (["X-Forwarded-For: 203.0.113.5, 127.0.0.1"], 403),
            # Nobody knows for whom.
            (["Via: 1.1 proxy"], 403),
            (["X-Real-IP: 127.0.0.1"], 403),
        ):
            assert (await _ask(client, "GET / HTTP/1.1", "Host: localhost", *fields)).status == status, fields


async def test_a_service_with_keys_is_there_for_every_proxy(config: Config) -> None:
    async with Server(create_app({**config, "access": "keys"})) as server, ClientOf(server) as client:
        for field in FORWARDED:
            assert (await _recharge(client, "r1", field)).code == "unauthenticated"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "Same-Origin", "none, cross-site"])
async def test_a_post_of_another_site_changes_nothing(alice: Client, site: str) -> None:
    refused = await _recharge(alice, "r1", f"Sec-Fetch-Site: {site}")
    assert (refused.status, refused.code) == (403, "cross_site")


@pytest.mark.parametrize(
    "origin",
    ["http://evil.test", "https://evil.test", "null", "", "http://127.0.0.1", "http://127.0.0.1:9999",
     "127.0.0.1:8080",     "http://localhost:8080", "http://127.0.0.1:8080/", "http://127.0.0.1:8080.evil.test",
     "http://evil.test://127.0.0.1:8080", "http://evil.test@127.0.0.1:8080", "http://127.0.0.1:8080 http://evil.test"],
)  # fmt: skip
async def test_a_post_of_another_origin_changes_nothing(alice: Client, origin: str) -> None:
    for site in ([], ["Sec-Fetch-Site: same-origin"]):
        refused = await _recharge(alice, "r1", f"Origin: {origin}", *site, host="127.0.0.1:8080")
        assert (refused.status, refused.code) == (403, "cross_site")


@pytest.mark.parametrize(
    "fields",
    [(), ("Sec-Fetch-Site: same-origin",), ("Sec-Fetch-Site: none",), ("Origin: http://127.0.0.1:8080",),
     # Behind a proxy with TLS that does not say so.
     ("Origin: https://127.0.0.1:8080", "Sec-Fetch-Site: same-origin"),
     ("Origin: http://pay.example.com", "X-Forwarded-Host: pay.example.com")],
)  # fmt: skip
async def test_the_service_s_own_pages_and_clients_that_are_no_browsers_may_post(
    client: Client, fields: tuple[str, ...]
) -> None:
    await open_users(client, "u1")
    assert (await _recharge(client, "r1", *fields, host="127.0.0.1:8080")).status == 200
    assert await balance(client, "u1") == "1.00"


@pytest.mark.parametrize("own", ["http", "https"])
async def test_without_sec_fetch_site_the_origin_must_have_the_scheme_that_the_client_uses(
    config: Config, own: str
) -> None:
    config = {**config, "trusted_proxies": ["127.0.0.1"]}
    async with Server(create_app(config)) as server, ClientOf(server) as client:
        for scheme in ("http", "https", "HTTPS", "evil", ""):
            fields = (f"X-Forwarded-Proto: {own}", f"Origin: {scheme}://pay.example.com")
            code = (await _recharge(client, "r1", *fields, host="pay.example.com")).code
            assert code == ("user_not_found" if scheme == own else "cross_site"), scheme


async def test_a_proxy_that_is_not_trusted_does_not_change_the_scheme(client: Client) -> None:
    for scheme, code in (("https", "cross_site"), ("http", "user_not_found")):
        fields = ("X-Forwarded-Proto: https", f"Origin: {scheme}://pay.example.com")
        assert (await _recharge(client, "r1", *fields, host="pay.example.com")).code == code


async def test_a_page_behind_a_proxy_with_tls_may_post(client: Client) -> None:
    await open_users(client, "u1")
    fields = ("Origin: https://pay.example.com:8443", "Sec-Fetch-Site: same-origin")
    assert (await _recharge(client, "r1", *fields, host="pay.example.com:8443")).status == 200
    # A proxy that drops the port makes the origin another one.
    assert (await _recharge(client, "r2", *fields, host="pay.example.com")).code == "cross_site"


async def test_no_route_takes_a_post_of_another_site(client: Client) -> None:
    paths = {path for method, path, _ in routes_of(client) if method == "POST"}
    assert paths >= {route.operation.path for route in ROUTES if "POST" in route.methods}
    for path in paths:
        for field in ("Sec-Fetch-Site: cross-site", "Origin: http://evil.test"):
            reply = await _ask(client, f"POST {path} HTTP/1.1", "Host: localhost", field)
            assert (reply.status, reply.code) == (403, "cross_site"), path


async def test_another_site_may_have_a_link_to_a_page(client: Client) -> None:
    """A GET changes nothing, and the browser shows its reply to the person alone."""
    fields = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Origin: http://evil.test")
    for path in ("/", "/errors"):
        assert (await _ask(client, f"GET {path} HTTP/1.1", "Host: localhost", *fields)).status == 200


async def test_no_get_changes_anything_and_no_reply_may_be_read_by_other_sites(client: Client) -> None:
    assert {route.operation.path for route in ROUTES if "GET" in route.methods} == {
        "/accountlog", "/audit", "/messages", "/teammessages", "/messages/stream"
    }  # fmt: skip
    async with client.get("/", headers={"Origin": "http://evil.test"}) as response:
        assert not [name for name in response.headers if name.lower().startswith("access-control")]
        # No other page may show this one in a frame.
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    preflight = {"Origin": "http://evil.test", "Access-Control-Request-Method": "POST"}
    async with client.options("/recharge", headers=preflight) as response:
        assert response.status == 405


async def test_a_refused_request_is_answered_before_its_body_comes(client: Client) -> None:
    for field, code in (("Host: evil.test", "unknown_host"), ("Host: localhost\r\nOrigin: null", "cross_site")):
        reader, writer = await asyncio.open_connection(client.host, client.port)
        head = (
            f"POST /recharge HTTP/1.1\r\n{field}\r\n{FORM}\r\nContent-Length: 9000\r\nExpect: 100-continue\r\n\r\n"
        )
        writer.write(head.encode())
        async with asyncio.timeout(60):
            # No 100 comes first.
            assert (await reader.readline()) == b"HTTP/1.1 403 Forbidden\r\n"
            assert code.encode() in await reader.readuntil(b"request_id")
        writer.close()


async def test_what_is_no_http_is_refused_by_any_name(client: Client) -> None:
    reply = await _ask(client, "GET /x HTTP/1.1", "Host: evil.test", "no colon")
    assert (reply.status, reply.code) == (400, "invalid_request")


async def test_both_refusals_are_explained(client: Client) -> None:
    async with client.get("/errors") as response:
        text = await response.text()
    assert 'id="unknown_host"' in text
    assert 'id="cross_site"' in text
