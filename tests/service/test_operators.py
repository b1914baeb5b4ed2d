"""Operators sign in, do what their role allows, and are out in every process at once when their session ends."""

import re
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from http.cookies import SimpleCookie
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import func, select, update

from myaccount.access.audit_rows import COMMAND_LINE
from myaccount.access.operators.cookies import make_cookie
from myaccount.access.operators.operator_rows import OperatorRefused, change_password, change_role, remove_operator
from myaccount.access.operators.passwords import hash_password
from myaccount.access.operators.sessions import SESSIONS_LIMIT
from myaccount.appkeys import authenticator_key, sign_in_key
from myaccount.database.database import Database
from myaccount.database.times import utc_now
from myaccount.errors import Unavailable
from myaccount.main import create_app
from myaccount.model.access import operator, session
from myaccount.observability.log_setup import request_id
from myaccount.settings.schema import Config

from ..conftest import Client, ClientOf, Section, Server
from ..helpers.actions import open_users
from ..helpers.callers import ALL, bearer, client_with, new_key
from ..helpers.operators import BROWSER, PASSWORD, new_operator, quick_passwords, sign_in, signed_in
from ..helpers.statements import statements_by_request

# One process serves the embedded file.
TWO_PROCESSES = pytest.mark.parametrize("backend", ["mariadb"], indirect=True)


@pytest.fixture
def queue() -> Section:
    return {"access": "keys", "trusted_proxies": ["127.0.0.1"]}


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with quick_passwords():
        yield


@pytest.fixture
async def alice(client: Client, database: Database) -> AsyncIterator[Client]:
    """A client with a session of the operator alice."""
    await new_operator(database, "alice")
    async with signed_in(client, "alice") as own:
        yield own


async def _status(client: Client, path: str = "/account", method: str = "GET", **options: Any) -> int:
    async with client.request(method, path, allow_redirects=False, **options) as response:
        await response.read()
        return response.status


def _cookie(response: web.Response | Any) -> dict[str, str]:
    """Return the name, the value and the attributes of the one cookie that is set."""
    (header,) = response.headers.getall("Set-Cookie")
    ((name, morsel),) = SimpleCookie(header).items()
    attributes = {key: str(value) for key, value in morsel.items() if value}
    return {"name": name, "value": morsel.value, **attributes}


async def test_the_cookie_on_this_machine_is_for_this_host_alone_and_for_no_script(
    client: Client, database: Database
) -> None:
    await new_operator(database, "alice")
    response = await sign_in(client, "alice")
    assert (response.status, response.headers["Location"]) == (303, "/")
    cookie = _cookie(response)
    assert cookie.pop("value")
    assert cookie == {
        "name": "myaccount", "path": "/", "max-age": "43200", "httponly": "True", "samesite": "Strict",
    }  # fmt: skip


async def test_behind_a_proxy_with_tls_the_cookie_is_sent_with_tls_alone(
    client: Client, database: Database
) -> None:
    await new_operator(database, "alice")
    headers = {"X-Forwarded-Proto": "https", "Host": "pay.example.com"}
    fields = {"name": "alice", "password": PASSWORD}
    async with client.post("/signin", data=fields, headers=headers, allow_redirects=False) as response:
        cookie = _cookie(response)
    value = cookie.pop("value")
    assert cookie == {
        "name": "__Host-myaccount", "path": "/", "max-age": "43200", "secure": "True", "httponly": "True",
        "samesite": "Strict",
    }  # fmt: skip
    for name, sent, expected in (
        ("__Host-myaccount", headers, 200),
        # By another way, anybody could have set it.
        ("myaccount", headers, 401),
        ("__Host-myaccount", {}, 401),
        ("myaccount", {}, 200),
    ):
        assert await _status(client, headers={**sent, "Cookie": f"{name}={value}"}) == expected, (name, sent)


