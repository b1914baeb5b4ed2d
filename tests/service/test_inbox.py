"""Pages of an inbox: content, order, filters, counts and cursors, on both backends."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from myaccount.database.database import Database
from myaccount.inbox.wording import LANGUAGES
from myaccount.ledger.money import MAX_BALANCE
from myaccount.model.ledger import account

from ..conftest import Client
from ..helpers.actions import open_users, send, transfer
from ..helpers.dispatched import message_tables
from ..helpers.every_change import MESSAGES, request_every_change
from ..helpers.inboxes import (
    TYPES,
    Row,
    add_users,
    eventually_told,
    mark,
    mixed_inbox,
    new_message,
    nids,
    read_page,
    until_dispatched,
    write,
)

ENGLISH = [
    ("decline", "Declined: transfer of 99.00 CNY", "No money moved: the available balance does not cover"
     " the amount. Your balance is 7.50 CNY."),
    ("transfer_out", "Paid 2.50 CNY", "You paid 2.50 CNY to 小明. The balance is 7.50 CNY."),
    ("recharge", "Top-up of 10.00 CNY", "Your account was topped up with 10.00 CNY. The balance is 10.00 CNY."),
    ("account_opened", "Welcome, Alice", "Your account a-u1 is open."),
    ("transfer_in", "Received 2.50 CNY", "You received 2.50 CNY from Alice. The balance is 2.50 CNY."),
    ("account_opened", "Welcome, 小明", "Your account a-u2 is open."),
]  # fmt: skip
CHINESE = [
    ("decline", "交易失败：转账 99.00 元", "可用余额不足，资金未变动。您的账户当前余额 7.50 元。"),
    ("transfer_out", "转账支出 2.50 元", "您的账户向 小明 转账 2.50 元，当前余额 7.50 元。"),
    ("recharge", "充值到账 10.00 元", "您的账户充值到账 10.00 元，当前余额 10.00 元。"),
    ("account_opened", "欢迎，Alice", "您的账户 a-u1 已开通。"),
    ("transfer_in", "转账收入 2.50 元", "您的账户收到 Alice 转账 2.50 元，当前余额 2.50 元。"),
    ("account_opened", "欢迎，小明", "您的账户 a-u2 已开通。"),
]


async def _money_moves(client: Client, database: Database) -> None:
    """Write messages of each type to Alice (u1) and 小明 (u2)."""
    for user_id, name in [("u1", "Alice"), ("u2", "小明")]:
        status, _, _ = await send(
            client, "/openacc", userId=user_id, userName=name, sex="F", cardNum="6222", accountId=f"a-{user_id}",
            accountType="01",
        )  # fmt: skip
        assert status == 200
        # Wait after each step, so that the order of the messages is known.
        await until_dispatched(database)
    await send(client, "/recharge", orderId="r1", userId="u1", amount="10")
    await until_dispatched(database)
    await transfer(client, "t1", "u1", "u2", "2.50")
    await until_dispatched(database)
    assert (await transfer(client, "t2", "u1", "u2", "99"))[0] == 409
    await until_dispatched(database)


def _expected(kind: str, reader: str, user: tuple[str, str], receiver: str, body: dict[str, Any]) -> Row:
    user_id, user_name = user
    return {
        "KIND": "account", "MESSAGE_TYPE": kind, "USER_ID": user_id, "USERNAME": user_name, "TEAM_ID": None,
        "TEAM_NAME": None, "READER_ID": reader, "RECEIVER_ID": receiver, "BODY": body, "READ": False,
    }  # fmt: skip


async def test_each_change_writes_messages_to_those_whom_it_concerns_and_to_nobody_else(
    client: Client, database: Database
) -> None:
    began = datetime.now(UTC)
    await _money_moves(client, database)
    alice, ming = ("u1", "Alice"), ("u2", "小明")
    u1: dict[str, Any] = {"accountId": "a-u1", "currency": "CNY"}
    u2 = u1 | {"accountId": "a-u2"}
    money = {"orderId": "t1", "amount": "2.50", "fromUserName": "Alice", "toUserName": "小明"}
    declined = u1 | {"orderId": "t2", "amount": "99.00", "balance": "7.50", "entry": 2,
                     "reason": "insufficient_funds", "orderName": "transfer"}  # fmt: skip
    topped_up = u1 | {"orderId": "r1", "amount": "10.00", "balance": "10.00", "entry": 1}
    inboxes = {
        "u1": [
            _expected("decline", "u1", alice, "u1", declined),
            _expected("transfer_out", "u1", alice, "u2", money | u1 | {"balance": "7.50", "entry": 2}),
            _expected("recharge", "u1", alice, "u1", topped_up),
            _expected("account_opened", "u1", alice, "u1", u1 | {"entry": 0}),
        ],
        "u2": [
            _expected("transfer_in", "u2", alice, "u2", money | u2 | {"balance": "2.50", "entry": 1}),
            _expected("account_opened", "u2", ming, "u2", u2 | {"entry": 0}),
        ],
    }
    ids = []
    for reader, expected in inboxes.items():
        page = await read_page(client, userId=reader)
        rows = page.pop("result")
        count = len(expected)
        assert page == {"total": count, "unread": count, "pageNo": 1, "pageSize": 12, "before": None}
        for row in rows:
            ids.append(row.pop("NID"))
            time = row.pop("CREATE_TIME")
            assert time.endswith("Z")
            assert len(time) == len("2026-11-21T10:00:00.000000Z")
            assert began - timedelta(seconds=1) < datetime.fromisoformat(time) <= datetime.now(UTC)
            assert row.pop("TITLE")
            assert row["BODY"].pop("text")
        assert rows == expected
    assert len(set(ids)) == 6


@pytest.mark.parametrize(("language", "expected"), [({"language": "en"}, ENGLISH), ({}, CHINESE)])
async def test_each_message_has_a_title_and_text_in_the_readers_language(
    client: Client, database: Database, language: dict[str, str], expected: list[tuple[str, str, str]]
) -> None:
    await _money_moves(client, database)
    rows = [row for user_id in ("u1", "u2") for row in
            (await read_page(client, userId=user_id, **language))["result"]]  # fmt: skip
    assert [(row["MESSAGE_TYPE"], row["TITLE"], row["BODY"]["text"]) for row in rows] == expected


async def test_every_change_writes_its_messages_and_each_has_texts_in_both_languages(
    client: Client, database: Database
) -> None:
    await request_every_change(client)
    await eventually_told(database, len(MESSAGES))
    for reader in ("u1", "u2"):
        pages = {language: (await read_page(client, userId=reader, pageSize="100", language=language))["result"]
                 for language in LANGUAGES}  # fmt: skip
        # Changes of an account have random ids.
        found = Counter(
            (row["MESSAGE_TYPE"], row["BODY"].get("orderId", ""), row["USER_ID"], row["RECEIVER_ID"])
            for row in pages["zh"]
        )
        assert found == Counter(
            (type_, "" if type_.startswith(("account", "limit")) else source, user, receiver)
            for (type_, source), (user, receiver, read_by) in MESSAGES.items()
            if read_by == reader
        )
        for rows in pages.values():
            assert all(row["TITLE"] and row["BODY"]["text"] for row in rows)
        for chinese, english in zip(*pages.values(), strict=True):
            assert chinese["NID"] == english["NID"]
            assert chinese["BODY"]["text"] != english["BODY"]["text"]
    expected, messages, counted, counters = await database.read(message_tables)
    assert messages == expected
    assert counted == counters
    # Each type selects its own.
    for type_ in {type_ for type_, _ in MESSAGES}:
        rows = [row for reader in ("u1", "u2")
                for row in (await read_page(client, userId=reader, messageType=type_))["result"]]  # fmt: skip
        assert {row["MESSAGE_TYPE"] for row in rows} == {type_}


async def test_a_decline_for_a_balance_too_large_is_written_to_the_user_who_sent_the_order(
    client: Client, database: Database
) -> None:
    await open_users(client, "rich", "poor")
    await send(client, "/recharge", orderId="r0", userId="poor", amount="5")
    fill = update(account).where(account.c.user_id == "rich").values(balance=MAX_BALANCE)
    await database.write(lambda connection: connection.execute(fill))
    assert (await send(client, "/recharge", orderId="r1", userId="rich", amount="1"))[0] == 409
    assert await transfer(client, "t1", "poor", "rich", "2") == (409, "balance_too_large", False)
    await until_dispatched(database)
    for reader, order_id, name, amount, balance in [
        ("rich", "r1", "recharge", "1.00", "92233720368547758.07"),
        ("poor", "t1", "transfer", "2.00", "5.00"),
    ]:
        for language, why in zip(
            LANGUAGES, ("入账后余额将超出上限", "a balance would become too large"), strict=True
        ):
            page = await read_page(client, userId=reader, messageType="decline", language=language)
            (row,) = page["result"]
            assert (row["USER_ID"], row["RECEIVER_ID"]) == (reader, reader)
            text = row["BODY"].pop("text")
            assert why in text
            assert balance in text
            assert row["BODY"].pop("entry") in (0, 1)
            assert row["BODY"] == {"orderId": order_id, "amount": amount, "currency": "CNY", "balance": balance,
                                   "accountId": f"a-{reader}", "orderName": name,
                                   "reason": "balance_too_large"}  # fmt: skip
    assert (await read_page(client, userId="rich"))["total"] == 2


async def test_a_page_has_twelve_messages_or_the_size_of_the_request(client: Client, database: Database) -> None:
    await add_users(database, "u1")
    await write(database, *[new_message("u1", n) for n in range(130)])
    everything = await nids(client, userId="u1", pageSize="100")
    assert len(everything) == 100
    everything += await nids(client, userId="u1", pageSize="100", pageNo="2")
    assert everything == sorted(everything, reverse=True)
    assert len(set(everything)) == 130
    for number in range(1, 14):
        page = await read_page(client, userId="u1", pageNo=str(number))
        assert [row["NID"] for row in page["result"]] == everything[(number - 1) * 12 :][:12]
        del page["result"]
        # The cursor of the next page, if there is one.
        before = f"unread-{everything[number * 12 - 1]}" if number < 11 else None
        assert page == {"total": 130, "unread": 130, "pageNo": number, "pageSize": 12, "before": before}
    assert await nids(client, userId="u1", pageSize="1", pageNo="130") == everything[129:]
    assert await nids(client, userId="u1", pageSize="1", pageNo="131") == []
    assert await nids(client, userId="u1", pageSize="100", pageNo="1000000000") == []


async def test_unread_messages_come_before_read_ones_and_the_newest_first(
    client: Client, database: Database
) -> None:
    await add_users(database, "u1")
    await write(database, *[new_message("u1", n, TYPES[n % 3], own=n % 2 == 0) for n in range(12)])
    newest_first = await nids(client, userId="u1")
    assert newest_first == sorted(newest_first, reverse=True)
    marked = newest_first[1::2]
    await mark(client, userId="u1", nids=marked)
    page = await read_page(client, userId="u1")
    assert [row["NID"] for row in page["result"]] == newest_first[::2] + marked
    assert [row["READ"] for row in page["result"]] == [False] * 6 + [True] * 6
    assert page["before"] is None
    # Pages of unread messages, of both, and of read ones.
    for size in (1, 2, 4, 5):
        seen = []
        for number in range(1, 14):
            seen += await nids(client, userId="u1", pageSize=str(size), pageNo=str(number))
        assert seen == newest_first[::2] + marked, size
    for size, place in [(5, f"unread-{newest_first[8]}"), (6, f"unread-{newest_first[10]}"),
                        (7, f"read-{marked[0]}"), (11, f"read-{marked[4]}")]:  # fmt: skip
        assert (await read_page(client, userId="u1", pageSize=str(size)))["before"] == place


async def test_a_page_is_written_as_all_other_replies(client: Client, database: Database) -> None:
    await add_users(database, "u1")
    await write(database, *[new_message("u1", n) for n in range(3)])
    for query, count in (({}, 3), ({"pageSize": "2"}, 2), ({"pageNo": "2"}, 0)):
        async with client.get("/messages", params={"userId": "u1", **query}) as response:
            text = await response.text()
            assert response.content_type == "application/json"
        page = json.loads(text)
        assert list(page) == ["result", "total", "unread", "pageNo", "pageSize", "before"]
        assert len(page["result"]) == count
        assert text == json.dumps(page, ensure_ascii=False) + "\n"


@pytest.fixture
async def mixed(client: Client, database: Database) -> list[Row]:
    return await mixed_inbox(client, database)


@pytest.mark.parametrize("how", ["query", "form", "json"])
async def test_rows_and_counts_match_each_filter(client: Client, mixed: list[Row], how: str) -> None:
    for team, own, unread, kind in [
        (team, own, unread, kind)
        for team, selves in ((None, [None]), ("x", [None, True, False]), ("y", [None, True, False]))
        for own in selves
        for unread in (None, True, False) for kind in (None, *TYPES[:2], "note")
    ]:  # fmt: skip
        fields = {"teamId": team, "self": own, "unread": unread, "messageType": kind, "pageSize": 2, "pageNo": 1}
        given = {"userId": "u1"} | {name: value for name, value in fields.items() if value is not None}
        found = await _ask(client, "/teammessages" if team else "/messages", given, how)
        # `self: false` filters nothing.
        expected = [
            row for row in mixed
            if row["TEAM_ID"] == team and (not own or row["USER_ID"] == "u1")
            and unread in (None, not row["READ"]) and kind in (None, row["MESSAGE_TYPE"])
        ]  # fmt: skip
        assert found["result"] == expected[:2], given
        assert found["total"] == len(expected), given
        assert found["unread"] == sum(not row["READ"] for row in expected), given


async def _ask(client: Client, path: str, fields: dict[str, Any], how: str) -> dict[str, Any]:
    if how == "json":
        headers = {"Content-Type": "application/json"}
        request = client.post(path, data=json.dumps(fields).encode(), headers=headers)
    else:
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
        request = client.get(path, params=texts) if how == "query" else client.post(path, data=texts)
    async with request as response:
        assert response.status == 200, await response.text()
        reply: dict[str, Any] = await response.json()
    return reply


async def test_each_row_names_its_team(client: Client, mixed: list[Row]) -> None:
    teams = {(row["KIND"], row["TEAM_ID"], row["TEAM_NAME"]) for row in mixed}
    assert teams == {("account", None, None), ("team", "x", "T"), ("team", "y", "T")}


async def test_an_unknown_message_type_is_refused(client: Client) -> None:
    for other in ("Recharge", "réchargé", "%"):
        async with client.get("/messages", params={"userId": "u1", "messageType": other}) as response:
            problem = await response.json(content_type=None)
        assert (problem["code"], problem["field"]) == ("invalid_request", "messageType")
        assert "must be one of account_opened, account_added, " in problem["detail"]


async def test_pages_by_cursor_return_every_message_once_while_new_ones_arrive(
    client: Client, database: Database
) -> None:
    await add_users(database, "u1")
    await write(database, *[new_message("u1", n, TYPES[n % 3]) for n in range(40)])
    await mark(client, userId="u1", nids=(await nids(client, userId="u1", pageSize="40"))[::2])
    expected = await nids(client, userId="u1", pageSize="40")
    seen: list[int] = []
    query: dict[str, str] = {}
    for n in range(100, 200):
        page = await read_page(client, userId="u1", pageSize="7", **query)
        seen += [row["NID"] for row in page["result"]]
        if page["before"] is None:
            break
        query = {"before": page["before"]}
        await write(database, new_message("u1", n, TYPES[n % 5]))
        assert (await read_page(client, userId="u1", **query))["total"] == n - 100 + 41
    assert seen == expected


async def test_pages_by_cursor_miss_no_message_that_is_marked_meanwhile(
    client: Client, database: Database
) -> None:
    await add_users(database, "u1")
    await write(database, *[new_message("u1", n, TYPES[n % 3]) for n in range(40)])
    everything = await nids(client, userId="u1", pageSize="40")
    seen: list[int] = []
    query: dict[str, str] = {}
    # Some before the cursor, and some behind it.
    marks = [everything[3:5], everything[4:16], everything[20:24], everything[11:12], [], everything[::3]]
    for marked in marks:
        page = await read_page(client, userId="u1", pageSize="7", **query)
        seen += [row["NID"] for row in page["result"]]
        query = {"before": page["before"]}
        await mark(client, userId="u1", nids=marked)
    while page["before"] is not None:
        page = await read_page(client, userId="u1", pageSize="7", before=page["before"])
        seen += [row["NID"] for row in page["result"]]
    assert set(seen) == set(everything)
    untouched = set(everything).difference(*marks)
    assert untouched
    assert {seen.count(nid) for nid in untouched} == {1}
