"""What operators may do by their roles, on each route of the table."""

from collections.abc import Iterator

import pytest

from myaccount.database.database import Database

from ..conftest import Client, Section
from ..helpers.callers import ALL, client_with, new_key, routes_of
from ..helpers.operators import new_operator, quick_passwords, signed_in
from ..helpers.wallets import post

# As docs/operations.rst has them.
READER = {"accounts:read", "orders:read", "messages:read"}
OPERATOR = READER | {
    "accounts:open", "accounts:manage", "money:in", "money:move", "money:out", "messages:write", "operate",
}  # fmt: skip
ROLES = {"reader": READER, "operator": OPERATOR, "admin": OPERATOR | {"admin"}}


@pytest.fixture
def queue() -> Section:
    return {"access": "keys"}


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with quick_passwords():
        yield


@pytest.mark.parametrize("role", ROLES)
async def test_each_route_is_there_for_the_roles_that_have_its_scope(
    client: Client, database: Database, role: str
) -> None:
    await new_operator(database, "alice", role)
    async with signed_in(client, "alice") as alice:
        for method, path, scopes in routes_of(client):
            if scopes:
                async with alice.request(method, path) as response:
                    # The others are told that fields are missing.
                    assert (response.status == 403) is ROLES[role].isdisjoint(scopes), (method, path)


@pytest.mark.parametrize("role", ROLES)
async def test_no_role_sees_a_whole_card_number(client: Client, database: Database, role: str) -> None:
    opening = {"userName": "N", "sex": "F", "cardNum": "6222020001", "accountId": "a1", "accountType": "01"}
    async with client_with(client, await new_key(database, "shop", *ALL)) as shop:
        assert (await post(shop, "/openacc", userId="u1", **opening)).code == "done"
    await new_operator(database, "alice", role)
    async with signed_in(client, "alice") as alice:
        (row,) = (await post(alice, "/queryacc", userId="u1")).body["result"]
    assert row["CARD_NUM"] == "******0001"
