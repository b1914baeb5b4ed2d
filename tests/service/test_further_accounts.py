"""Further accounts of a user, and accounts in other currencies, on both backends."""

import asyncio

import pytest
from sqlalchemy import func, select

from myaccount.database.database import Database
from myaccount.model.ledger import account

from ..conftest import Client
from ..helpers.actions import open_users
from ..helpers.wallets import accounts_of, add_account, balances, open_account, post, query_order


async def _outside(database: Database) -> dict[str, tuple[str, int, None]]:
    """Return type, balance and floor of each currency's outside world."""
    query = select(account).where(account.c.user_id.is_(None)).order_by(account.c.id)
    rows = await database.read(lambda connection: connection.execute(query))
    return {row.account_id: (row.account_type, row.balance, row.floor) for row in rows}


async def test_a_user_gets_further_accounts_in_any_currency(client: Client, database: Database) -> None:
    await open_account(client, "u1", "a1")
    assert await add_account(client, "u1", "a1-jpy", "JPY") == (200, {"result": 1}, False)
    assert await add_account(client, "u1", "a1-cny") == (200, {"result": 1}, False)
    assert await add_account(client, "u1", "a1-clf", "CLF") == (200, {"result": 1}, False)
    accounts = await accounts_of(client, "u1")
    assert [(id_, row["CURRENCY"], row["BALANCE"]) for id_, row in accounts.items()] == [
        ("a1", "CNY", "0.00"), ("a1-jpy", "JPY", "0"), ("a1-cny", "CNY", "0.00"), ("a1-clf", "CLF", "0.0000"),
    ]  # fmt: skip
    made_at = accounts["a1-jpy"].pop("CREATE_TIME")
    assert made_at.endswith("Z")
    assert len(made_at) == len("2026-11-21T10:00:00.000000Z")
    assert accounts["a1-jpy"] == {
        "ACCOUNT_ID": "a1-jpy", "ACCOUNT_TYPE": "02", "TEAM_ID": None, "CURRENCY": "JPY", "BALANCE": "0",
        "HELD": "0", "AVAILABLE": "0", "FLOOR": "0", "FROZEN": "none", "STATUS": "open",
    }  # fmt: skip
    assert await _outside(database) == {
        "outside CNY": ("external", 0, None),
        "outside JPY": ("external", 0, None),
        "outside CLF": ("external", 0, None),
    }


async def test_an_account_is_opened_in_another_currency(client: Client) -> None:
    await open_account(client, "u1", "a1", "KWD")
    assert (await post(client, "/recharge", orderId="r1", userId="u1", amount="1")).status == 200
    assert await balances(client, "u1") == {"a1": "1.000"}
    assert (await query_order(client, "r1"))["AMOUNT"] == "1.000"
    again = {"userId": "u1", "userName": "N", "sex": "F", "cardNum": "6222", "accountId": "a1"}
    assert (await post(client, "/openacc", **again, accountType="01", currency="KWD")).replayed
    assert not (await post(client, "/openacc", **again, accountType="01")).replayed


async def test_an_account_added_again_is_refused_as_taken_and_marked_as_replayed(client: Client) -> None:
    await open_account(client, "u1", "a1")
    await open_account(client, "u2", "a2")
    assert (await add_account(client, "u1", "b1", "JPY")).status == 200
    # Later changes of the account do not matter.
    await post(client, "/recharge", orderId="r1", accountId="b1", amount="1")
    again = await add_account(client, "u1", "b1", "JPY")
    assert (again.status, again.code, again.field, again.replayed) == (409, "account_exists", "accountId", True)
    for user_id, account_id, currency in (("u1", "b1", None), ("u1", "b1", "KWD"), ("u2", "b1", "JPY")):
        other = await add_account(client, user_id, account_id, currency)
        assert (other.status, other.code, other.field, other.replayed) == (
            409, "account_exists", "accountId", False,
        )  # fmt: skip
    # It was opened, not added.
    opened = await post(client, "/addaccount", userId="u1", accountId="a1", accountType="01")
    assert (opened.code, opened.replayed) == ("account_exists", False)
    # It was added, not opened.
    added = await post(
        client, "/openacc", userId="u1", userName="N", sex="F", cardNum="6222", accountId="b1", accountType="02",
        currency="JPY",
    )  # fmt: skip
    assert (added.code, added.replayed) == ("user_exists", False)


