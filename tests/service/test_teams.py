"""Teams: members, notes, and messages about the accounts that a team watches."""

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest

from myaccount.database.database import Database
from myaccount.inbox import team_commands as teams_module
from myaccount.model.inbox import counter, message, team, team_member
from myaccount.model.ledger import account, user
from myaccount.model.outbox import event

from ..conftest import Client
from ..helpers.actions import send, transfer
from ..helpers.inboxes import Row, add_team, add_users, mark, nids, post_json, read_page, rows_of, until_dispatched

NOTE = {"teamId": "t", "title": "Lunch", "text": "At noon.\nIn the garden."}


async def _members(database: Database, team_id: str = "t") -> list[str]:
    return sorted(row.user_id for row in await rows_of(database, team_member) if row.team_id == team_id)


async def _names(database: Database) -> dict[str, str]:
    return {row.team_id: row.team_name for row in await rows_of(database, team)}


async def _team_rows(client: Client, user_id: str, team_id: str = "t", **query: str) -> list[Row]:
    page = await read_page(client, "/teammessages", userId=user_id, teamId=team_id, **query)
    rows: list[Row] = page["result"]
    return rows


async def _not_a_member(client: Client, fields: dict[str, str]) -> None:
    for path, more in (("/teammessages", {}), ("/messages/read", {"upTo": 1})):
        status, problem = await post_json(client, path, {**fields, **more})
        assert (status, problem["code"], problem["field"]) == (403, "not_a_member", "userId")


async def _open(client: Client, user_id: str, team_id: str) -> tuple[int, dict[str, Any]]:
    status, reply, _ = await send(
        client, "/openacc", userId=user_id, userName=user_id.upper(), sex="F", cardNum="1",
        accountId=f"a-{user_id}", accountType="01", teamId=team_id,
    )  # fmt: skip
    return status, reply


async def test_a_team_is_created_with_a_name_and_can_be_renamed(client: Client, database: Database) -> None:
    assert await post_json(client, "/team", {"teamId": "t", "teamName": "Red"}) == (200, {"result": 1})
    assert await _names(database) == {"t": "Red"}
    # Without a name it keeps its name.
    assert await post_json(client, "/team", {"teamId": "t"}) == (200, {"result": 1})
    assert await _names(database) == {"t": "Red"}
    assert (await send(client, "/team", teamId="t", teamName="红队 one"))[0] == 200
    assert (await send(client, "/team", teamId="T", teamName="Other"))[0] == 200
    assert await _names(database) == {"t": "红队 one", "T": "Other"}


async def test_a_new_team_needs_a_name(client: Client, database: Database) -> None:
    await add_users(database, "u1")
    status, problem = await post_json(client, "/team", {"teamId": "t", "add": ["u1"]})
    assert (status, problem["code"], problem["field"]) == (400, "invalid_request", "teamName")
    assert await rows_of(database, team) == []


async def test_members_are_added_and_removed_by_form_and_by_json(client: Client, database: Database) -> None:
    await add_users(database, *[f"u{n}" for n in range(1, 7)])
    steps: list[tuple[dict[str, object], list[str]]] = [
        ({"teamName": "T", "add": ["u1", "u2", "u1"]}, ["u1", "u2"]),
        ({"add": " u2\tu3\n u4  u3 "}, ["u1", "u2", "u3", "u4"]),
        ({"remove": "u1 nobody u5"}, ["u2", "u3", "u4"]),
        ({"remove": ["u2"], "add": ["u5", "u6"]}, ["u3", "u4", "u5", "u6"]),
        # Removing wins over adding.
        ({"add": ["u1", "u4"], "remove": ["u1", "u4"]}, ["u3", "u5", "u6"]),
        ({"add": [], "remove": ""}, ["u3", "u5", "u6"]),
        ({"remove": ["u3", "u5", "u6"]}, []),
        ({"add": ["u1"]}, ["u1"]),
    ]
    for fields, members in steps:
        for _ in range(2):
            # The second request changes nothing.
            assert await post_json(client, "/team", {"teamId": "t"} | fields) == (200, {"result": 1}), fields
            assert await _members(database) == members, fields
    assert (await send(client, "/team", teamId="t", add="u2 u3", remove=" u1 "))[0] == 200
    assert await _members(database) == ["u2", "u3"]


