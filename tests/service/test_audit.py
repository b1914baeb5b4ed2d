"""The audit log: each change by its doer, in the transaction of the change, and for ever."""

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

import myaccount
from myaccount.access import key_rows
from myaccount.access.audit_log import AuditEntry, AuditFilter, list_audit
from myaccount.access.audit_rows import COMMAND_LINE, write_audit
from myaccount.access.key_rows import KeyRefused, create_key, revoke_keys, rotate_key
from myaccount.access.operators import operator_rows, sessions
from myaccount.access.operators.operator_rows import (
    OperatorRefused,
    add_operator,
    change_password,
    change_role,
    end_sessions,
    list_operators,
    remove_operator,
)
from myaccount.access.operators.sessions import begin_session
from myaccount.appkeys import config_key
from myaccount.database.database import Database
from myaccount.database.times import utc_now
from myaccount.journal.mysql_batch import MysqlBatch
from myaccount.journal.sqlite_batch import SqliteBatch
from myaccount.model.access import api_key, audit, operator, session
from myaccount.model.outbox import delivery
from myaccount.outbox.dead_letters import drop_named, resend_named
from myaccount.problems import PROBLEMS

from ..conftest import Client, Section
from ..helpers.callers import ALL, bearer, client_with, new_key
from ..helpers.operators import PASSWORD, new_operator, quick_passwords, sign_in, signed_in
from ..helpers.servers import free_port
from ..helpers.wallets import Forgetful, accounts_of, open_account, post

NOW = utc_now().replace(microsecond=0)
HOUR = timedelta(hours=1)


class Told(NamedTuple):
    """What a row tells, without its time and request."""

    who_kind: str
    who: str
    what: str
    about_kind: str
    about: str
    address: str


@pytest.fixture
def queue() -> Section:
    return {"access": "keys", "trusted_proxies": ["127.0.0.1"]}


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with quick_passwords():
        yield


async def _rows(database: Database) -> list[AuditEntry]:
    """Return all rows, oldest first."""
    return (await list_audit(database, AuditFilter(), 2**62, 10_000))[::-1]


async def _told(database: Database, after: int = 0) -> list[Told]:
    return [Told(*row[2:8]) for row in (await _rows(database))[after:]]


def _by_command(what: str, kind: str, about: str) -> Told:
    return Told("command line", "command line", what, kind, about, "")


@pytest.fixture
async def shop(client: Client, database: Database) -> AsyncIterator[Client]:
    """A client whose key may do everything, and the user u1 with the account a1."""
    async with client_with(client, await new_key(database, "shop", *ALL)) as shop:
        await open_account(shop, "u1", "a1")
        yield shop


async def test_changes_of_accounts_tell_the_key_the_address_and_the_request(
    shop: Client, database: Database
) -> None:
    key_id = shop.session.headers["Authorization"].split("_")[1]
    shop.session.headers.update({"X-Forwarded-For": "203.0.113.5", "X-Request-ID": "request-7"})
    began = utc_now() - timedelta(seconds=2)
    for path, fields in (
        ("/freeze", {"frozen": "all"}), ("/freeze", {"frozen": "none"}), ("/limit", {"floor": "-5.00"}),
        ("/close", {}),
    ):  # fmt: skip
        assert (await post(shop, path, accountId="a1", reason="r", **fields)).code == "done"
    rows = [row for row in await _rows(database) if row.about_kind == "account"]
    assert [Told(*row[2:8]) for row in rows] == [
        Told("key", key_id, what, "account", "a1", "203.0.113.5")
        for what in ("account_frozen", "account_frozen", "limit_changed", "account_closed")
    ]
    assert {row.request_id for row in rows} == {"request-7"}
    assert all(began < row.at < utc_now() + timedelta(seconds=2) for row in rows)


@pytest.mark.parametrize("queue", [{"access": "keys"}], ids=["no proxy is trusted"])
async def test_an_address_that_the_client_made_up_is_not_told(shop: Client, database: Database) -> None:
    headers = {"X-Forwarded-For": "203.0.113.5", "X-Real-IP": "203.0.113.5", "Forwarded": "for=203.0.113.5"}
    shop.session.headers.update(headers)
    assert (await post(shop, "/freeze", accountId="a1", frozen="all", reason="r")).code == "done"
    assert (await _told(database))[-1].address == "127.0.0.1"


