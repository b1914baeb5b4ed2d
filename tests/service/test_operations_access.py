"""Who may read the metrics of a service with keys."""

from datetime import timedelta
from typing import Any

import pytest

from myaccount.access.key_rows import revoke_keys
from myaccount.access.scopes import SCOPES
from myaccount.appkeys import config_key
from myaccount.database.database import Database
from myaccount.database.times import utc_now

from ..conftest import Client, Section
from ..helpers.callers import ALL, bearer, new_key
from ..helpers.operators import new_operator, quick_passwords, sign_in
from ..helpers.servers import free_port


@pytest.fixture
def queue() -> Section:
    return {"access": "keys", "metrics": {"port": free_port()}}


async def _answer(client: Client, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """Return the status, and the body of an error."""
    port = client.server.app[config_key]["metrics"]["port"]  # type: ignore[attr-defined]
    async with client.session.get(f"http://127.0.0.1:{port}/metrics", headers=headers) as response:
        body = {} if response.status == 200 else await response.json(content_type=None)
        body.pop("request_id", None)
        return response.status, body


async def test_metrics_want_the_scope_operate_and_no_other_will_do(client: Client, database: Database) -> None:
    keys = {scope: bearer(await new_key(database, scope.replace(":", "."), scope)) for scope in SCOPES}
    others = bearer(await new_key(database, "others", *[scope for scope in SCOPES if scope != "operate"]))
    for scope, key in keys.items():
        assert (await _answer(client, key))[0] == (200 if scope == "operate" else 403), scope
    status, body = await _answer(client, others)
    assert (status, body["code"], body["detail"]) == (403, "not_allowed", "This needs the scope operate.")


async def test_a_key_that_does_not_work_is_answered_like_none(client: Client, database: Database) -> None:
    right = await new_key(database, "right", *ALL)
    yesterday = utc_now() - timedelta(days=1)
    expired = await new_key(database, "expired", *ALL, now=yesterday, lifetime=timedelta(hours=1))
    revoked = await new_key(database, "revoked", *ALL)
    await revoke_keys(database, "revoked", utc_now())
    wrong = right[:-1] + ("1" if right[-1] == "0" else "0")
    assert (await _answer(client, bearer(right)))[0] == 200
    without = await _answer(client, {})
    assert (without[0], without[1]["code"]) == (401, "unauthenticated")
    for key in (expired, revoked, wrong, right[:-1], ""):
        assert await _answer(client, bearer(key)) == without, key


async def test_an_operator_s_cookie_opens_nothing_on_that_port(client: Client, database: Database) -> None:
    """Browsers send a cookie to all ports of a host."""
    with quick_passwords():
        await new_operator(database, "alice", "admin")
        cookie = (await sign_in(client, "alice")).cookies["myaccount"].value
    headers = {"Cookie": f"myaccount={cookie}"}
    async with client.get("/account", headers=headers) as response:
        assert response.status == 200
    assert (await _answer(client, headers))[0] == 401