async def test_with_an_unknown_user_no_user_is_added(client: Client, database: Database) -> None:
    await add_users(database, "u1")
    status, problem = await post_json(client, "/team", {"teamId": "t", "teamName": "T", "add": ["u1", "U1"]})
    assert (status, problem["code"], problem["field"]) == (404, "user_not_found", "add")
    assert (await rows_of(database, team), await rows_of(database, team_member)) == ([], [])


async def test_a_team_has_no_more_members_than_the_limit(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teams_module, "MEMBERS_LIMIT", 3)
    await add_users(database, "u1", "u2", "u3", "u4")
    status, problem = await post_json(
        client, "/team", {"teamId": "t", "teamName": "T", "add": ["u1", "u2", "u3", "u4"]}
    )
    assert (status, problem["code"], problem["field"]) == (400, "invalid_request", "add")
    await post_json(client, "/team", {"teamId": "t", "teamName": "T", "add": ["u1", "u2", "u3"]})
    assert (await post_json(client, "/team", {"teamId": "t", "add": ["u4"]}))[0] == 400
    assert await _members(database) == ["u1", "u2", "u3"]
    assert (await post_json(client, "/team", {"teamId": "t", "add": ["u3", "u4"], "remove": ["u1"]}))[0] == 200
    assert await _members(database) == ["u2", "u3", "u4"]


async def test_concurrent_requests_for_the_same_team_all_succeed(client: Client, database: Database) -> None:
    users = [f"u{n}" for n in range(8)]
    await add_users(database, *users)
    answers = await asyncio.gather(
        *[post_json(client, "/team", {"teamId": "t", "teamName": "T", "add": [u, "u0"]}) for u in users]
    )
    assert answers == [(200, {"result": 1})] * 8
    assert await _members(database) == users


async def test_concurrent_requests_do_not_exceed_the_limit_of_members(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teams_module, "MEMBERS_LIMIT", 3)
    users = [f"u{n}" for n in range(12)]
    await add_users(database, *users)
    await add_team(database, "t")
    answers = await asyncio.gather(*[post_json(client, "/team", {"teamId": "t", "add": [u]}) for u in users])
    assert sorted(status for status, _ in answers) == [200] * 3 + [400] * 9
    assert len(await _members(database)) == 3


async def test_a_note_reaches_each_member_once_and_nobody_else(client: Client, database: Database) -> None:
    await add_users(database, "u1", "u2", "u3", "stranger")
    await add_team(database, "t", "u1", "u2", "u3")
    await add_team(database, "other", "u1", "stranger")
    status, reply, replayed = await send(client, "/teammessage", **NOTE, userId="u1", receiverId="u2")
    assert (status, reply, replayed) == (200, {"result": 1}, False)
    for reader in ("u1", "u2", "u3"):
        for language in ("zh", "en"):
            (row,) = await _team_rows(client, reader, language=language)
            assert row.pop("NID")
            assert row.pop("CREATE_TIME")
            assert row == {
                "KIND": "team", "MESSAGE_TYPE": "note", "USER_ID": "u1", "USERNAME": "N", "TEAM_ID": "t",
                "TEAM_NAME": "T", "READER_ID": reader, "RECEIVER_ID": "u2", "TITLE": "Lunch",
                "BODY": {"text": "At noon.\nIn the garden."}, "READ": False,
            }  # fmt: skip
        assert await nids(client, userId=reader) == []
    await _not_a_member(client, {"userId": "stranger", "teamId": "t"})
    assert await _team_rows(client, "u1", "other") == []


@pytest.mark.parametrize("character", ["张", "😀"])
async def test_the_longest_note_of_any_characters_is_accepted(
    client: Client, database: Database, character: str
) -> None:
    await add_users(database, "u1")
    await add_team(database, "t", "u1")
    note = {"teamId": "t", "title": character * 100, "text": character * 2000}
    assert await send(client, "/teammessage", **note) == (200, {"result": 1}, False)
    # As JSON, each character is escaped.
    assert await post_json(client, "/teammessage", note) == (200, {"result": 1})
    status, problem, _ = await send(client, "/teammessage", **note | {"text": "x" * 65_536})
    assert (status, problem["detail"]) == (413, "The body is larger than 64 KiB.")