async def test_what_is_refused_or_changes_nothing_leaves_no_row(shop: Client, database: Database) -> None:
    before = len(await _rows(database))
    assert (await post(shop, "/recharge", orderId="r", userId="u1", amount="5")).code == "done"
    for path, fields, code in (
        ("/freeze", {"accountId": "a9", "frozen": "all"}, "account_not_found"),
        ("/freeze", {"accountId": "a1", "frozen": "none"}, "done"),
        ("/close", {"accountId": "a1"}, "account_in_use"),
        ("/limit", {"accountId": "a1", "floor": "0"}, "done"),
        ("/freeze", {"accountId": "a1", "frozen": "some"}, "invalid_request"),
    ):
        assert (await post(shop, path, reason="r", **fields)).code == code
    assert len(await _rows(database)) == before


async def test_an_order_that_shares_the_batch_is_no_change_of_an_account(shop: Client, database: Database) -> None:
    before = len(await _rows(database))
    assert (await post(shop, "/recharge", orderId="r", userId="u1", amount="5")).code == "done"
    assert len(await _rows(database)) == before


async def test_a_change_whose_row_cannot_be_written_is_not_made(
    shop: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, row: object, at: str) -> tuple[str, tuple[()]]:
        return "INSERT INTO audit (nothing) VALUES (1)", ()

    with monkeypatch.context() as patch:
        for batch in (SqliteBatch, MysqlBatch):
            patch.setattr(batch, "_insert_audit", broken)
        assert (await post(shop, "/freeze", accountId="a1", frozen="all", reason="r")).status >= 500
    assert (await accounts_of(shop, "u1"))["a1"]["FROZEN"] == "none"