async def test_without_tls_nobody_signs_in_from_another_machine(client: Client, database: Database) -> None:
    await new_operator(database, "alice")
    fields = {"name": "alice", "password": PASSWORD}
    for headers in (
        {"Host": "pay.example.com"},
        {"Host": "pay.example.com", "X-Forwarded-Proto": "http"},
        {"Host": "10.1.2.3:8080"},
    ):
        async with client.post("/signin", data=fields, headers=headers, allow_redirects=False) as response:
            assert (response.status, "Set-Cookie" in response.headers) == (403, False)
            assert (await response.json(content_type=None))["code"] == "not_allowed"
        assert await _status(client, "/signin", headers=headers) == 403
    # By a proxy that names the service's own address, also one that is trusted.
    for field in ("X-Forwarded-For", "X-Real-IP", "Via", "Forwarded"):
        for value in ("203.0.113.5", "127.0.0.1"):
            headers = {"Host": "localhost", field: value}
            assert await _status(client, "/signin", "POST", data=fields, headers=headers) == 403, headers
    for host in ("localhost", "127.0.0.1:1", "app.localhost", "[::1]"):
        assert await _status(client, "/signin", "POST", data=fields, headers={"Host": host}) == 303


@pytest.mark.parametrize("peer", ["203.0.113.5", "10.1.2.3", "::ffff:203.0.113.5", ""])
async def test_nobody_on_another_machine_signs_in_by_a_loopback_name(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch, peer: str
) -> None:
    await new_operator(database, "alice")
    fields = {"name": "alice", "password": PASSWORD}
    monkeypatch.setattr(web.BaseRequest, "remote", peer)
    assert await _status(client, "/signin", "POST", data=fields, headers={"Host": "localhost"}) == 403
    monkeypatch.setattr(web.BaseRequest, "remote", "::ffff:127.0.0.1")
    assert await _status(client, "/signin", "POST", data=fields, headers={"Host": "localhost"}) == 303


async def test_a_service_that_trusts_no_proxy_believes_none(config: Config, database: Database) -> None:
    await new_operator(database, "alice")
    config = {**config, "trusted_proxies": []}
    async with Server(create_app(config)) as server, ClientOf(server) as client:
        headers = {"X-Forwarded-Proto": "https", "Host": "pay.example.com"}
        fields = {"name": "alice", "password": PASSWORD}
        assert await _status(client, "/signin", "POST", data=fields, headers=headers) == 403


@pytest.mark.parametrize(
    ("name", "password"),
    [("alice", PASSWORD + "!"), ("alice", "x"), ("Alice", PASSWORD), ("bob", PASSWORD), (PASSWORD, "alice")],
)
async def test_a_wrong_name_or_password_is_refused_and_nobody_learns_which(
    client: Client, database: Database, name: str, password: str
) -> None:
    await new_operator(database, "alice")
    response = await sign_in(client, name, password)
    assert (response.status, "Set-Cookie" in response.headers) == (401, False)
    body = await response.json(content_type=None)
    assert (body["code"], body["detail"]) == ("unauthenticated", "The name or the password is wrong.")


async def test_an_order_tells_its_operator_and_no_card_number_is_whole(
    client: Client, database: Database, alice: Client
) -> None:
    async with client_with(client, await new_key(database, "shop", *ALL)) as shop:
        await open_users(shop, "u1")
    assert await _status(alice, "/recharge", "POST", data={"orderId": "r1", "userId": "u1", "amount": "5"}) == 200
    async with alice.post("/querorder", data={"orderId": "r1"}) as response:
        assert (await response.json())["MADE_BY"] == "alice"
    async with alice.post("/queryacc", data={"userId": "u1"}) as response:
        assert (await response.json())["result"][0]["CARD_NUM"] == "******"


