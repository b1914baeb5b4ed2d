"""Many pages of inboxes at the same time: none is refused, and each is answered as alone."""

import asyncio
from collections.abc import Collection
from typing import Any

import pytest
from aiohttp import TCPConnector

from myaccount.database.database import Database
from myaccount.inbox import page_queries
from myaccount.inbox.page_statements import Inbox, find_counters

from ..conftest import Client, ClientOf
from ..helpers.inboxes import Row, add_team, add_users, mark, new_message, write
from ..helpers.inboxes import post_json as post

READERS = [f"u{n}" for n in range(64)]


@pytest.fixture
async def filled(client: Client, database: Database) -> None:
    """Each reader has some messages, and half of them are in a team with more."""
    await add_users(database, *READERS)
    await add_team(database, "x", *READERS[::2])
    await write(database, *[new_message(reader, f"{reader}-{n}") for reader in READERS for n in range(3)])
    team = [new_message(reader, f"x-{reader}-{n}", team_id="x") for reader in READERS[::2] for n in range(2)]
    await write(database, *team)
    await mark(client, userId="u0", upTo=2**62)


def _requests() -> list[tuple[str, Row]]:
    """Return 256 requests for pages, also such as nobody may see."""
    return [
        request
        for n, reader in enumerate(READERS)
        for request in (
            ("/messages", {"userId": reader}),
            ("/messages", {"userId": reader, "pageSize": n % 3 + 1, "unread": n % 2 == 0}),
            ("/messages", {"userId": f"no-{reader}" if n % 4 == 0 else reader, "pageNo": n % 3 + 1}),
            ("/teammessages", {"userId": reader, "teamId": "y" if n % 8 == 0 else "x"}),
        )
    ]


def _without_id(reply: tuple[int, dict[str, Any]]) -> tuple[int, dict[str, Any]]:
    return reply[0], {name: value for name, value in reply[1].items() if name != "request_id"}


@pytest.mark.usefixtures("filled")
async def test_256_pages_at_once_are_answered_as_each_alone_and_with_few_statements(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = _requests()
    alone = [_without_id(await post(client, path, fields)) for path, fields in requests]
    asked: list[int] = []

    async def counted(connection: Any, inboxes: Collection[Inbox], *before: Any) -> Any:
        asked.append(len(inboxes))
        return await find_counters(connection, inboxes, *before)

    monkeypatch.setattr(page_queries, "find_counters", counted)
    async with ClientOf(client.server, connector=TCPConnector(limit=0)) as many:
        replies = await asyncio.gather(*[post(many, path, fields) for path, fields in requests])
    assert [_without_id(reply) for reply in replies] == alone
    assert {status for status, _ in replies} == {200, 403, 404}
    # While some are read, others arrive.
    assert len(asked) < len(requests) / 4
