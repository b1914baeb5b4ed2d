"""What tests do to the service and look at, over HTTP and in its tables."""

from typing import Any

from sqlalchemy import TextClause, select
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.database.database import Database
from myaccount.model.ledger import account, entry

from ..conftest import Client


async def open_users(client: Client, *user_ids: str) -> None:
    for user_id in user_ids:
        fields = {
            "userId": user_id, "userName": "N", "sex": "F", "cardNum": "6222", "accountId": f"a-{user_id}",
            "accountType": "01",
        }  # fmt: skip
        async with client.post("/openacc", data=fields) as response:
            assert response.status == 200, await response.text()


async def balance(client: Client, user_id: str) -> str:
    async with client.post("/queryacc", data={"userId": user_id}) as response:
        text: str = (await response.json())["result"][0]["ACCOUNTS"][0]["BALANCE"]
    return text


async def send(client: Client, path: str, **fields: str) -> tuple[int, dict[str, Any], bool]:
    """Return the status, the body, and whether it was a replay."""
    async with client.post(path, data=fields) as response:
        body = await response.json(content_type=None)
        return response.status, body, response.headers.get("Idempotent-Replayed") == "true"


async def transfer(client: Client, order_id: str, payer: str, payee: str, amount: str) -> tuple[int, str, bool]:
    status, body, replayed = await send(
        client, "/transfer", orderId=order_id, fromuserId=payer, touserId=payee, amount=amount
    )
    return status, body.get("code", "posted"), replayed


async def assert_books_balance(database: Database) -> None:
    """Check promises 2 and 3 on the tables."""

    async def work(connection: Any) -> tuple[dict[int, tuple[int, int | None]], dict[int, int]]:
        held = {row.id: (row.balance, row.floor) for row in await connection.execute(select(account))}
        moved = dict.fromkeys(held, 0)
        for row in await connection.execute(select(entry)):
            moved[row.account] += row.amount
        return held, moved

    held, moved = await database.read(work)
    assert {key: balance for key, (balance, _) in held.items()} == moved
    assert sum(moved.values()) == 0
    assert all(floor is None or balance >= floor for balance, floor in held.values())


async def first_row(connection: AsyncConnection, query: TextClause) -> tuple[Any, ...] | None:
    """Return the first row of a query."""
    row = (await connection.execute(query)).first()
    return tuple(row) if row else None