async def test_a_note_from_the_service_has_no_writer(client: Client, database: Database) -> None:
    await add_users(database, "u1", "u2")
    await add_team(database, "t", "u1", "u2")
    assert await post_json(client, "/teammessage", NOTE) == (200, {"result": 1})
    for reader in ("u1", "u2"):
        (row,) = await _team_rows(client, reader)
        assert (row["USER_ID"], row["USERNAME"], row["RECEIVER_ID"]) == (None, None, None)
        assert await _team_rows(client, reader, self="true") == []


async def test_only_members_can_be_writer_or_receiver(client: Client, database: Database) -> None:
    await add_users(database, "u1", "u2")
    await add_team(database, "t", "u1")
    for fields, field in [
        ({"userId": "u2"}, "userId"),
        ({"userId": "nobody"}, "userId"),
        ({"userId": "U1"}, "userId"),
        ({"userId": "u1", "receiverId": "u2"}, "receiverId"),
        ({"receiverId": "u2"}, "receiverId"),
    ]:
        status, problem = await post_json(client, "/teammessage", NOTE | fields)
        assert (status, problem["code"], problem["field"]) == (403, "not_a_member", field), fields
    status, problem = await post_json(client, "/teammessage", NOTE | {"teamId": "T"})
    assert (status, problem["code"], problem["field"]) == (404, "team_not_found", "teamId")
    assert (await rows_of(database, message), await rows_of(database, counter)) == ([], [])


async def test_a_repeated_message_id_writes_one_note_and_the_reply_says_replayed(
    client: Client, database: Database
) -> None:
    await add_users(database, "u1", "u2")
    await add_team(database, "t", "u1", "u2")
    await add_team(database, "x", "u1")
    answers = await asyncio.gather(
        *[send(client, "/teammessage", **NOTE, userId="u1", messageId="m1") for _ in range(6)]
    )
    assert sorted(answers, key=str) == [(200, {"result": 1}, False)] + [(200, {"result": 1}, True)] * 5
    assert [len(await _team_rows(client, reader)) for reader in ("u1", "u2")] == [1, 1]
    # Another team, another id, or no id: another note.
    for fields in ({"teamId": "x", "messageId": "m1"}, {"messageId": "M1"}, {}, {}):
        _, _, replayed = await send(client, "/teammessage", **(NOTE | fields))
        assert not replayed
    assert [len(await _team_rows(client, reader)) for reader in ("u1", "u2")] == [4, 4]
    assert len(await _team_rows(client, "u1", "x")) == 1


async def test_a_member_keeps_only_the_messages_from_the_time_of_membership(
    client: Client, database: Database
) -> None:
    await add_users(database, "u1", "u2")
    await add_team(database, "t", "u1")
    await post_json(client, "/teammessage", NOTE | {"title": "1"})
    await post_json(client, "/team", {"teamId": "t", "add": ["u2"], "remove": ["u1"], "teamName": "New"})
    await post_json(client, "/teammessage", NOTE | {"title": "2"})
    for reader, title, name in [("u1", "1", "T"), ("u2", "2", "New")]:
        (row,) = await _team_rows(client, reader)
        assert (row["TITLE"], row["TEAM_NAME"]) == (title, name)
    # None of a type, of which there may have been some.
    none = await read_page(client, "/teammessages", userId="u1", teamId="t", messageType="recharge")
    assert none["result"] == []


async def test_an_account_with_an_unknown_team_is_not_opened(client: Client, database: Database) -> None:
    before = await rows_of(database, account)
    status, problem = await _open(client, "u1", "t")
    assert (status, problem["code"], problem["field"]) == (404, "team_not_found", "teamId")
    assert (await rows_of(database, user), await rows_of(database, account)) == ([], before)
    await until_dispatched(database)
    assert await rows_of(database, message) == []


