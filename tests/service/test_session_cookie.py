"""The session's cookie is found by its exact name, as browsers join cookies: no sibling site sets another."""

from collections.abc import AsyncIterator, Iterator

import pytest
from aiohttp import DummyCookieJar

from myaccount.database.database import Database

from ..conftest import Client, ClientOf, Section
from ..helpers.operators import new_operator, quick_passwords, sign_in

# What a page of a sibling name can set, since to a browser it is a cookie of another name.
DISGUISES = (
    "a=b {}", "a=b\t{}", "a=b, {}", 'a="b" {}', '"{}"', "$Version=1 {}", "$Version=1, {}",
    "\u2000{}", "\xa0{}", "\u3000{}", "\u2028{}", "\x85{}", "\u200b{}", "=", "a={}",
)  # fmt: skip


@pytest.fixture
def backend() -> Section:
    """How a cookie is read does not depend on the database."""
    return {}


@pytest.fixture
def queue() -> Section:
    return {"access": "keys", "trusted_proxies": ["127.0.0.1"]}


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with quick_passwords():
        yield


@pytest.fixture
async def client(client: Client) -> AsyncIterator[Client]:
    """A client that keeps no cookie."""
    async with ClientOf(client.server, cookie_jar=DummyCookieJar()) as client:
        yield client


@pytest.fixture(params=["myaccount", "__Host-myaccount"])
async def cookies(client: Client, database: Database, request: pytest.FixtureRequest) -> tuple[str, str]:
    """The cookies of the operators alice and mallory, as a browser sends them without and with TLS."""
    made = []
    for name in ("alice", "mallory"):
        await new_operator(database, name)
        value = (await sign_in(client, name)).cookies["myaccount"].value
        made.append(f"{request.param}={value}")
    return made[0], made[1]


async def _operator(client: Client, *headers: str) -> str | None:
    """Return whom the service takes for the sender of these Cookie headers."""
    secure = any("__Host-" in header for header in headers)
    sent = [("Cookie", header) for header in headers] + [("X-Forwarded-Proto", "https")] * secure
    async with client.get("/account", headers=sent) as response:
        if response.status == 401:
            return None
        text = await response.text()
    return "mallory" if "mallory" in text else "alice"


async def test_the_cookie_is_found_among_others(client: Client, cookies: tuple[str, str]) -> None:
    alice, _ = cookies
    for headers in (
        [alice], [f"a=b; {alice}"], [f"{alice}; a=b"], [f"a=b;{alice};c"], [f"; ; =; a=b;\t {alice} \t;"],
        ["a=b", alice], [alice, "a=b"],
    ):  # fmt: skip
        assert await _operator(client, *headers) == "alice", headers


@pytest.mark.parametrize("disguise", DISGUISES)
async def test_a_cookie_of_another_name_neither_signs_in_nor_out(
    client: Client, cookies: tuple[str, str], disguise: str
) -> None:
    alice, mallory = cookies
    other = disguise.format(mallory)
    assert await _operator(client, other) is None
    for headers in ([f"{alice}; {other}"], [f"{other}; {alice}"], [alice, other], [other, alice]):
        assert await _operator(client, *headers) == "alice", headers


async def test_the_name_is_compared_exactly(client: Client, cookies: tuple[str, str]) -> None:
    name, _, value = cookies[0].partition("=")
    for other in (name.upper(), f"{name} ", f"{name}2", f"x{name}", f'"{name}"', name.replace("m", "\uff4d")):
        assert await _operator(client, f"{other}={value}") is None, other


async def test_of_two_cookies_of_the_name_none_counts(client: Client, cookies: tuple[str, str]) -> None:
    alice, mallory = cookies
    for first, second in ((alice, mallory), (mallory, alice), (alice, alice)):
        assert await _operator(client, f"{first}; {second}") is None
        assert await _operator(client, first, second) is None
