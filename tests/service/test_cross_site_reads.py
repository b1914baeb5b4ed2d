"""A page of another site reads nothing, and does not learn from the status of a reply what there is."""

import pytest

from myaccount.database.database import Database
from myaccount.main import create_app
from myaccount.settings.schema import Config

from ..conftest import Client, ClientOf, Section, Server
from ..helpers.actions import open_users
from ..helpers.callers import ALL, new_key, routes_of
from .test_guard import Reply, _ask

SITE = "Sec-Fetch-Site: {}"
OTHERS = ("cross-site", "same-site", "", "Same-Origin", "none, cross-site")
HAVE_DATA = {"/accountlog", "/audit", "/messages", "/messages/stream", "/teammessages"}


@pytest.fixture
def backend() -> Section:
    """The guard does not look at the database."""
    return {}


async def _get(client: Client, target: str, *fields: str, method: str = "GET") -> Reply:
    return await _ask(client, f"{method} {target} HTTP/1.1", "Host: localhost", *fields)


@pytest.mark.parametrize("site", OTHERS)
async def test_another_site_does_not_learn_which_users_there_are(client: Client, site: str) -> None:
    await open_users(client, "u1")
    for path in ("/messages", "/messages/stream"):
        for user in ("u1", "nobody"):
            reply = await _get(client, f"{path}?userId={user}", SITE.format(site))
            assert (reply.status, reply.code) == (403, "cross_site"), user
            assert (await _get(client, f"{path}?userId={user}", SITE.format(site), method="HEAD")).status == 403


async def test_the_service_s_own_pages_and_clients_that_are_no_browsers_read(client: Client) -> None:
    await open_users(client, "u1")
    for fields in ((), (SITE.format("same-origin"),), (SITE.format("none"),)):
        assert (await _get(client, "/messages?userId=u1", *fields)).status == 200
        assert (await _get(client, "/messages?userId=nobody", *fields)).status == 404


@pytest.mark.parametrize("access", ["open", "keys"])
async def test_each_route_with_data_is_guarded_and_no_page_is(config: Config, access: str) -> None:
    async with Server(create_app({**config, "access": access})) as server, ClientOf(server) as client:
        paths = {path for method, path, _ in routes_of(client) if method == "GET"}
        assert paths > HAVE_DATA
        for path in paths:
            status = (await _get(client, path, SITE.format("cross-site"))).status
            assert (status == 403) is (path in HAVE_DATA), path


async def test_with_keys_the_reply_to_another_site_does_not_depend_on_who_asks(
    config: Config, database: Database
) -> None:
    key = await new_key(database, "all", *ALL)
    async with Server(create_app({**config, "access": "keys"})) as server, ClientOf(server) as client:
        for field in ("Cookie: myaccount=x", f"Authorization: Bearer {key}"):
            assert (await _get(client, "/audit", SITE.format("same-site"), field)).code == "cross_site"


async def test_no_page_of_another_site_may_use_a_reply(client: Client) -> None:
    """Also where browsers do not say which site it is: over plain HTTP from another machine."""
    await open_users(client, "u1")
    for path in ("/", "/static/style.css", "/messages?userId=u1", "/messages?userId=nobody", "/nowhere"):
        async with client.get(path) as response:
            assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin", path
