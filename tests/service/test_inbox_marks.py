"""Marking messages as read, also while others read or mark the same inbox, on both backends."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.appkeys import page_queries_key
from myaccount.database.database import Database
from myaccount.database.pipeline import run_pipeline
from myaccount.inbox import page_queries
from myaccount.inbox import reading as messages_module
from myaccount.inbox.known_pages import KnownPages
from myaccount.inbox.reading import MARKS_AT_ONCE, Marker
from myaccount.model.inbox import message

from ..conftest import Client, Section, eventually
from ..helpers.actions import send
from ..helpers.inboxes import TYPES, add_users, mark, mixed_inbox, new_message, nids, read_page, rows_of, write


async def test_messages_are_marked_once_and_those_of_another_reader_never(
    client: Client, database: Database
) -> None:
    await add_users(database, "u1", "u2")
    await write(database, *[new_message(reader, f"{reader}{n}") for n in range(4) for reader in ("u1", "u2")])
    mine, others = await nids(client, userId="u1"), await nids(client, userId="u2")
    assert await mark(client, userId="u1", nids=[mine[0], str(mine[1]), mine[1], others[0], 2**63 - 2]) == 2
    assert await mark(client, userId="u1", nids=[mine[0], mine[2], *others]) == 1
    assert await mark(client, userId="u1", nids=mine[:3]) == 0
    assert await mark(client, userId="u1", nids=[]) == 0
    _, reply, _ = await send(client, "/messages/read", userId="u2", nids=f" {others[3]}\n{mine[3]} {others[1]} ")
    assert reply == {"result": 1, "marked": 2}
    unread = {user: await nids(client, userId=user, unread="true") for user in ("u1", "u2")}
    assert unread == {"u1": mine[3:], "u2": [others[0], others[2]]}
    assert (await read_page(client, userId="u1"))["unread"] == 1
    assert (await read_page(client, userId="u2"))["unread"] == 2


async def test_as_many_nids_as_fit_into_a_body_are_accepted(client: Client, database: Database) -> None:
    await add_users(database, "u1")
    await write(database, new_message("u1", 1))
    (nid,) = await nids(client, userId="u1")
    assert await mark(client, userId="u1", nids=[*range(10_000, 12_000), nid, *range(12_000, 12_300)]) == 1


async def test_all_up_to_a_message_are_marked_and_those_that_came_later_are_not(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So few that it takes several transactions.
    monkeypatch.setattr(messages_module, "MARK_LIMIT", 3)
    await add_users(database, "u1", "u2")
    await write(database, *[new_message(u, f"{u}{n}", TYPES[n % 2]) for n in range(12) for u in ("u1", "u2")])
    mine = await nids(client, userId="u1")
    assert await mark(client, userId="u1", upTo=0) == 0
    assert await mark(client, userId="u1", upTo=mine[2]) == 10
    assert await mark(client, userId="u1", upTo=mine[2]) == 0
    page = await read_page(client, userId="u1", unread="true")
    assert ([row["NID"] for row in page["result"]], page["total"]) == (mine[:2], 2)
    _, reply, _ = await send(client, "/messages/read", userId="u1", upTo=str(2**63 - 2))
    assert reply == {"result": 1, "marked": 2}
    assert (await read_page(client, userId="u2"))["unread"] == 12


async def test_marking_a_team_marks_neither_the_account_nor_other_teams(
    client: Client, database: Database
) -> None:
    mixed = await mixed_inbox(client, database)
    unread = {team: [row["NID"] for row in mixed if row["TEAM_ID"] == team and not row["READ"]]
              for team in (None, "x", "y")}  # fmt: skip
    newest = max(row["NID"] for row in mixed)
    assert await mark(client, userId="u1", teamId="x", upTo=newest) == len(unread["x"])
    assert await mark(client, userId="u1", upTo=newest) == len(unread[None])
    left = select(message.c.id).where(message.c.reader_id == "u1", message.c.unread).order_by(message.c.id.desc())
    assert list(await database.read(lambda connection: connection.scalars(left))) == unread["y"]
    assert await nids(client, "/teammessages", userId="u1", teamId="y", unread="true") == unread["y"]


@pytest.mark.parametrize("number", [None, "1"])
async def test_a_page_shows_one_moment_also_if_messages_are_marked_while_it_is_read(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch, number: str | None
) -> None:
    await add_users(database, "u1")
    await write(database, *[new_message("u1", n) for n in range(8)])
    query = {"userId": "u1", "pageSize": "4"} | ({"pageNo": number} if number else {})
    before = await read_page(client, **query)
    marked: list[int] = []

    async def interrupted(*statements: Any) -> list[list[Any]]:
        if not marked:
            marked.extend(row["NID"] for row in before["result"])
            assert await Marker(database).mark_messages("u1", marked) == 4
        return await run_pipeline(*statements)

    with monkeypatch.context() as patch:
        patch.setattr(client.app[page_queries_key], "_known", KnownPages())
        # After the messages were counted.
        patch.setattr(page_queries, "run_pipeline", interrupted)
        assert await read_page(client, **query) == before
    assert marked
    after = await read_page(client, **query)
    assert (after["unread"], [row["READ"] for row in after["result"]]) == (4, [False] * 4)
    rest = await nids(client, userId="u1", before=before["before"])
    assert {*marked, *rest} == {row["NID"] for row in [*before["result"], *after["result"]]}


class Writes:
    """Holds the transactions of a database back until `free` is set, and counts them."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self._write = database.write
        self.free = asyncio.Event()
        self.begun = self.under_way = self.most = 0
        monkeypatch.setattr(database, "write", self.write)

    async def write(self, work: Callable[[AsyncConnection], Awaitable[Any]]) -> Any:
        self.begun += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.free.wait()
        try:
            return await self._write(work)
        finally:
            self.under_way -= 1


