"""Opening and querying accounts, on both backends."""

import asyncio

from sqlalchemy import func, select

from myaccount.database.database import Database
from myaccount.database.times import utc_now
from myaccount.model.ledger import account, user

from ..conftest import Client
from ..helpers.actions import open_users, send

ALICE = {
    "userId": "u1", "userName": "Alice", "sex": "F",
    "cardNum": "6222020001", "accountId": "a1", "accountType": "01",
}  # fmt: skip


async def test_an_opened_account_is_shown_with_its_balance(client: Client) -> None:
    await send(client, "/openacc", **ALICE)
    await send(client, "/recharge", orderId="r1", userId="u1", amount="1.5")
    _, body, _ = await send(client, "/queryacc", userId="u1")
    assert isinstance(body["result"][0].pop("ID"), int)
    assert body["result"][0]["ACCOUNTS"][0].pop("CREATE_TIME").endswith("Z")
    assert body == {
        "result": [
            {
                "USER_ID": "u1",
                "USER_NAME": "Alice",
                "SEX": "F",
                "CARD_NUM": "6222020001",
                "ACCOUNTS": [
                    {
                        "ACCOUNT_ID": "a1",
                        "ACCOUNT_TYPE": "01",
                        "TEAM_ID": None,
                        "CURRENCY": "CNY",
                        "BALANCE": "1.50",
                        "HELD": "0.00",
                        "AVAILABLE": "1.50",
                        "FLOOR": "0.00",
                        "FROZEN": "none",
                        "STATUS": "open",
                    }
                ],
            }
        ]
    }


async def test_every_character_a_field_may_have_comes_back_as_it_was_sent(client: Client) -> None:
    odd = {
        "userId": "用户-1/ü😀'\"\\%_", "userName": "O'Brien; DROP TABLE user --", "sex": "男",
        "cardNum": "6222 02 <b>", "accountId": "a" * 45, "accountType": "😀" * 45,
    }  # fmt: skip
    assert (await send(client, "/openacc", **odd))[0] == 200
    _, body, _ = await send(client, "/queryacc", userId=odd["userId"])
    row = body["result"][0]
    assert (row["USER_ID"], row["USER_NAME"], row["SEX"], row["CARD_NUM"]) == tuple(
        odd[name] for name in ("userId", "userName", "sex", "cardNum")
    )
    assert (row["ACCOUNTS"][0]["ACCOUNT_ID"], row["ACCOUNTS"][0]["ACCOUNT_TYPE"]) == (
        odd["accountId"],
        odd["accountType"],
    )


async def test_a_taken_id_is_refused_and_leaves_nothing(client: Client, database: Database) -> None:
    await open_users(client, "u1")
    taken_user = await send(client, "/openacc", **ALICE)
    taken_account = await send(client, "/openacc", **ALICE | {"userId": "u2", "accountId": "a-u1"})
    assert [(answer[0], answer[1]["code"], answer[1]["field"]) for answer in (taken_user, taken_account)] == [
        (409, "user_exists", "userId"),
        (409, "account_exists", "accountId"),
    ]
    assert (await send(client, "/queryacc", userId="u2"))[1] == {"result": []}
    for table, rows in ((user, 1), (account, 2)):
        count = select(func.count()).select_from(table)
        assert await database.read(lambda connection, count=count: connection.scalar(count)) == rows  # type: ignore[misc]


async def test_exactly_one_of_many_openings_of_one_user_at_once_succeeds(client: Client) -> None:
    answers = await asyncio.gather(*[send(client, "/openacc", **ALICE) for _ in range(20)])
    assert sorted((status, replayed) for status, _, replayed in answers) == [(200, False)] + [(409, True)] * 19


async def test_a_repeated_opening_is_marked_as_replayed(client: Client) -> None:
    """The client may have missed the first reply. The contract demands an error, so a header marks it."""
    await send(client, "/team", teamId="t", teamName="T")
    await send(client, "/team", teamId="s", teamName="S")
    watched = ALICE | {"teamId": "t"}
    assert await send(client, "/openacc", **watched) == (200, {"result": 1}, False)
    # Later changes of the account do not matter.
    await send(client, "/recharge", orderId="r1", userId="u1", amount="1")
    status, problem, replayed = await send(client, "/openacc", **watched)
    assert (status, problem["code"], problem["field"], replayed) == (409, "user_exists", "userId", True)
    assert "opened with the same fields" in problem["detail"]
    for other in (
        ALICE, watched | {"teamId": "s"}, *[watched | {name: "x"} for name in ALICE if name != "userId"]
    ):  # fmt: skip
        status, problem, replayed = await send(client, "/openacc", **other)
        assert (status, problem["code"], replayed) == (409, "user_exists", False), other
    status, problem, replayed = await send(client, "/openacc", **watched | {"userId": "u2"})
    assert (status, problem["code"], replayed) == (409, "account_exists", False)


async def test_no_client_can_open_or_use_the_external_account(client: Client) -> None:
    status, body, _ = await send(client, "/openacc", **ALICE | {"accountId": "outside CNY"})
    assert (status, body["field"]) == (400, "accountId")
    assert (await send(client, "/recharge", orderId="r1", userId="outside CNY", amount="1"))[0] == 400


async def test_a_user_without_an_account_is_shown_and_not_opened_again(client: Client, database: Database) -> None:
    """The service makes none, but an imported database may have one."""
    row = {"user_id": "u1", "user_name": "Alice", "sex": "F", "card_num": "62", "created_at": utc_now()}
    await database.write(lambda connection: connection.execute(user.insert().values(row)))
    status, body, _ = await send(client, "/queryacc", userId="u1")
    assert (status, body["result"][0]["USER_ID"], body["result"][0]["ACCOUNTS"]) == (200, "u1", [])
    status, body, _ = await send(client, "/openacc", **ALICE)
    assert (status, body["code"]) == (409, "user_exists")
