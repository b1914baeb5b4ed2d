"""A page that was read before is not read again while its inbox is as it was, and never shows anything else."""

from typing import Any

import pytest
from sqlalchemy import delete, update

from myaccount.database.database import Database
from myaccount.inbox import known_pages
from myaccount.inbox.known_pages import COUNTER_BYTES, ENTRY_BYTES, InboxState, KnownPages, WantedPage
from myaccount.inbox.page_queries import AskedPage, find_pages
from myaccount.inbox.page_statements import InboxCounter, MessageFilter
from myaccount.model.inbox import message, team_member

from ..conftest import Client, Section
from ..helpers.inboxes import add_team, add_users, mark, new_message, post_json, read_page, write
from ..helpers.servers import MariaDB


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[AskedPage]:
    """The pages that were read of the database."""
    found: list[AskedPage] = []

    async def noted(connection: Any, asked: Any) -> Any:
        found.extend(asked)
        return await find_pages(connection, asked)

    monkeypatch.setattr(known_pages, "find_pages", noted)
    return found


async def test_a_page_is_read_again_only_after_a_change(
    client: Client, database: Database, read: list[AskedPage]
) -> None:
    await add_users(database, "u1", "u2")
    await write(database, *[new_message(reader, n) for reader in ("u1", "u2") for n in range(3)])
    first = await read_page(client, userId="u1")
    await read_page(client, userId="u2")
    assert [await read_page(client, userId="u1") for _ in range(3)] == [first] * 3
    assert len(read) == 2
    # Written as another process would, and then marked as read.
    await write(database, new_message("u1", 3))
    second = await read_page(client, userId="u1")
    assert (second["total"], len(second["result"])) == (4, 4)
    await mark(client, userId="u1", nids=[first["result"][0]["NID"]])
    third = await read_page(client, userId="u1")
    assert (third["unread"], [row["READ"] for row in third["result"]]) == (3, [False] * 3 + [True])
    await read_page(client, userId="u2")
    assert len(read) == 4


async def test_each_page_and_each_language_is_known_by_itself(
    client: Client, database: Database, read: list[AskedPage]
) -> None:
    await add_users(database, "u1")
    await write(database, *[new_message("u1", n) for n in range(3)])
    queries: list[dict[str, str]] = [
        {},
        {"language": "en"},
        {"pageSize": "2"},
        {"pageNo": "1"},
        {"unread": "true"},
    ]
    pages = [await read_page(client, userId="u1", **query) for query in queries]
    assert [await read_page(client, userId="u1", **query) for query in queries] == pages
    assert len(read) == len(queries)
    assert pages[0]["result"][0]["TITLE"] != pages[1]["result"][0]["TITLE"]


async def test_another_message_with_the_same_id_is_another_state(client: Client, database: Database) -> None:
    """As after a failover that has lost the newest messages: their ids are given out again."""
    await add_users(database, "u1")
    await write(database, new_message("u1", 1))
    await read_page(client, userId="u1")
    other = update(message).values(created_at=new_message("u1", 1).created_at.replace(microsecond=1), body="{}")
    await database.write(lambda connection: connection.execute(other))
    assert (await read_page(client, userId="u1"))["result"][0]["CREATE_TIME"].endswith(".000001Z")


class TestMariaDB:
    @pytest.fixture
    def backend(self, mysql_section: Section) -> Section:
        return {"mysql": mysql_section}

    async def test_pages_of_another_server_are_not_known(
        self, client: Client, database: Database, mariadb: MariaDB, read: list[AskedPage]
    ) -> None:
        """It may have lost what was marked as read, and have got other marks."""
        await add_users(database, "u1")
        await write(database, new_message("u1", 1))
        with mariadb.connect() as connection, connection.cursor() as cursor:
            for server_id in (71, 72, 1):
                cursor.execute(f"SET GLOBAL server_id = {server_id}")
                await read_page(client, userId="u1")
                await read_page(client, userId="u1")
        assert len(read) == 3


async def test_an_empty_page_is_shown_only_to_members(client: Client, database: Database) -> None:
    await add_users(database, "u1")
    await add_team(database, "x", "u1")
    query = {"userId": "u1", "teamId": "x"}
    assert (await read_page(client, "/teammessages", **query))["total"] == 0
    await database.write(lambda connection: connection.execute(delete(team_member)))
    assert (await post_json(client, "/teammessages", query))[0] == 403


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_pages, "KNOWN_BYTES", 3 * (ENTRY_BYTES + COUNTER_BYTES + 10))
    pages = [WantedPage(AskedPage(MessageFilter(f"u{n}"), None, 1, 12), "en") for n in range(4)]
    state = InboxState((InboxCounter("recharge", own=True, total=1, unread=1),), "[1]")
    known = KnownPages()
    for page in pages[:3] * 2:
        known.remember(page, state, b"x" * 10)
    assert [known.find(page, state) is not None for page in pages] == [True, True, True, False]
    known.remember(pages[3], state, b"x" * 10)
    assert [known.find(page, state) is not None for page in pages] == [False, True, True, True]
    assert known.find(pages[3], state._replace(newest="[2]")) is None