async def test_marks_of_one_inbox_wait_for_each_other_and_not_for_other_inboxes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_users(database, "u1", "u2")
    await write(database, *[new_message(user, f"{user}{n}") for n in range(4) for user in ("u1", "u2")])
    mine = [row.id for row in await rows_of(database, message) if row.reader_id == "u1"]
    marker, writes = Marker(database), Writes(database, monkeypatch)
    marks = [
        asyncio.create_task(marker.mark_messages("u1", mine[:1])),
        *[asyncio.create_task(marker.mark_all("u1", "", mine[-1])) for _ in range(3)],
    ]
    await eventually(lambda: writes.begun == 1)
    other = asyncio.create_task(marker.mark_all("u2", "", mine[-1] + 1))
    await eventually(lambda: writes.begun == 2)
    # Each of those that wait would have begun by now.
    for _ in range(3):
        await rows_of(database, message)
    assert writes.begun == 2
    writes.free.set()
    assert await other == 4
    assert sorted(await asyncio.gather(*marks)) == [0, 0, 1, 3]
    assert not marker._inbox_turns._turns


async def test_parts_of_marks_of_one_inbox_wait_for_each_other(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_users(database, "u1")
    await write(database, *[new_message("u1", n) for n in range(4)])
    marker, writes = Marker(database), Writes(database, monkeypatch)
    marks = [asyncio.create_task(marker.mark_all("u1", "", 2**62)) for _ in range(3)]
    await eventually(lambda: writes.begun == 1)
    # Each of the others would have begun by now.
    for _ in range(3):
        await rows_of(database, message)
    assert writes.begun == 1
    writes.free.set()
    assert sorted(await asyncio.gather(*marks)) == [0, 0, 4]


async def test_marks_of_many_inboxes_leave_connections_to_others(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [f"u{n}" for n in range(3 * MARKS_AT_ONCE)]
    await add_users(database, *users)
    await write(database, *[new_message(user, user) for user in users])
    marker, writes = Marker(database), Writes(database, monkeypatch)
    marks = [asyncio.create_task(marker.mark_all(user, "", 2**62)) for user in users]
    await eventually(lambda: writes.begun == MARKS_AT_ONCE)
    for _ in range(3):
        await rows_of(database, message)
    writes.free.set()
    assert await asyncio.gather(*marks) == [1] * len(users)
    assert writes.most == MARKS_AT_ONCE


async def test_a_large_inbox_is_marked_in_parts_and_pauses_in_between(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages_module, "MARK_LIMIT", 3)
    await add_users(database, "u1", "u2")
    await write(database, *[new_message("u1", n) for n in range(7)], new_message("u2", "other"))
    marker, writes = Marker(database), Writes(database, monkeypatch)
    writes.free.set()
    with monkeypatch.context() as patch:
        patch.setattr(messages_module, "PAUSE_FACTOR", 10**9)
        paused = asyncio.create_task(marker.mark_all("u1", "", 2**62))
        await eventually(lambda: writes.begun == 1 and not writes.under_way)
        # Others work meanwhile.
        assert await marker.mark_all("u2", "", 2**62) == 1
        assert writes.begun == 2
        assert sum(row.unread for row in await rows_of(database, message)) == 4
        paused.cancel()
    assert await marker.mark_all("u1", "", 2**62) == 4
    assert writes.begun == 4


class TestMariaDB:
    """An embedded file has one writer at a time."""

    @pytest.fixture
    def backend(self, mysql_section: Section) -> Section:
        return {"mysql": mysql_section}

    @pytest.mark.usefixtures("long_locks")
    async def test_concurrent_mark_all_requests_each_return_after_all_are_marked(
        self, client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(messages_module, "MARK_LIMIT", 3)
        await add_users(database, "u1")
        await write(database, *[new_message("u1", n) for n in range(40)])
        (newest,) = await nids(client, userId="u1", pageSize="1")

        async def mark_and_look() -> tuple[int, int]:
            marked = await Marker(database).mark_all("u1", "", newest)
            return marked, (await read_page(client, userId="u1"))["unread"]

        done = await asyncio.gather(*[mark_and_look() for _ in range(3)])
        assert sum(marked for marked, _ in done) == 40
        assert [unread for _, unread in done] == [0, 0, 0]