async def test_what_cannot_be_added_is_refused_and_leaves_nothing(client: Client, database: Database) -> None:
    await open_account(client, "u1", "a1")
    unknown = await add_account(client, "u2", "a2", "JPY")
    assert (unknown.status, unknown.code, unknown.field) == (404, "user_not_found", "userId")
    no_team = await post(
        client, "/addaccount", userId="u1", accountId="a2", accountType="01", teamId="t", currency="JPY"
    )
    assert (no_team.status, no_team.code, no_team.field) == (404, "team_not_found", "teamId")
    assert list(await balances(client, "u1")) == ["a1"]
    assert list(await _outside(database)) == ["outside CNY"]


async def test_the_first_accounts_of_a_currency_opened_at_once_share_one_outside_world(
    client: Client, database: Database
) -> None:
    await open_users(client, *[f"u{n}" for n in range(8)])

    added = await asyncio.gather(*[add_account(client, f"u{n}", f"b{n}", "JPY") for n in range(8)])
    assert {answer.status for answer in added} == {200}
    assert list(await _outside(database)) == ["outside CNY", "outside JPY"]
    for n in range(8):
        recharge = await post(client, "/recharge", orderId=f"r{n}", userId=f"u{n}", amount="5", currency="JPY")
        assert recharge.status == 200
    assert (await _outside(database))["outside JPY"] == ("external", -40, None)


async def test_exactly_one_of_many_additions_of_one_account_at_once_succeeds(client: Client) -> None:
    await open_account(client, "u1", "a1")

    answers = await asyncio.gather(*[add_account(client, "u1", "b1", "JPY") for _ in range(8)])
    assert sorted((answer.status, answer.replayed) for answer in answers) == [(200, False)] + [(409, True)] * 7


async def test_balances_add_up_to_zero_in_each_currency(client: Client, database: Database) -> None:
    await open_account(client, "u1", "a1")
    await add_account(client, "u1", "b1", "JPY")
    await open_account(client, "u2", "a2", "JPY")
    await post(client, "/recharge", orderId="r1", userId="u1", amount="10")
    await post(client, "/recharge", orderId="r2", accountId="b1", amount="100")
    await post(client, "/transfer", orderId="t1", fromaccountId="b1", touserId="u2", amount="30")
    await post(client, "/withdraw", orderId="w1", userId="u2", amount="10")
    sums = select(account.c.currency, func.sum(account.c.balance)).group_by(account.c.currency)
    rows = await database.read(lambda connection: connection.execute(sums))
    assert {currency: int(total) for currency, total in rows} == {"CNY": 0, "JPY": 0}
    assert (await balances(client, "u1"), await balances(client, "u2")) == (
        {"a1": "10.00", "b1": "70"},
        {"a2": "20"},
    )


