"""To a user's token, what is another user's is answered like what is not there, on each route of the table."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import pytest

from myaccount.access.authorisation import STREAM_PATH
from myaccount.access.scopes import OWN
from myaccount.appkeys import config_key
from myaccount.controller.operation import Operation
from myaccount.database.database import Database
from myaccount.routes import ROUTES

from ..conftest import Client, Section, eventually
from ..helpers.callers import ALL, OPERATORS_PATHS, client_with, new_key, routes_of
from ..helpers.servers import free_port
from ..helpers.statements import statements_by_request
from ..helpers.wallets import open_account, post

# The user whose token it is has the id u3.
OWN_IDS: Final = {"userId": "u3", "accountId": "a3", "orderId": "o3", "teamId": "t3"}
OTHERS_IDS: Final = {"userId": "u1", "accountId": "a1", "orderId": "o1", "teamId": "t1"}
ABSENT_IDS: Final = {"userId": "u9", "accountId": "a9", "orderId": "o9", "teamId": "t9"}
# What a route may be asked for beside the ids and its required fields.
FURTHER: Final[Mapping[str, Sequence[dict[str, str]]]] = {
    "/messages/read": ({"upTo": "7"}, {"nids": "1"}),
    "/messages": ({}, {"pageNo": "2"}, {"unread": "true"}),
}
# Of a reply's headers, these differ from request to request. The length does, since the text has the request's id.
CHANGING: Final = {"X-Request-ID", "Date", "Content-Length"}


@pytest.fixture
def queue() -> Section:
    return {"access": "keys", "metrics": {"port": free_port()}}


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str
    # What was sent to the database for it.
    statements: Sequence[str]

    def with_id(self, old: str, new: str) -> "Reply":
        """Return the same about another id."""
        statements = [statement.replace(old, new) for statement in self.statements]
        return self._replace(text=self.text.replace(old, new), statements=statements)


@pytest.fixture
async def shop(client: Client, database: Database) -> AsyncIterator[Client]:
    """A client whose key may do everything. u1 and u3 each have an account, an order, messages and a team."""
    async with client_with(client, await new_key(database, "all", *ALL)) as shop:
        for n in "13":
            await open_account(shop, f"u{n}", f"a{n}")
            assert (await post(shop, "/recharge", orderId=f"o{n}", userId=f"u{n}", amount="5")).code == "done"
            assert (await post(shop, "/team", teamId=f"t{n}", teamName="T", add=[f"u{n}"])).code == "done"
            assert (await post(shop, "/teammessage", teamId=f"t{n}", title="T", text="x")).code == "done"
        await eventually(lambda: _have_messages(shop))
        yield shop


async def _have_messages(shop: Client) -> bool:
    """Whether each has those of the opening and the recharge, and the team's."""
    own = [(await post(shop, "/messages", userId=f"u{n}")).body["total"] for n in "13"]
    teams = [(await post(shop, "/teammessages", userId=f"u{n}", teamId=f"t{n}")).body["total"] for n in "13"]
    return own == [2, 2] and teams == [1, 1]


@pytest.fixture
async def app(shop: Client) -> AsyncIterator[Client]:
    """A client with the token of u3."""
    token = (await post(shop, "/usertoken", userId="u3")).body["TOKEN"]
    async with client_with(shop, token) as app:
        yield app


async def _ask(
    app: Client, method: str, path: str, fields: Mapping[str, str], statements: Mapping[str, Sequence[str]]
) -> Reply:
    sent: dict[str, Any] = {"data": fields} if method == "POST" else {"params": fields}
    async with app.request(method, path, **sent) as response:
        # A stream never ends.
        text = "" if response.content_type == "text/event-stream" else await response.text()
        id_ = response.headers["X-Request-ID"]
        headers = {name: value for name, value in response.headers.items() if name not in CHANGING}
        return Reply(response.status, headers, text.replace(id_, "-"), statements[id_])


def _probes(operation: Operation[Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Give each field that has an id, and all that is sent beside it."""
    for name in operation.fields.keys() & OWN_IDS:
        needed = operation._required - {name}
        # An inbox's team is read by one of its users.
        beside = {other: OWN_IDS.get(other, operation.fields[other].example) for other in needed}
        for further in FURTHER.get(operation.path, ({},)):
            if name != "teamId" or "upTo" in further:
                yield name, beside | further


def _own_routes() -> list[Any]:
    return [
        pytest.param(method, route.operation, id=f"{method} {route.operation.path}")
        for route in ROUTES
        if OWN in route.operation.scopes
        for method in route.methods
    ]


@pytest.mark.parametrize(("method", "operation"), _own_routes())
async def test_what_is_another_users_is_answered_like_what_is_not_there_by_the_same_statements(
    app: Client, shop: Client, method: str, operation: Operation[Any]
) -> None:
    probes = list(_probes(operation))
    assert probes
    with statements_by_request() as statements:
        for name, beside in probes:

            async def ask(id_: str) -> Reply:
                return await _ask(app, method, operation.path, {**beside, name: id_}, statements)  # noqa: B023

            hidden, absent = await ask(OTHERS_IDS[name]), await ask(ABSENT_IDS[name])
            assert hidden == absent.with_id(ABSENT_IDS[name], OTHERS_IDS[name])
            assert "SELECT" in str(hidden.statements)
            # A request that is answered otherwise if it is about one's own.
            own = await ask(OWN_IDS[name])
            assert own.status == 200
            assert own.text != hidden.text or own.status != hidden.status
    # Nothing of the other user's was marked.
    inbox = (await post(shop, "/messages", userId="u1")).body
    assert inbox["unread"] == inbox["total"]


async def test_a_token_in_the_address_shows_no_more(client: Client, app: Client) -> None:
    token = app.session.headers["Authorization"].removeprefix("Bearer ")
    with statements_by_request() as statements:
        hidden, absent = [
            await _ask(client, "GET", STREAM_PATH, {"userId": user, "token": token}, statements)
            for user in ("u1", "u9")
        ]
        assert hidden == absent.with_id("u9", "u1")
        assert hidden.status == 404


async def test_a_token_opens_no_other_route(app: Client) -> None:
    for method, path, scopes in routes_of(app):
        async with app.request(method, path) as response:
            is_refused = response.status == 403
        # Pages have nothing of anybody.
        may_use = scopes is None or OWN in scopes or (scopes == () and path not in OPERATORS_PATHS)
        assert is_refused is not may_use, (method, path)
    port = app.server.app[config_key]["metrics"]["port"]  # type: ignore[attr-defined]
    async with app.session.get(f"http://127.0.0.1:{port}/metrics") as response:
        assert response.status == 403