async def test_browsers_without_a_session_are_sent_to_sign_in_and_back(client: Client, database: Database) -> None:
    await new_operator(database, "alice")
    for path in ("/", "/transfertest", "/errors", "/account"):
        async with client.get(path, headers=BROWSER, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (303, f"/signin?next={path}")
        # Programs get the error.
        assert await _status(client, path) == 401
        async with client.get(f"/signin?next={path}") as response:
            assert f'name="next" value="{path}"' in await response.text()
    for path in ("/signout", "/account/password", "/account/sessions"):
        async with client.post(path, headers=BROWSER, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (303, "/signin?next=/")
    # No page.
    assert await _status(client, "/querorder", "POST", headers=BROWSER) == 401
    for path in ("/", "/transfertest", "/errors", "/account"):
        assert (await sign_in(client, "alice", next=path)).headers["Location"] == path


async def test_the_database_is_asked_the_same_for_a_name_that_there_is_not(
    client: Client, database: Database
) -> None:
    await new_operator(database, "alice")
    await sign_in(client, "warm", "wrong")
    asked = []
    with statements_by_request() as statements:
        for name in ("alice", "nobody"):
            response = await sign_in(client, name, "wrong")
            assert response.status == 401
            # With other values.
            found = statements[response.headers["X-Request-ID"]]
            asked.append([re.sub(r"'[^']*'|\d+", "?", statement) for statement in found])
    assert asked[0] == asked[1]
    assert any("INSERT INTO audit" in statement for statement in asked[0])


@pytest.mark.parametrize(
    "address",
    ["//evil.test", "https://evil.test", "/\\evil.test", "\\\\evil.test", "javascript:alert(1)", "/a//b", "/a?b",
     "a", "/%2fevil.test", "", "/\n/evil.test", '"><script>'],
)  # fmt: skip
async def test_nobody_is_sent_on_to_another_site(client: Client, database: Database, address: str) -> None:
    await new_operator(database, "alice")
    async with client.get("/signin", params={"next": address}) as response:
        assert 'name="next" value="/"' in await response.text()
    assert (await sign_in(client, "alice", next=address)).headers["Location"] == "/"


async def test_a_forged_cookie_costs_no_query(
    client: Client, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = client.server.app  # type: ignore[attr-defined]
    signing = await app[authenticator_key].signing()
    later = utc_now() + timedelta(hours=1)
    forged = make_cookie("a" * 64, later, signing._replace(secret="b" * 64))
    expired = make_cookie("a" * 64, utc_now() - timedelta(seconds=1), signing)
    unknown = make_cookie("a" * 64, later, signing)
    reads: list[object] = []
    read = app[authenticator_key]._database.read

    async def count(work: Any, **options: Any) -> Any:
        # The service reads without a request, too.
        if request_id.get() != "-":
            reads.append(work)
        return await read(work, **options)

    monkeypatch.setattr(app[authenticator_key]._database, "read", count)
    for cookie in (forged, expired, "", "x", "a.b.c", unknown[:-1], "é"):
        assert await _status(client, headers={"Cookie": f"myaccount={cookie}"}) == 401
    assert reads == []
    assert await _status(client, headers={"Cookie": f"myaccount={unknown}"}) == 401
    assert await _status(alice) == 200
    assert len(reads) >= 2


@pytest.fixture
async def other(config: Config, client: Client) -> AsyncIterator[Client]:
    """Another process of the same service."""
    async with Server(create_app(config)) as server, ClientOf(server) as other:
        yield other


async def _cookie_of(client: Client) -> dict[str, str]:
    (cookie,) = [morsel for morsel in client.session.cookie_jar if morsel.key == "myaccount"]
    return {"Cookie": f"myaccount={cookie.value}"}


async def test_signing_out_ends_the_session_and_no_other(client: Client, alice: Client) -> None:
    cookie = await _cookie_of(alice)
    async with signed_in(client, "alice") as second:
        async with alice.post("/signout", allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (303, "/signin")
            assert _cookie(response)["max-age"] == "0"
        # Also for somebody who has kept it.
        assert await _status(client, headers=cookie) == 401
        assert await _status(second) == 200


@TWO_PROCESSES
async def test_the_end_of_a_session_holds_in_the_other_process(other: Client, alice: Client) -> None:
    cookie = await _cookie_of(alice)
    assert await _status(other, headers=cookie) == 200
    assert await _status(alice, "/signout", "POST") == 303
    assert await _status(other, headers=cookie) == 401


@TWO_PROCESSES
async def test_a_changed_password_ends_the_other_sessions_in_the_other_process(
    client: Client, other: Client, alice: Client
) -> None:
    fields = {"password": PASSWORD, "newPassword": "another password", "again": "another password"}
    async with signed_in(client, "alice") as second:
        cookie = await _cookie_of(second)
    assert await _status(other, headers=cookie) == 200
    assert await _status(alice, "/account/password", "POST", data=fields) == 303
    assert await _status(other, headers=cookie) == 401
    assert await _status(other, headers=await _cookie_of(alice)) == 200


@pytest.mark.parametrize("change", ["password", "role", "removed"])
async def test_a_changed_operator_is_out_at_once(
    client: Client, database: Database, alice: Client, change: str
) -> None:
    await new_operator(database, "bob")
    async with signed_in(client, "bob") as bob:
        now, new = utc_now(), hash_password("another password")
        match change:
            case "password":
                await change_password(database, "alice", new, now, COMMAND_LINE)
            case "role":
                await change_role(database, "alice", "reader", now, COMMAND_LINE)
            case "removed":
                await remove_operator(database, "alice", now, COMMAND_LINE)
        assert await _status(alice) == 401
        assert await _status(bob) == 200
    expected = {"password": 401, "role": 303, "removed": 401}[change]
    assert (await sign_in(client, "alice")).status == expected


async def test_a_removed_operator_may_be_added_again(client: Client, database: Database, alice: Client) -> None:
    await remove_operator(database, "alice", utc_now(), COMMAND_LINE)
    await new_operator(database, "alice", "reader", "another password")
    assert await _status(alice) == 401
    assert (await sign_in(client, "alice")).status == 401
    assert (await sign_in(client, "alice", "another password")).status == 303


async def _stopped_clock(alice: Client, monkeypatch: pytest.MonkeyPatch) -> datetime:
    """Stop the service's clock, so that no time passes during a test; return its time."""
    clock = (await alice.server.app[authenticator_key].signing()).clock  # type: ignore[attr-defined]
    now: datetime = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    return now


async def _age(database: Database, now: datetime, **times: timedelta) -> None:
    """Move these times of all sessions to before."""
    values = {name: now - time for name, time in times.items()}
    await database.write(lambda connection: connection.execute(update(session).values(values)))


async def _used_at(database: Database) -> Any:
    return await database.read(lambda connection: connection.scalar(select(session.c.used_at)))


async def test_a_session_ends_after_half_an_hour_without_use(
    alice: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = await _stopped_clock(alice, monkeypatch)
    await _age(database, now, used_at=timedelta(minutes=29))
    assert await _status(alice) == 200
    # Which was a use.
    assert now - await _used_at(database) < timedelta(minutes=1)
    await _age(database, now, used_at=timedelta(minutes=30))
    assert await _status(alice) == 401


async def test_use_is_noted_at_most_once_a_minute(
    alice: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _age(database, await _stopped_clock(alice, monkeypatch), used_at=timedelta(seconds=50))
    before = await _used_at(database)
    for _ in range(3):
        assert await _status(alice) == 200
    assert await _used_at(database) == before


async def test_a_session_ends_after_twelve_hours_however_much_it_is_used(
    alice: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = await _stopped_clock(alice, monkeypatch)
    await _age(database, now, expires_at=timedelta(seconds=-30))
    assert await _status(alice) == 200
    await _age(database, now, expires_at=timedelta(0))
    assert await _status(alice) == 401


async def test_twelve_hours_are_over_by_the_service_s_clock(client: Client, alice: Client) -> None:
    clock = (await client.server.app[authenticator_key].signing()).clock  # type: ignore[attr-defined]
    # 11 hours and 59 minutes, with a use in each half hour.
    for minutes in (*[29] * 24, 23):
        clock._begin += timedelta(minutes=minutes)
        assert await _status(alice) == 200
    clock._begin += timedelta(minutes=1)
    assert await _status(alice) == 401


@pytest.mark.parametrize("ahead", [timedelta(hours=-1), timedelta(days=9999)])
async def test_a_wrong_clock_of_this_machine_neither_ends_nor_revives_a_session(
    client: Client, alice: Client, database: Database, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    wrong = utc_now() + ahead
    for name, module in list(sys.modules.items()):
        if name.startswith("myaccount.") and hasattr(module, "utc_now"):
            monkeypatch.setattr(module, "utc_now", lambda: wrong)
    async with signed_in(client, "alice") as second:
        assert [await _status(each) for each in (alice, second)] == [200, 200]
        await _age(database, utc_now(), used_at=timedelta(minutes=31))
        assert [await _status(each) for each in (alice, second)] == [401, 401]


async def test_one_s_own_page_changes_the_password_and_ends_the_other_sessions(
    client: Client, alice: Client
) -> None:
    new = "another password"
    async with signed_in(client, "alice") as second:
        fields = {"password": PASSWORD, "newPassword": new, "again": new}
        for change, status in (
            ({"password": "wrong"}, 401), ({"again": "other password"}, 400), ({"again": ""}, 400),
            ({"newPassword": "elevenchars", "again": "elevenchars"}, 400),
        ):  # fmt: skip
            assert await _status(alice, "/account/password", "POST", data={**fields, **change}) == status, change
        assert await _status(second) == 200
        async with alice.post("/account/password", data=fields, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (303, "/account?done=password")
        assert await _status(second) == 401
    assert await _status(alice, "/account?done=password") == 200
    assert (await sign_in(client, "alice")).status == 401
    assert (await sign_in(client, "alice", new)).status == 303


async def test_a_person_reads_on_the_page_what_is_wrong_in_both_languages(client: Client, alice: Client) -> None:
    fields = {"name": "alice", "password": "wrong", "next": "/transfertest"}
    async with client.post("/signin", data=fields, headers=BROWSER) as response:
        page = await response.text()
        assert (response.status, response.content_type) == (401, "text/html")
        assert "The name or the password is wrong." in page
        assert "名称或密码错误。" in page
        # The way back is not lost.
        assert 'name="next" value="/transfertest"' in page
        assert 'wrong"' not in page
    short = {"password": PASSWORD, "newPassword": "elevenchars", "again": "elevenchars"}
    async with alice.post("/account/password", data=short, headers=BROWSER) as response:
        page = await response.text()
        assert (response.status, "12 to 200 characters" in page, "填写有误。" in page) == (400, True, True)
        assert "elevenchars" not in page


@pytest.mark.parametrize("meanwhile", ["reset", "signed out"])
async def test_a_password_that_is_reset_while_its_operator_changes_it_stays_reset(
    client: Client, alice: Client, database: Database, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    passwords = client.server.app[sign_in_key]._passwords  # type: ignore[attr-defined]
    make_hash = passwords.hash

    async def hash_meanwhile(password: str) -> Any:
        if meanwhile == "reset":
            reset = hash_password("what the admin has set")
            await change_password(database, "alice", reset, utc_now(), COMMAND_LINE)
        else:
            await _status(alice, "/signout", "POST")
        return await make_hash(password)

    monkeypatch.setattr(passwords, "hash", hash_meanwhile)
    fields = {"password": PASSWORD, "newPassword": "the thief's password", "again": "the thief's password"}
    # The cookie is sent by hand, since signing out drops it.
    cookie = await _cookie_of(alice)
    assert await _status(client, "/account/password", "POST", data=fields, headers=cookie) == 401
    assert (await sign_in(client, "alice", "the thief's password")).status == 401
    right = "what the admin has set" if meanwhile == "reset" else PASSWORD
    assert (await sign_in(client, "alice", right)).status == 303


async def test_a_change_of_the_password_whose_answer_is_lost_is_done(
    client: Client, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = client.server.app[sign_in_key]._database  # type: ignore[attr-defined]
    write = database.write

    async def run_again(work: Any) -> Any:
        await write(work)
        return await write(work)

    monkeypatch.setattr(database, "write", run_again)
    fields = {"password": PASSWORD, "newPassword": "another password", "again": "another password"}
    assert await _status(alice, "/account/password", "POST", data=fields) == 303
    assert await _status(alice) == 200


async def test_an_operator_who_is_removed_meanwhile_is_out(
    alice: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def removed(*args: object, **options: object) -> None:
        raise OperatorRefused

    monkeypatch.setattr("myaccount.controller.operator_pages.end_sessions", removed)
    monkeypatch.setattr("myaccount.access.operators.sign_in.change_password", removed)
    fields = {"password": PASSWORD, "newPassword": "another password", "again": "another password"}
    assert await _status(alice, "/account/sessions", "POST") == 401
    assert await _status(alice, "/account/password", "POST", data=fields) == 401


async def test_one_s_own_page_ends_the_other_sessions(client: Client, database: Database, alice: Client) -> None:
    await new_operator(database, "bob")
    async with signed_in(client, "bob") as bob, signed_in(client, "alice") as second:
        async with alice.get("/account") as response:
            assert "Other sessions: 1." in await response.text()
        assert await _status(alice, "/account/sessions", "POST") == 303
        assert [await _status(each) for each in (alice, second, bob)] == [200, 401, 200]


async def test_while_the_database_is_away_nobody_is_signed_out_or_called_wrong(
    client: Client, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*args: object, **options: object) -> Any:
        raise Unavailable("The database is away.")

    with monkeypatch.context() as patch:
        patch.setattr(client.server.app[authenticator_key]._database, "read", fail)  # type: ignore[attr-defined]
        assert await _status(alice) == 503
        assert (await sign_in(client, "alice")).status == 503
    assert await _status(alice) == 200


async def test_a_use_that_cannot_be_noted_is_a_use(
    client: Client, alice: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*args: object, **options: object) -> Any:
        raise Unavailable("The database takes no writes.")

    await _age(database, utc_now(), used_at=timedelta(minutes=2))
    monkeypatch.setattr(client.server.app[authenticator_key]._database, "write", fail)  # type: ignore[attr-defined]
    assert await _status(alice) == 200


async def test_a_key_has_no_page_of_an_operator(client: Client, database: Database) -> None:
    headers = bearer(await new_key(database, "shop", *ALL))
    for method, path in (("GET", "/account"), ("POST", "/account/password"), ("POST", "/account/sessions"),
                         ("POST", "/signout")):  # fmt: skip
        assert await _status(client, path, method, headers=headers) == 403


async def test_a_wrong_key_is_not_made_good_by_a_session(alice: Client) -> None:
    assert await _status(alice, headers={"Authorization": "Bearer wrong"}) == 401


async def test_an_operator_has_so_many_sessions_and_then_the_oldest_ends(
    client: Client, database: Database, alice: Client
) -> None:
    for _ in range(SESSIONS_LIMIT - 1):
        assert (await sign_in(client, "alice")).status == 303
    assert await _status(alice) == 200
    assert (await sign_in(client, "alice")).status == 303
    assert await _status(alice) == 401
    count = select(func.count()).select_from(session)
    assert await database.read(lambda connection: connection.scalar(count)) == SESSIONS_LIMIT


async def test_another_site_s_request_changes_nothing_for_an_operator(alice: Client) -> None:
    for headers in (
        {"Origin": "http://evil.test"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        for path in ("/signin", "/signout", "/account/password", "/account/sessions", "/recharge"):
            assert await _status(alice, path, "POST", headers=headers) == 403, path
    assert await _status(alice) == 200


async def test_no_secret_is_stored(database: Database, alice: Client) -> None:
    cookie = (await _cookie_of(alice))["Cookie"]
    for table in (operator, session):
        rows = await database.read(lambda connection: connection.execute(select(table)))  # noqa: B023
        text = str(list(rows))
        assert PASSWORD not in text
        assert cookie.partition("=")[2] not in text
    assert re.search(r"scrypt\$", str(list(await database.read(lambda c: c.execute(select(operator))))))


@TWO_PROCESSES
async def test_an_open_service_has_no_sign_in(config: Config, database: Database) -> None:
    open_config: Any = {name: value for name, value in config.items() if name != "access"}
    async with Server(create_app(open_config)) as server, ClientOf(server) as client:
        assert await _status(client, "/signin") == 404
        assert await _status(client, "/account") == 404