REFUSED: list[tuple[str, dict[str, str], int, str, str | None]] = [
    ("/recharge", {"accountId": "nothing"}, 404, "account_not_found", "accountId"),
    ("/recharge", {"userId": "nobody"}, 404, "user_not_found", "userId"),
    ("/recharge", {"userId": "nobody", "currency": "JPY"}, 404, "user_not_found", "userId"),
    ("/recharge", {"userId": "u1", "currency": "USD"}, 404, "account_not_found", "userId"),
    ("/withdraw", {"userId": "u1", "currency": "USD"}, 404, "account_not_found", "userId"),
    ("/withdraw", {"accountId": "nothing"}, 404, "account_not_found", "accountId"),
    ("/recharge", {"accountId": "u1-cny", "currency": "JPY"}, 409, "currency_mismatch", "currency"),
    ("/withdraw", {"accountId": "u1-jpy", "currency": "CNY"}, 409, "currency_mismatch", "currency"),
    ("/transfer", {"fromuserId": "u1", "touserId": "u2"}, 409, "currency_mismatch", "currency"),
    (
        "/transfer",
        {"fromaccountId": "u1-jpy", "toaccountId": "u1-cny"},
        409,
        "currency_mismatch",
        "currency",
    ),
    (
        "/transfer",
        {"fromuserId": "u1", "toaccountId": "u2-jpy", "currency": "CNY"},
        409,
        "currency_mismatch",
        "currency",
    ),
    ("/transfer", {"fromuserId": "u1", "toaccountId": "u1-cny"}, 400, "same_account", None),
    ("/transfer", {"fromuserId": "u1", "toaccountId": "x"}, 404, "account_not_found", "toaccountId"),
    ("/transfer", {"fromaccountId": "x", "touserId": "u2"}, 404, "account_not_found", "fromaccountId"),
    ("/transfer", {"fromuserId": "u1", "touserId": "x"}, 404, "user_not_found", "touserId"),
    (
        "/transfer",
        {"fromuserId": "u1", "touserId": "u2", "currency": "USD"},
        404,
        "account_not_found",
        "fromuserId",
    ),
    ("/hold", {"fromuserId": "u1", "touserId": "x"}, 404, "user_not_found", "touserId"),
    ("/hold", {"fromaccountId": "x"}, 404, "account_not_found", "fromaccountId"),
    ("/hold", {"fromuserId": "u1", "toaccountId": "u1-cny"}, 400, "same_account", None),
    ("/hold", {"fromuserId": "u1", "touserId": "u2"}, 409, "currency_mismatch", "currency"),
    *[
        (path, parties | {"currency": "CNY"}, 404, "account_not_found", field)
        for path, parties, field in [
            ("/transfer", {"fromuserId": "u1", "touserId": "u3"}, "touserId"),
            ("/hold", {"fromuserId": "u1", "touserId": "u3"}, "touserId"),
            ("/hold", {"fromuserId": "u3", "touserId": "u1"}, "fromuserId"),
            ("/hold", {"fromuserId": "u3"}, "fromuserId"),
        ]
    ],
]


