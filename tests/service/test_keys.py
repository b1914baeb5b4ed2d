"""A service with `access: keys`: which caller is let in where."""

import time
from datetime import timedelta
from typing import Any

import pytest

from myaccount.access import snapshots
from myaccount.access.key_rows import KeyRow, revoke_keys
from myaccount.access.scopes import OWN, SCOPES
from myaccount.appkeys import authenticator_key
from myaccount.database.database import Database
from myaccount.database.times import utc_now
from myaccount.errors import Unavailable

from ..conftest import Client, Section
from ..helpers.callers import ALL, OPERATORS_PATHS, bearer, new_key, read_keys_again, routes_of, without
from ..helpers.plain_requests import ORDER_FIELDS

OPEN_PATHS = {"/healthz", "/readyz", "/opeacclistentest", "/favicon.ico", "/signin"}
# Whole orders of users that there are not, as the fast path takes them. What a hold needs depends on its payee.
VALUES = {"amount": "1", "expiresIn": "3600", "touserId": "u2"}
ORDERS = {
    path: {name: VALUES.get(name, "u1") for name in names}
    for path, names in ORDER_FIELDS.items()
    if path != "/hold"
}
UNKNOWN = f"mak_{'a' * 12}_{'0' * 64}"


@pytest.fixture
def queue() -> Section:
    return {"access": "keys"}


async def _answer(
    client: Client, method: str, path: str, headers: dict[str, str]
) -> tuple[int, dict[str, Any], str]:
    """Return the status, the body of an error, and how to sign in."""
    fields = ORDERS.get(path) if method == "POST" else None
    async with client.request(method, path, headers=headers, data=fields) as response:
        is_problem = response.content_type == "application/problem+json" and method != "HEAD"
        body = await response.json(content_type=None) if is_problem else {}
        body.pop("request_id", None)
        return response.status, body, response.headers.get("WWW-Authenticate", "")


async def test_only_what_the_contract_names_is_open(client: Client, patient_probes: None) -> None:
    found = {path for _, path, scopes in routes_of(client) if scopes is None}
    assert {path for path in found if not path.startswith("/static/")} == OPEN_PATHS
    for path in found:
        assert (await _answer(client, "GET", path, {}))[0] == 200
    for method, path, scopes in routes_of(client):
        if scopes is None:
            # Fields may be missing.
            assert (await _answer(client, method, path, {}))[0] in (200, 400), (method, path)


async def test_each_scope_of_a_route_is_one_that_a_caller_may_have(client: Client) -> None:
    assert {scope for _, _, scopes in routes_of(client) for scope in scopes or ()} <= {*SCOPES, OWN}


async def test_every_route_refuses_callers_without_a_key_that_works_and_tells_them_no_more(
    client: Client, database: Database
) -> None:
    right = await new_key(database, "right", *ALL)
    yesterday = utc_now() - timedelta(days=1)
    expired = await new_key(database, "expired", *ALL, now=yesterday, lifetime=timedelta(hours=1))
    revoked = await new_key(database, "revoked", *ALL)
    await revoke_keys(database, "revoked", utc_now())
    wrong = right[:-1] + ("1" if right[-1] == "0" else "0")
    refused: list[dict[str, str]] = [
        {},
        *map(bearer, (expired, revoked, wrong, UNKNOWN, right[:-1], right + "0", right.upper(), "mak_", "")),
        {"Authorization": right},
        {"Authorization": f"Basic {right}"},
        {"X-API-Key": right},
    ]
    routes = [route for route in routes_of(client) if route[2] is not None]
    assert len(routes) > 40
    for method, path, _ in routes:
        answers = [await _answer(client, method, path, headers) for headers in refused]
        assert answers[0][0::2] == (401, "Bearer"), path
        assert method == "HEAD" or answers[0][1]["code"] == "unauthenticated"
        assert all(answer == answers[0] for answer in answers), path
        refused_too = (401, 403) if path not in OPERATORS_PATHS else (401,)
        assert (await _answer(client, method, path, bearer(right)))[0] not in refused_too, path


async def test_every_route_wants_its_scope_and_no_other_will_do(client: Client, database: Database) -> None:
    alone = {scope: bearer(await new_key(database, scope.replace(":", "."), scope)) for scope in SCOPES}
    others = {
        scopes: bearer(await new_key(database, f"others{number}", *without(scopes)))
        for number, scopes in enumerate({scopes for _, _, scopes in routes_of(client) if scopes})
    }
    for method, path, scopes in routes_of(client):
        if not scopes:
            continue
        status, body, _ = await _answer(client, method, path, others[scopes])
        assert status == 403, path
        if method != "HEAD":
            assert body["code"] == "not_allowed"
            assert body["detail"] == f"This needs the scope {' or '.join(s for s in scopes if s != OWN)}."
        for scope, headers in alone.items():
            status, _, _ = await _answer(client, method, path, headers)
            assert (status == 403) is (scope not in scopes), (path, scope)