@pytest.mark.parametrize("module", [key_rows, operator_rows])
async def test_a_key_or_an_operator_whose_row_cannot_be_written_is_not_changed(
    database: Database, monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    await create_key(database, "shop", ["cards"], NOW)
    await new_operator(database, "alice")
    await _begin(database, "alice", "s")

    async def tables() -> list[Any]:
        read = (api_key, operator, session, audit)
        found = [await database.read(lambda c: c.execute(select(table))) for table in read]  # noqa: B023
        return [list(rows) for rows in found]

    before = await tables()

    async def broken(*args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "write_audit", broken)
    changes: list[Callable[[], Awaitable[object]]] = [
        lambda: create_key(database, "till", ["cards"], NOW),
        lambda: rotate_key(database, "shop", HOUR, NOW),
        lambda: revoke_keys(database, "shop", NOW),
    ]
    if module is operator_rows:
        changes = [
            lambda: add_operator(database, "bob", "reader", "x", NOW, COMMAND_LINE),
            lambda: change_password(database, "alice", "x", NOW, COMMAND_LINE),
            lambda: change_role(database, "alice", "reader", NOW, COMMAND_LINE),
            lambda: remove_operator(database, "alice", NOW, COMMAND_LINE),
            lambda: end_sessions(database, "alice", NOW, COMMAND_LINE, keep=0),
        ]
    for change in changes:
        with pytest.raises(ZeroDivisionError):
            await change()
    assert await tables() == before


@pytest.mark.parametrize("wrap", [lambda database: database, Forgetful], ids=["", "an answer is lost"])
async def test_each_change_of_keys_is_told_once(database: Database, wrap: Callable[[Database], Database]) -> None:
    service = wrap(database)
    await create_key(service, "shop", ["cards"], NOW)
    await rotate_key(service, "shop", HOUR, NOW + HOUR)
    await revoke_keys(service, "shop", NOW + 2 * HOUR)
    # Nothing is left to revoke.
    await revoke_keys(service, "shop", NOW + 3 * HOUR)
    for refused in (rotate_key(service, "shop", HOUR, NOW), revoke_keys(service, "nobody", NOW)):
        with pytest.raises(KeyRefused):
            await refused
    assert await _told(database) == [
        _by_command(what, "key", "shop") for what in ("key_created", "key_rotated", "key_revoked")
    ]
    assert [row.at for row in await _rows(database)] == [NOW, NOW + HOUR, NOW + 2 * HOUR]


async def _begin(database: Database, name: str, secret: str) -> None:
    (found,) = [each for each in await list_operators(database) if each.name == name]
    await database.write(lambda connection: begin_session(connection, found.id, secret, NOW, ""))


@pytest.mark.parametrize("wrap", [lambda database: database, Forgetful], ids=["", "an answer is lost"])
async def test_each_change_of_operators_is_told_once(
    database: Database, wrap: Callable[[Database], Database]
) -> None:
    service = wrap(database)
    await add_operator(service, "alice", "reader", "h1", NOW, COMMAND_LINE)
    with pytest.raises(OperatorRefused, match="there is an operator by the name alice"):
        await add_operator(service, "alice", "admin", "h2", NOW, COMMAND_LINE)
    await change_password(service, "alice", "h3", NOW, COMMAND_LINE)
    await change_role(service, "alice", "admin", NOW, COMMAND_LINE)
    # The role is the same.
    await change_role(service, "alice", "admin", NOW + HOUR, COMMAND_LINE)
    await _begin(database, "alice", "s")
    await end_sessions(service, "alice", NOW, COMMAND_LINE, keep=0)
    # There are none.
    await end_sessions(service, "alice", NOW + HOUR, COMMAND_LINE, keep=0)
    await remove_operator(service, "alice", NOW, COMMAND_LINE)
    for refused in (
        remove_operator(service, "alice", NOW + HOUR, COMMAND_LINE),
        change_role(service, "alice", "reader", NOW, COMMAND_LINE),
        change_password(service, "alice", "h4", NOW, COMMAND_LINE),
    ):
        with pytest.raises(OperatorRefused, match="there is no operator by the name alice"):
            await refused
    assert await list_operators(database) == []
    await add_operator(service, "alice", "reader", "h5", NOW + HOUR, COMMAND_LINE)
    assert [each[1:4] for each in await list_operators(database)] == [("alice", "reader", "h5")]
    assert await _told(database) == [
        _by_command(what, "operator", "alice")
        for what in ("operator_added", "password_changed", "role_changed", "sessions_ended", "operator_removed",
                     "operator_added")
    ]  # fmt: skip


async def test_every_sign_in_and_sign_out_is_told(client: Client, database: Database) -> None:
    await new_operator(database, "alice")
    before = len(await _rows(database))
    await sign_in(client, "alice", "wrong")
    await sign_in(client, "nobody", "wrong")
    await sign_in(client, "alice")
    fields = {"password": PASSWORD, "newPassword": "another password", "again": "another password"}
    async with signed_in(client, "alice"):
        async with client.post("/account/sessions", allow_redirects=False) as response:
            assert response.status == 303
        async with client.post("/account/password", data=fields | {"password": "wrong"}) as response:
            assert response.status == 401
        async with client.post("/account/password", data=fields, allow_redirects=False) as response:
            assert response.status == 303
    async with client.post("/signout", allow_redirects=False) as response:
        request_id = response.headers["X-Request-ID"]
    rows = await _told(database, before)
    assert rows[1].about_kind == "name"
    assert re.fullmatch("[0-9a-f]{32}", rows[1].about)

    def by_alice(what: str) -> Told:
        return Told("operator", "alice", what, "operator", "alice", "127.0.0.1")

    failed = Told("nobody", "127.0.0.1", "sign_in_failed", "operator", "alice", "127.0.0.1")
    assert [rows[0], *rows[2:]] == [
        failed, by_alice("signed_in"), by_alice("signed_in"), by_alice("sessions_ended"), failed,
        by_alice("password_changed"), by_alice("signed_out"),
    ]  # fmt: skip
    assert (await _rows(database))[-1].request_id == request_id


async def test_a_sign_in_whose_row_cannot_be_written_begins_no_session(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await new_operator(database, "alice")

    async def broken(*args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("myaccount.access.operators.sign_in.write_audit", broken)
    assert (await sign_in(client, "alice")).status == 500
    # Nor is a wrong password refused without being counted.
    assert (await sign_in(client, "alice", "wrong")).status == 500
    assert list(await database.read(lambda connection: connection.execute(select(session)))) == []


async def test_a_sign_out_whose_row_cannot_be_written_is_none(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await new_operator(database, "alice")

    async def broken(*args: object) -> None:
        raise ZeroDivisionError

    async with signed_in(client, "alice") as alice:
        with monkeypatch.context() as patch:
            patch.setattr(sessions, "write_audit", broken)
            async with alice.post("/signout", allow_redirects=False) as response:
                assert response.status == 500
        async with alice.get("/account") as response:
            assert response.status == 200


@pytest.mark.parametrize("queue", [{}], ids=["open"])
async def test_in_an_open_service_nobody_is_known_but_by_the_address(client: Client, database: Database) -> None:
    await open_account(client, "u1", "a1")
    assert (await post(client, "/freeze", accountId="a1", frozen="all", reason="r")).code == "done"
    assert await _told(database) == [Told("nobody", "127.0.0.1", "account_frozen", "account", "a1", "127.0.0.1")]
    assert (await post(client, "/audit")).body["result"][0]["WHO"] == "127.0.0.1"


@pytest.mark.parametrize(("do", "what"), [(resend_named, "events_resent"), (drop_named, "events_dropped")])
async def test_dead_letters_that_are_resent_or_dropped_are_told_once_whatever_their_number(
    database: Database, monkeypatch: pytest.MonkeyPatch, do: Callable[..., Awaitable[object]], what: str
) -> None:
    monkeypatch.setattr("myaccount.outbox.dead_letters.PAGE_SIZE", 2)
    row = {"body": "[]", "attempts": 3, "created_at": NOW, "due_at": None, "endpoint": "gone"}
    rows = [row | {"webhook_id": f"msg_{n}"} for n in range(7)]
    await database.write(lambda connection: connection.execute(delivery.insert(), rows))
    await do(database, "delivery-999")
    await do(database, "nobody")
    assert await _told(database) == []
    await do(database, "all")
    assert await _told(database) == [_by_command(what, "events", "all")]


async def test_a_resending_whose_row_cannot_be_written_is_none(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"body": "[]", "attempts": 3, "created_at": NOW, "due_at": None, "endpoint": "gone", "webhook_id": "m"}
    await database.write(lambda connection: connection.execute(delivery.insert(), row))

    async def broken(*args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("myaccount.outbox.dead_letters.write_audit", broken)
    for do in (resend_named, drop_named):
        with pytest.raises(ZeroDivisionError):
            await do(database, "gone")
    found = await database.read(lambda connection: connection.execute(select(delivery.c.due_at)))
    assert list(found.scalars()) == [None]


def test_no_code_changes_or_deletes_a_row() -> None:
    changing = re.compile(
        r"(update|delete)\(\s*audit\b|(UPDATE|DELETE FROM|REPLACE INTO|TRUNCATE)\W+audit\b", re.IGNORECASE
    )
    for file in Path(myaccount.__file__).parent.rglob("*.py"):
        assert not changing.search(file.read_text("utf-8")), file
    # It would be seen.
    assert changing.search("await connection.execute(delete(audit).where(x))")
    assert changing.search("DELETE FROM `audit` WHERE")


async def _fill(database: Database, count: int) -> None:
    """Write rows of alternating doers, a minute apart."""

    async def work(connection: AsyncConnection) -> None:
        for n in range(count):
            doer = COMMAND_LINE._replace(
                kind="operator", id="ab"[n % 2], address="203.0.113.5", request_id=f"q{n}"
            )
            await write_audit(connection, NOW + timedelta(minutes=n), doer, f"what{n % 3}", "key", f"k{n % 5}")

    await database.write(work)


def _iso(minute: int) -> str:
    return (NOW + timedelta(minutes=minute)).isoformat() + "Z"


async def _pages(client: Client, **fields: object) -> list[str]:
    """Return the request ids of all pages joined."""
    found: list[str] = []
    while True:
        body = (await post(client, "/audit", **fields)).body
        found += [row["REQUEST_ID"] for row in body["result"]]
        if body["before"] is None:
            return found
        assert len(body["result"]) == body["pageSize"]
        fields["before"] = body["before"]


@pytest.mark.parametrize("queue", [{}], ids=["open"])
async def test_the_log_is_read_newest_first_by_pages_and_filters(client: Client, database: Database) -> None:
    await _fill(database, 30)
    every = [f"q{n}" for n in reversed(range(30))]
    assert await _pages(client) == every
    assert await _pages(client, pageSize=7) == every
    assert await _pages(client, pageSize=30) == every
    assert await _pages(client, who="a", pageSize=4) == every[1::2]
    assert await _pages(client, what="what1") == [f"q{n}" for n in reversed(range(30)) if n % 3 == 1]
    assert await _pages(client, about="k4", who="b") == ["q29", "q19", "q9"]
    assert await _pages(client, from_=_iso(10), to=_iso(13)) == ["q12", "q11", "q10"]
    eight = (NOW + timedelta(hours=8, minutes=28)).isoformat() + "+08:00"
    assert await _pages(client, from_=eight) == ["q29", "q28"]
    assert await _pages(client, who="A") == []
    async with client.get("/audit", params={"who": "b", "pageSize": "1"}) as response:
        assert await response.json() == {
            "result": [
                {
                    "WHO_KIND": "operator", "WHO": "b", "WHAT": "what2", "ABOUT_KIND": "key", "ABOUT": "k4",
                    "ADDRESS": "203.0.113.5", "REQUEST_ID": "q29",
                    "CREATE_TIME": (NOW + timedelta(minutes=29)).isoformat() + ".000000Z",
                }
            ],
            "pageSize": 1,
            "before": "30",
        }  # fmt: skip


@pytest.mark.parametrize("queue", [{}], ids=["open"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("from", "2026-01-02"), ("from", "2026-01-02T03:04:05"), ("from", "2026-13-02T03:04:05Z"), ("to", "now"),
        ("to", "0001-01-01T00:00:00+08:00"), ("to", "２026-01-02T03:04:05Z"), ("before", "x"), ("pageSize", "101"),
        ("pageSize", "0"), ("who", ""), ("who", "x" * 46), ("which", "x"),
    ],
)  # fmt: skip
async def test_a_wrong_field_is_refused(client: Client, field: str, value: str) -> None:
    answer = await post(client, "/audit", **{f"{field}_": value})
    assert (answer.status, answer.code, answer.field) == (400, "invalid_request", field)


async def test_the_log_is_for_those_who_operate(client: Client, database: Database) -> None:
    scopes = {"operate": 200, "admin": 403, "accounts:read": 403}
    made = {scope: await new_key(database, scope.replace(":", "."), scope) for scope in scopes}
    for scope, status in scopes.items():
        async with client_with(client, made[scope]) as caller:
            assert (await post(caller, "/audit")).status == status
    for role, status in (("reader", 403), ("operator", 200), ("admin", 200)):
        await new_operator(database, role, role)
        async with signed_in(client, role) as person:
            assert (await post(person, "/audit")).status == status


@pytest.mark.parametrize("queue", [{"access": "keys", "metrics": {"port": free_port()}}], ids=[""])
async def test_no_secret_is_in_any_log_reply_or_row(
    client: Client, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = await new_key(database, "shop", *ALL)
    wrong_key = f"mak_{'a' * 12}_{'5' * 64}"
    await new_operator(database, "alice")
    wrong, shown = "wrong password of alice", []

    async def ask(caller: Client, method: str, path: str, **options: Any) -> None:
        async with caller.request(method, path, allow_redirects=False, **options) as response:
            shown.append(await response.text())

    async with client_with(client, key) as shop:
        await open_account(shop, "u1", "a1")
        token = (await post(shop, "/usertoken", userId="u1")).body["TOKEN"]
        await ask(shop, "POST", "/freeze", data={"accountId": "a1", "frozen": "all", "reason": "r"})
        await ask(shop, "POST", "/audit")
    for given in (wrong, f"{wrong}\n", f"{wrong}{'x' * 300}", ""):
        await ask(client, "POST", "/signin", data={"name": "alice", "password": given})
        await ask(client, "POST", "/signin", data={"name": given or "x", "password": given})
        await ask(client, "POST", "/signin", data={"name": "x", "pasword": given})
    await ask(client, "POST", "/signin", params={"password": wrong}, headers={"Accept": "text/html"})
    await ask(client, "POST", "/querorder", headers={"Authorization": f"Bearer {wrong_key}"})
    await ask(client, "POST", "/messages", headers={"Authorization": f"Bearer {token}"}, data={"userId": "u2"})
    await ask(client, "GET", "/messages/stream", params={"token": token + "x", "userId": "u1"})
    async with signed_in(client, "alice") as alice:
        (cookie,) = [morsel.value for morsel in alice.session.cookie_jar]
        again = {"newPassword": "another password", "again": "another password"}
        await ask(alice, "GET", "/account")
        await ask(alice, "POST", "/account/password", data={"password": PASSWORD, **again})
        await ask(alice, "POST", "/account/password", data={"password": wrong, **again})
        await ask(alice, "POST", "/signout")
        await ask(alice, "GET", "/account", headers={"Cookie": f"myaccount={cookie}x"})
    port = client.server.app[config_key]["metrics"]["port"]  # type: ignore[attr-defined]
    async with client.session.get(f"http://127.0.0.1:{port}/metrics", headers=bearer(key)) as response:
        shown.append(await response.text())
        assert "/signin" in shown[-1]
    rows = [str(row) for row in await _rows(database)]
    everything = "\n".join([caplog.text, *shown, *rows, str(PROBLEMS)])
    assert "sign_in_failed" in everything
    for secret in (
        PASSWORD,
        wrong,
        "another password",
        key,
        key.split("_")[2],
        wrong_key,
        "5" * 64,
        token,
        cookie,
    ):
        assert secret not in everything, secret