@pytest.fixture
async def watched(client: Client, database: Database) -> None:
    """Two accounts that a team watches, one of them a member's, and two members without accounts."""
    await add_users(database, "w1", "w2")
    await add_team(database, "t", "w1", "w2")
    assert (await _open(client, "a", "t"))[0] == (await _open(client, "b", "t"))[0] == 200
    await post_json(client, "/team", {"teamId": "t", "add": ["a"]})
    # And an account without a team.
    await send(client, "/openacc", userId="c", userName="C", sex="F", cardNum="1", accountId="c", accountType="1")


@pytest.mark.usefixtures("watched")
async def test_each_change_of_an_accounts_money_writes_a_message_to_each_member_of_its_team(
    client: Client, database: Database
) -> None:
    await send(client, "/recharge", orderId="r1", userId="a", amount="10")
    await send(client, "/recharge", orderId="r2", userId="c", amount="10")
    await until_dispatched(database)
    await transfer(client, "t1", "a", "c", "1")
    await until_dispatched(database)
    await transfer(client, "t2", "c", "a", "2")
    await until_dispatched(database)
    await transfer(client, "t3", "a", "c", "99")
    await transfer(client, "t4", "c", "a", "99")
    await until_dispatched(database)
    expected = [
        ("decline", "t3", "a", "a", "11.00", "A"),
        ("transfer_in", "t2", "c", "a", "11.00", "C"),
        ("transfer_out", "t1", "a", "c", "9.00", "A"),
        ("recharge", "r1", "a", "a", "10.00", "A"),
    ]
    for reader in ("a", "w1", "w2"):
        rows = await _team_rows(client, reader)
        assert [
            (row["MESSAGE_TYPE"], row["BODY"]["orderId"], row["USER_ID"], row["RECEIVER_ID"],
             row["BODY"]["balance"], row["USERNAME"])
            for row in rows
        ] == expected  # fmt: skip
        assert {(row["KIND"], row["TEAM_NAME"], row["READER_ID"]) for row in rows} == {("team", "T", reader)}
        assert all(row["TITLE"] and row["BODY"]["text"] for row in rows)
    # The account's user has the own messages as well, and reads the team's only as a member.
    assert (await read_page(client, userId="a"))["total"] == 5
    for stranger in ("b", "c"):
        await _not_a_member(client, {"userId": stranger, "teamId": "t"})


@pytest.mark.usefixtures("watched")
async def test_a_transfer_within_a_team_writes_two_messages_to_each_member(
    client: Client, database: Database
) -> None:
    await send(client, "/recharge", orderId="r1", userId="a", amount="10")
    await transfer(client, "t1", "a", "b", "4")
    await until_dispatched(database)
    for reader in ("a", "w1", "w2"):
        rows = [row for row in await _team_rows(client, reader) if row["BODY"]["orderId"] == "t1"]
        found = {(row["MESSAGE_TYPE"], row["USER_ID"], row["RECEIVER_ID"], row["BODY"]["balance"]) for row in rows}
        assert found == {("transfer_out", "a", "b", "6.00"), ("transfer_in", "a", "b", "4.00")}
        assert len(rows) == 2


@pytest.mark.usefixtures("watched")
async def test_a_team_watches_one_of_its_users_accounts_and_all_that_happens_to_its_money(
    client: Client, database: Database
) -> None:
    """Not why it was frozen: that is between the shop and the account's user."""
    await send(client, "/addaccount", userId="c", accountId="c2", accountType="1", teamId="t")
    await send(client, "/recharge", orderId="r1", accountId="c", amount="50")
    for path, fields in [
        ("/recharge", {"orderId": "r2", "accountId": "c2", "amount": "20"}),
        ("/withdraw", {"orderId": "w1", "accountId": "c2", "amount": "1"}),
        ("/hold", {"orderId": "h1", "fromaccountId": "c2", "touserId": "a", "amount": "5"}),
        ("/capture", {"orderId": "p1", "holdOrderId": "h1", "amount": "2"}),
        ("/release", {"orderId": "x1", "holdOrderId": "h1"}),
        ("/refund", {"orderId": "f1", "originalOrderId": "p1"}),
        ("/freeze", {"accountId": "c2", "frozen": "debits", "reason": "a check"}),
        ("/withdraw", {"orderId": "w2", "accountId": "c2", "amount": "1"}),
    ]:
        status, body, _ = await send(client, path, **fields)
        assert status == (409 if fields.get("orderId") == "w2" else 200), body
        await until_dispatched(database)
    for reader in ("w1", "w2"):
        rows = [(row["MESSAGE_TYPE"], row["BODY"]["accountId"]) for row in await _team_rows(client, reader)]
        # The team watches a's account as well, which is the other side of the hold.
        assert rows == [
            ("decline", "c2"), ("refund_in", "c2"), ("refund_out", "a-a"), ("hold_released", "c2"),
            ("capture_in", "a-a"), ("capture_out", "c2"), ("hold", "c2"), ("withdraw", "c2"), ("recharge", "c2"),
        ]  # fmt: skip


