"""Writes and reads inboxes and teams for tests."""

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Table, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.database.database import Database
from myaccount.database.pipeline import run_pipeline
from myaccount.inbox.catch_up import CatchUp
from myaccount.inbox.writing import NewMessage, write_messages
from myaccount.model.inbox import message, team_member
from myaccount.model.inbox import team as team_table
from myaccount.model.ledger import user
from myaccount.model.outbox import event

from ..conftest import Client, eventually

Row = dict[str, Any]
Page = dict[str, Any]

# Types with a template, which messages of accounts need.
TYPES = ("recharge", "transfer_out", "transfer_in", "decline", "account_opened")

_NOW = datetime(2026, 1, 2, 3, 4, 5)
_BODY = {
    "orderId": "o", "accountId": "a", "amount": "1.00", "currency": "CNY", "balance": "1.00", "reason": "none",
    "fromUserName": "N", "toUserName": "N",
}  # fmt: skip


async def until_dispatched(database: Database) -> None:
    """Wait until all events are dispatched."""
    waiting = select(func.count()).select_from(event)

    async def dispatched() -> bool:
        return await database.read(lambda connection: connection.scalar(waiting)) == 0

    await eventually(dispatched)


async def read_inboxes(database: Database) -> list[Any]:
    """Return all messages, once each user's inbox was read: then it has those about all entries."""
    catch_up = CatchUp(database)
    readers = await database.read(lambda connection: connection.execute(select(user.c.user_id)))
    await asyncio.gather(*map(catch_up.inbox, readers.scalars()))
    return await rows_of(database, message)


async def eventually_told(database: Database, count: int) -> None:
    """Wait until there are so many messages, and no event is left."""

    async def told() -> bool:
        return len(await read_inboxes(database)) == count

    await eventually(told)
    await until_dispatched(database)


async def read_page(client: Client, path: str = "/messages", **query: str) -> Page:
    async with client.get(path, params=query) as response:
        page: Page = await response.json(content_type=None)
        assert response.status == 200, page
    return page


async def nids(client: Client, path: str = "/messages", **query: str) -> list[int]:
    return [row["NID"] for row in (await read_page(client, path, **query))["result"]]


async def post_json(client: Client, path: str, fields: Mapping[str, object]) -> tuple[int, dict[str, Any]]:
    async with client.post(path, json=fields) as response:
        return response.status, await response.json(content_type=None)


async def mark(client: Client, **fields: object) -> int:
    status, reply = await post_json(client, "/messages/read", fields)
    assert (status, reply["result"]) == (200, 1), reply
    marked: int = reply["marked"]
    return marked


async def add_users(database: Database, *user_ids: str) -> None:
    """Insert users with empty inboxes, since no event announces them."""
    rows = [
        {"user_id": id_, "user_name": "N", "sex": "F", "card_num": "1", "created_at": _NOW} for id_ in user_ids
    ]
    await database.write(lambda connection: connection.execute(insert(user), rows))


async def add_team(database: Database, team_id: str, *members: str) -> None:
    async def work(connection: AsyncConnection) -> None:
        await connection.execute(insert(team_table), {"team_id": team_id, "team_name": "T", "created_at": _NOW})
        if members:
            await connection.execute(insert(team_member), [{"team_id": team_id, "user_id": m} for m in members])

    await database.write(work)


def new_message(
    reader_id: str, source: int | str, message_type: str = "recharge", *, team_id: str = "", own: bool = True
) -> NewMessage:
    return NewMessage(
        reader_id=reader_id,
        message_type=message_type,
        source_id=f"s{source}",
        user_id=reader_id if own else "someone",
        user_name="N",
        receiver_id="",
        body=json.dumps(_BODY),
        created_at=_NOW,
        team_id=team_id,
        team_name="T" if team_id else "",
    )


async def write(database: Database, *messages: NewMessage) -> None:
    async def work(connection: AsyncConnection) -> None:
        await run_pipeline(connection, *write_messages(connection, messages))

    await database.write(work)


async def rows_of(database: Database, table: Table) -> list[Any]:
    return list(await database.read(lambda connection: connection.execute(select(table))))


async def mixed_inbox(client: Client, database: Database) -> list[Row]:
    """Give u1 messages of the account and of two teams, of two types, own and others',
    read and unread; return all of them in the order in which an inbox is read."""
    await add_users(database, "u1", "u2")
    for team_id in ("x", "y"):
        await add_team(database, team_id, "u1", "u2")
    await write(
        database,
        *[
            new_message(reader, f"{reader}-{n}", TYPES[n // 4 % 2], team_id=("", "x", "y")[n // 8],
                        own=n // 2 % 2 == 0)
            for n in range(24) for reader in ("u1", "u2")
        ],
    )  # fmt: skip
    rows = [row for query in ({"path": "/messages"}, *[{"path": "/teammessages", "teamId": t} for t in "xy"])
            for row in (await read_page(client, userId="u1", **query))["result"]]  # fmt: skip
    assert len(rows) == 24
    marked = [row for row in rows if row["NID"] % 4 < 2]
    await mark(client, userId="u1", nids=[row["NID"] for row in marked])
    for row in marked:
        row["READ"] = True
    return sorted(rows, key=lambda row: (row["READ"], -row["NID"]))
