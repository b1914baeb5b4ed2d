"""What tests of accounts, holds and bulks send, and see in replies."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.database.database import Database, DriverConnection

from ..conftest import Client


class Answer(NamedTuple):
    """A reply: its status, its body, and whether it was a replay."""

    status: int
    body: dict[str, Any]
    replayed: bool = False

    @property
    def code(self) -> str:
        """The error code or, for a success, `done`."""
        code: str = self.body.get("code", "done")
        return code

    @property
    def field(self) -> str | None:
        return self.body.get("field")


async def post(client: Client, path: str, **fields: object) -> Answer:
    """Send the fields as JSON, without those that are None. A trailing underscore of a name is left out."""
    sent = {name.removesuffix("_"): value for name, value in fields.items() if value is not None}
    async with client.post(path, json=sent) as response:
        body = await response.json(content_type=None)
        return Answer(response.status, body, response.headers.get("Idempotent-Replayed") == "true")


async def open_account(client: Client, user_id: str, account_id: str, currency: str | None = None) -> None:
    answer = await post(
        client, "/openacc", userId=user_id, userName="N", sex="F", cardNum="6222", accountId=account_id,
        accountType="01", currency=currency,
    )  # fmt: skip
    assert answer.status == 200, answer


async def add_account(client: Client, user_id: str, account_id: str, currency: str | None = None) -> Answer:
    return await post(
        client, "/addaccount", userId=user_id, accountId=account_id, accountType="02", currency=currency
    )


async def accounts_of(client: Client, user_id: str) -> dict[str, dict[str, Any]]:
    """Return the user's accounts by id, oldest first."""
    answer = await post(client, "/queryacc", userId=user_id)
    return {row["ACCOUNT_ID"]: row for row in answer.body["result"][0]["ACCOUNTS"]}


async def balances(client: Client, user_id: str) -> dict[str, str]:
    """Return the balances of the user's accounts by account id, oldest first."""
    return {account_id: row["BALANCE"] for account_id, row in (await accounts_of(client, user_id)).items()}


async def query_order(client: Client, order_id: str) -> dict[str, Any]:
    answer = await post(client, "/querorder", orderId=order_id)
    assert answer.status == 200, answer
    return answer.body


class Forgetful(Database):
    """A database whose first commit of each transaction gets no answer, so that it is run again."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.embedded = database.embedded

    async def write(self, work: Callable[[AsyncConnection], Awaitable[Any]]) -> Any:
        await self._database.write(work)
        return await self._database.write(work)

    async def write_on_driver(
        self, work: Callable[[DriverConnection], Awaitable[Any]], *, beside_orders: bool = False
    ) -> Any:
        await self._database.write_on_driver(work, beside_orders=beside_orders)
        return await self._database.write_on_driver(work, beside_orders=beside_orders)