@pytest.mark.usefixtures("watched")
async def test_an_event_of_an_earlier_version_is_dispatched_as_one_about_the_users_first_accounts(
    client: Client, database: Database
) -> None:
    """Such an event has fewer fields, and no account ids."""
    await send(client, "/addaccount", userId="a", accountId="a2", accountType="1")
    await until_dispatched(database)
    changes = [
        ["recharge", "r1", "", "a", 100, -100, 100, None],
        ["transfer", "t1", "a", "c", 60, 40, 60, None, 2, 1],
        ["decline", "t2", "c", "a", 900, 60, 40, "insufficient_funds", 1, 2],
        ["account_opened", "old", "c", "c", 0, 0, 0, None, 0, 0],
    ]
    now = datetime(2026, 1, 1)
    row = {"body": json.dumps(changes), "attempts": 0, "due_at": now, "created_at": now}
    await database.write(lambda connection: connection.execute(event.insert(), row))
    await until_dispatched(database)
    told = [
        (row["MESSAGE_TYPE"], row["BODY"].get("accountId"), row["BODY"].get("entry"), row["BODY"].get("balance"))
        for reader in ("a", "c")
        for row in (await read_page(client, userId=reader))["result"]
        if row["CREATE_TIME"].startswith("2026-01-01")
    ]
    assert told == [
        ("transfer_out", "a-a", 2, "0.40"), ("recharge", "a-a", None, "1.00"),
        ("account_opened", "old", 0, None), ("decline", "c", 1, "0.60"), ("transfer_in", "c", 1, "0.60"),
    ]  # fmt: skip
    assert [(row["MESSAGE_TYPE"], row["BODY"]["accountId"]) for row in await _team_rows(client, "w1")] == [
        ("transfer_out", "a-a"), ("recharge", "a-a"),
    ]  # fmt: skip


@pytest.mark.usefixtures("watched")
async def test_self_selects_messages_that_the_reader_wrote_or_received(client: Client, database: Database) -> None:
    for title, fields in [
        ("by a", {"userId": "a"}),
        ("to a", {"userId": "w1", "receiverId": "a"}),
        ("w1 to w2", {"userId": "w1", "receiverId": "w2"}),
        ("of the service to a", {"receiverId": "a"}),
        ("of the service", {}),
    ]:
        await post_json(client, "/teammessage", NOTE | {"title": title} | fields)
    await send(client, "/recharge", orderId="r1", userId="a", amount="10")
    await send(client, "/recharge", orderId="r2", userId="b", amount="10")
    await until_dispatched(database)
    titles = {
        reader: [row["TITLE"] for row in await _team_rows(client, reader, self="true", messageType="note")]
        for reader in ("a", "w1", "w2")
    }
    assert titles == {
        "a": ["of the service to a", "to a", "by a"],
        "w1": ["w1 to w2", "to a"],
        "w2": ["w1 to w2"],
    }
    own = await _team_rows(client, "a", self="true", messageType="recharge")
    assert [row["BODY"]["orderId"] for row in own] == ["r1"]
    for flag in ({}, {"self": "false"}):
        page = await read_page(client, "/teammessages", userId="a", teamId="t", **flag)
        assert (page["total"], page["unread"]) == (7, 7)
    await mark(client, userId="a", nids=[own[0]["NID"]])
    page = await read_page(client, "/teammessages", userId="a", teamId="t", self="true")
    assert (page["total"], page["unread"], page["result"][-1]["NID"]) == (4, 3, own[0]["NID"])
