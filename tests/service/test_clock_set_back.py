"""What has ended by the clock stays so when all clocks go back an hour, also after a restart."""

import sys
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.access import signing
from myaccount.access.signing import follow_time
from myaccount.appkeys import authenticator_key
from myaccount.database.database import Database
from myaccount.database.times import utc_now
from myaccount.main import create_app
from myaccount.settings.schema import Config

from ..conftest import Client, ClientOf, Section, Server
from ..helpers.callers import ALL, bearer, client_with, new_key, read_keys_again
from ..helpers.operators import new_operator, quick_passwords, signed_in
from ..helpers.wallets import open_account, post

HOUR = timedelta(hours=1)
# Each of them ends earlier: the session because nobody uses it.
LATER = timedelta(minutes=31)


@pytest.fixture
def queue() -> Section:
    return {"access": "keys"}


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with quick_passwords():
        yield


def _set_clocks(monkeypatch: pytest.MonkeyPatch, time: datetime) -> None:
    """Set the database's clock, and this machine's."""
    read_times = signing._times

    async def times(connection: AsyncConnection) -> tuple[datetime, datetime]:
        return (await read_times(connection))[0], time

    monkeypatch.setattr(signing, "_times", times)
    for name, module in list(sys.modules.items()):
        if name.startswith("myaccount.") and hasattr(module, "utc_now"):
            monkeypatch.setattr(module, "utc_now", lambda: time)


async def _statuses(client: Client, sent: list[dict[str, str]]) -> list[int]:
    """Return the statuses of a page with each of these headers."""
    found = []
    for headers in sent:
        async with client.get("/errors", headers=headers) as response:
            found.append(response.status)
    return found


async def test_keys_tokens_and_sessions_that_have_ended_stay_so_when_the_clocks_go_back_an_hour(
    client: Client, config: Config, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = utc_now()
    shop = await new_key(database, "shop", *ALL)
    ending = await new_key(database, "ending", *ALL, lifetime=HOUR / 2)
    await new_operator(database, "alice")
    async with client_with(client, shop) as own, signed_in(client, "alice") as alice:
        await open_account(own, "u1", "a1")
        token = (await post(own, "/usertoken", userId="u1", expiresIn=1800)).body["TOKEN"]
        (cookie,) = alice.session.cookie_jar
    sent = [bearer(shop), bearer(ending), bearer(token), {"Cookie": f"{cookie.key}={cookie.value}"}]
    assert await _statuses(client, sent) == [200, 200, 200, 200]
    clock = (await client.server.app[authenticator_key].signing()).clock  # type: ignore[attr-defined]
    for time in (now + LATER, now + LATER - HOUR):
        _set_clocks(monkeypatch, time)
        # As each process does every half minute.
        await follow_time(database, clock)
        await read_keys_again(client)
        assert await _statuses(client, sent) == [200, 401, 401, 401], time
    async with Server(create_app(config)) as server, ClientOf(server) as restarted:
        assert await _statuses(restarted, sent) == [200, 401, 401, 401]