async def test_no_route_takes_a_post_of_another_site_whoever_sends_it(client: Client, database: Database) -> None:
    key = bearer(await new_key(database, "all", *ALL))
    posts = [path for method, path, _ in routes_of(client) if method == "POST"]
    assert {"/transfer", "/signin", "/account/password"} <= set(posts)
    for path in posts:
        # The fast path takes only keys that were read within the last second.
        assert (await _answer(client, "POST", "/querorder", key))[0] == 400
        for caller in ({}, key):
            for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.test"}):
                status, body, _ = await _answer(client, "POST", path, {**caller, **headers})
                assert (status, body["code"]) == (403, "cross_site"), path


async def test_an_unknown_address_is_not_found_for_everybody(client: Client) -> None:
    assert (await _answer(client, "GET", "/nowhere", {}))[0] == 404
    assert (await _answer(client, "GET", "/transfer", {}))[0] == 405


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
async def test_the_scheme_is_read_as_http_says(client: Client, database: Database, scheme: str) -> None:
    key = await new_key(database, "shop", "orders:read")
    assert (await _answer(client, "POST", "/querorder", {"Authorization": f"{scheme} {key}"}))[0] == 400


async def test_a_service_with_keys_answers_by_any_name(client: Client, database: Database) -> None:
    key = await new_key(database, "shop", "orders:read")
    for headers, status in (({}, 401), (bearer(key), 400)):
        assert (await _answer(client, "POST", "/querorder", {**headers, "Host": "pay.example.com"}))[0] == status


async def test_the_body_of_a_refused_request_is_not_looked_at(client: Client) -> None:
    async with client.post("/recharge", data=b"{", headers={"Content-Type": "application/json"}) as response:
        assert response.status == 401


async def test_a_key_that_was_revoked_is_refused_a_second_later(client: Client, database: Database) -> None:
    key = bearer(await new_key(database, "shop", "orders:read"))
    assert (await _answer(client, "POST", "/querorder", key))[0] == 400
    await revoke_keys(database, "shop", utc_now())
    revoked_at = time.monotonic()
    while True:
        sent_at = time.monotonic()
        if (await _answer(client, "POST", "/querorder", key))[0] == 401:
            break
        assert sent_at < revoked_at + 1


async def test_guessing_keys_costs_the_database_at_most_a_query_a_second(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _answer(client, "POST", "/querorder", bearer(UNKNOWN))
    queries = _count_reads(client, monkeypatch)
    began = time.monotonic()
    for _ in range(300):
        assert (await _answer(client, "POST", "/querorder", bearer(UNKNOWN)))[0] == 401
    assert len(queries) <= 2 * (time.monotonic() - began) + 1


async def test_while_the_database_is_away_nobody_is_called_unknown(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = bearer(await new_key(database, "shop", "orders:read"))
    assert (await _answer(client, "POST", "/querorder", right))[0] == 400

    async def fail(*args: object, **options: object) -> list[KeyRow]:
        raise Unavailable("The database is away.")

    with monkeypatch.context() as patch:
        patch.setattr(client.server.app[authenticator_key]._database, "read", fail)  # type: ignore[attr-defined]
        # The keys that were read last still serve, for as long as this takes.
        patch.setattr(snapshots, "AGE_LIMIT_SECONDS", 600)
        assert (await _answer(client, "POST", "/querorder", right))[0] == 400
        await read_keys_again(client)
        for headers in (right, bearer(UNKNOWN)):
            status, body, challenge = await _answer(client, "POST", "/querorder", headers)
            assert (status, body["code"], challenge) == (503, "unavailable", "")
    await read_keys_again(client)
    assert (await _answer(client, "POST", "/querorder", right))[0] == 400


def _count_reads(client: Client, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return a list that gets an item with each read of keys from the service's database."""
    service = client.server.app[authenticator_key]._database  # type: ignore[attr-defined]
    read, counted = service.read, list[object]()

    async def count(work: Any, **options: Any) -> Any:
        # All else is the service's own.
        if "reserved" in options:
            counted.append(work)
        return await read(work, **options)

    monkeypatch.setattr(service, "read", count)
    return counted