class TestParties:
    """Wherever an order names a user it may name an account instead."""

    @pytest.fixture
    async def parties(self, client: Client) -> Client:
        """u1 has CNY, JPY and more CNY; u2 has JPY and CNY; u3 has KWD."""
        await open_account(client, "u1", "u1-cny")
        await add_account(client, "u1", "u1-jpy", "JPY")
        await add_account(client, "u1", "u1-cny2")
        await open_account(client, "u2", "u2-jpy", "JPY")
        await add_account(client, "u2", "u2-cny")
        await open_account(client, "u3", "u3-kwd", "KWD")
        for account_id in ("u1-cny", "u1-jpy", "u1-cny2"):
            assert (
                await post(client, "/recharge", orderId=f"r-{account_id}", accountId=account_id, amount="100")
            ).status == 200
        return client

    async def test_a_user_means_the_account_that_was_opened_first_of_all_or_in_the_currency(
        self, parties: Client
    ) -> None:
        for order_id, fields in {
            "r1": {"userId": "u1"},
            "r2": {"userId": "u1", "currency": "CNY"},
            "r3": {"userId": "u1", "currency": "JPY"},
            "r4": {"userId": "u2"},
            "r5": {"userId": "u2", "currency": "CNY"},
        }.items():
            assert (await post(parties, "/recharge", orderId=order_id, amount="1", **fields)).status == 200
        assert await balances(parties, "u1") == {"u1-cny": "102.00", "u1-jpy": "101", "u1-cny2": "100.00"}
        assert await balances(parties, "u2") == {"u2-jpy": "1", "u2-cny": "1.00"}
        assert [(await query_order(parties, id_))["TO_ACCOUNT_ID"] for id_ in ("r3", "r4", "r5")] == [
            "u1-jpy", "u2-jpy", "u2-cny",
        ]  # fmt: skip

    async def test_each_side_names_a_user_or_an_account(self, parties: Client) -> None:
        for order_id, fields in {
            "t1": {"fromaccountId": "u1-cny2", "toaccountId": "u2-cny"},
            "t2": {"fromaccountId": "u1-jpy", "touserId": "u2"},
            "t3": {"fromuserId": "u1", "touserId": "u2", "currency": "JPY"},
            "t4": {"fromaccountId": "u1-cny2", "touserId": "u1"},
            "t5": {"fromuserId": "u1", "toaccountId": "u1-cny2", "currency": "CNY"},
        }.items():
            answer = await post(parties, "/transfer", orderId=order_id, amount="10", **fields)
            assert answer.status == 200, (order_id, answer)
        assert await balances(parties, "u1") == {"u1-cny": "100.00", "u1-jpy": "80", "u1-cny2": "90.00"}
        assert await balances(parties, "u2") == {"u2-jpy": "20", "u2-cny": "10.00"}
        assert (await post(parties, "/withdraw", orderId="w1", accountId="u2-cny", amount="10")).status == 200

    async def test_what_can_never_be_is_refused_and_leaves_the_order_id_free(self, parties: Client) -> None:
        for path, fields, status, code, field in REFUSED:
            answer = await post(parties, path, orderId="o1", amount="1", **fields)
            assert (answer.status, answer.code, answer.field) == (status, code, field), (path, fields)
            assert (await post(parties, "/querorder", orderId="o1")).code == "order_not_found"
        assert (await post(parties, "/recharge", orderId="o1", userId="u1", amount="1")).status == 200

    async def test_no_order_reaches_the_outside_world_by_its_account_id(self, parties: Client) -> None:
        for account_id in ("outside CNY", "outside JPY"):
            answer = await post(parties, "/recharge", orderId="o1", accountId=account_id, amount="1")
            assert (answer.status, answer.field) == (400, "accountId")

    async def test_an_amount_has_at_most_the_currency_s_decimals_and_digits(self, parties: Client) -> None:
        for n, (account_id, amount, accepted) in enumerate([
            ("u1-jpy", "1.5", False), ("u1-jpy", "1.0", False), ("u1-jpy", "1", True),
            ("u1-jpy", "999999999999999", True), ("u1-jpy", "1000000000000000", False),
            ("u1-cny", "1.005", False), ("u1-cny", "1.00", True), ("u1-cny", "1.0000", False),
            ("u1-cny", "999999999999.99", True), ("u1-cny", "1000000000000", False),
        ]):  # fmt: skip
            answer = await post(parties, "/recharge", orderId=f"o{n}", accountId=account_id, amount=amount)
            assert answer.status == (200 if accepted else 400), (amount, answer)
            assert answer.field == (None if accepted else "amount")

    async def test_the_same_party_named_in_another_way_is_other_content(self, parties: Client) -> None:
        assert (await post(parties, "/recharge", orderId="o1", userId="u1", amount="1")).status == 200
        for fields in (
            {"accountId": "u1-cny"},
            {"userId": "u1", "currency": "CNY"},
            {"userId": "u1", "note": "n"},
            {"userId": "u1", "reference": "n"},
        ):
            answer = await post(parties, "/recharge", orderId="o1", amount="1", **fields)
            assert (answer.status, answer.code, answer.field) == (422, "order_mismatch", "orderId")
        # The same amount, written in another way.
        assert (await post(parties, "/recharge", orderId="o1", userId="u1", amount="1.00")).replayed
