"""Few requests of one user's token are under way at once; other users and keys do not notice."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from myaccount.access import turns as turns_module
from myaccount.access.turns import AT_ONCE, Turns
from myaccount.appkeys import authenticator_key
from myaccount.database.database import Database
from myaccount.errors import RateLimited

from ..conftest import Client, Section, eventually
from ..helpers.callers import ALL, bearer, client_with, new_key
from ..helpers.wallets import open_account, post

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def queue() -> Section:
    return {"access": "keys"}


async def _late(complete: asyncio.Event) -> AsyncIterator[bytes]:
    """A body whose end comes late."""
    yield b"userId="
    await complete.wait()
    yield b"u1"


async def test_one_user_does_not_hold_up_others(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns_module, "REQUESTS_LIMIT", AT_ONCE)
    key = await new_key(database, "all", *ALL)
    headers = {}
    async with client_with(client, key) as shop:
        for user in ("u1", "u2"):
            await open_account(shop, user, f"a-{user}")
            token = (await post(shop, "/usertoken", userId=user)).body["TOKEN"]
            headers[user] = {"Authorization": f"Bearer {token}"}

    async def ask(headers: dict[str, str], data: object) -> int:
        async with client.post("/queryacc", data=data, headers=headers) as response:
            if response.status == 429:
                assert response.headers["Retry-After"] == "1"
                assert (await response.json(content_type=None))["code"] == "rate_limited"
            return response.status

    lines = client.server.app[authenticator_key].turns._lines  # type: ignore[attr-defined]
    # It has no turn, so it does not count.
    async with client.get("/messages/stream", params={"userId": "u1"}, headers=headers["u1"]) as stream:
        assert stream.status == 200
        complete = asyncio.Event()
        begun = [asyncio.create_task(ask({**headers["u1"], **FORM}, _late(complete))) for _ in range(AT_ONCE)]
        await eventually(lambda: "u1" in lines and lines["u1"].requests == AT_ONCE)
        assert await ask(headers["u1"], {"userId": "u1"}) == 429
        assert await ask(headers["u2"], {"userId": "u2"}) == 200
        assert await ask(bearer(key), {"userId": "u1"}) == 200
        complete.set()
        assert await asyncio.gather(*begun) == [200] * AT_ONCE
        assert await ask(headers["u1"], {"userId": "u1"}) == 200
    assert not lines


async def test_a_request_waits_for_its_turn_but_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    turns, order = Turns(), []

    async def take(name: str) -> None:
        async with turns.turn("u1"):
            order.append(name)

    async with turns.turn("u1"), turns.turn("u1"):
        monkeypatch.setattr(turns_module, "PATIENCE_SECONDS", 0.01)
        with pytest.raises(RateLimited):
            await take("too late")
        monkeypatch.setattr(turns_module, "PATIENCE_SECONDS", 60)
        waiting = asyncio.create_task(take("waiting"))
        await eventually(lambda: turns._lines["u1"].requests == AT_ONCE + 1)
        order.append("first")
    await waiting
    assert order == ["first", "waiting"]
    assert not turns._lines
