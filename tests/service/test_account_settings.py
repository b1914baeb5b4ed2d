"""Freezing accounts, closing them and limiting them, on both backends."""

import asyncio

import pytest
from sqlalchemy import select

from myaccount.database.database import Database
from myaccount.model.ledger import account_change

from ..conftest import Client
from ..helpers.wallets import Answer, accounts_of, balances, open_account, post


@pytest.fixture
async def rich(client: Client) -> Client:
    """u1 has 100.00 in a1, u2 has an empty a2."""
    await open_account(client, "u1", "a1")
    await open_account(client, "u2", "a2")
    await post(client, "/recharge", orderId="r1", userId="u1", amount="100")
    return client


async def _freeze(client: Client, account_id: str, frozen: str, reason: str = "why") -> Answer:
    return await post(client, "/freeze", accountId=account_id, frozen=frozen, reason=reason)


async def _limit(client: Client, account_id: str, floor: object) -> Answer:
    return await post(client, "/limit", accountId=account_id, floor=floor, reason="why")


async def _close(client: Client, account_id: str) -> Answer:
    return await post(client, "/close", accountId=account_id, reason="why")


async def _pay(client: Client, order_id: str, payer: str, payee: str, amount: str = "1") -> str:
    return (
        await post(client, "/transfer", orderId=order_id, fromaccountId=payer, toaccountId=payee, amount=amount)
    ).code


async def test_a_freeze_is_in_force_for_every_order_after_it(rich: Client) -> None:
    await _pay(rich, "t0", "a1", "a2", "10")
    for n, (frozen, pays, receives) in enumerate([
        ("debits", "account_frozen", "done"), ("credits", "done", "account_frozen"),
        ("all", "account_frozen", "account_frozen"), ("none", "done", "done"),
    ]):  # fmt: skip
        assert await _freeze(rich, "a1", frozen) == (200, {"result": 1}, False)
        assert (await accounts_of(rich, "u1"))["a1"]["FROZEN"] == frozen
        assert await _pay(rich, f"out{n}", "a1", "a2") == pays, frozen
        assert await _pay(rich, f"in{n}", "a2", "a1") == receives, frozen
        assert (await post(rich, "/withdraw", orderId=f"w{n}", userId="u1", amount="1")).code == pays, frozen
        assert (await post(rich, "/recharge", orderId=f"c{n}", userId="u1", amount="1")).code == receives, frozen
        assert (await post(rich, "/hold", orderId=f"h{n}", fromuserId="u1", amount="1")).code == pays, frozen
    # A decline is final, also once the account is not frozen any more.
    declined = await post(rich, "/transfer", orderId="out0", fromaccountId="a1", toaccountId="a2", amount="1")
    assert (declined.status, declined.code, declined.replayed) == (409, "account_frozen", True)


async def test_the_same_state_again_changes_nothing(rich: Client, database: Database) -> None:
    for _ in range(2):
        assert (await _freeze(rich, "a1", "all")).body == {"result": 1}
        assert (await _limit(rich, "a2", "-5")).body == {"result": 1}
        assert (await _limit(rich, "a1", "0.00")).body == {"result": 1}
    for _ in range(2):
        assert (await _limit(rich, "a2", "0")).body == {"result": 1}
        assert (await _close(rich, "a2")).body == {"result": 1}
    settings = await database.read(lambda connection: connection.scalars(select(account_change.c.setting)))
    assert list(settings) == ["frozen", "floor", "floor", "status"]


async def test_only_an_account_without_money_and_holds_is_closed_and_for_ever(rich: Client) -> None:
    in_use = await _close(rich, "a1")
    assert (in_use.status, in_use.code, in_use.field) == (409, "account_in_use", "accountId")
    await _pay(rich, "t1", "a1", "a2", "100")
    assert (await _close(rich, "a1")).status == 200
    assert (await accounts_of(rich, "u1"))["a1"]["STATUS"] == "closed"
    assert await _pay(rich, "t2", "a1", "a2") == "account_closed"
    assert await _pay(rich, "t3", "a2", "a1") == "account_closed"
    assert (await post(rich, "/recharge", orderId="r2", userId="u1", amount="1")).code == "account_closed"
    for answer in (await _freeze(rich, "a1", "all"), await _limit(rich, "a1", "-1")):
        assert (answer.status, answer.code, answer.field) == (409, "account_closed", "accountId")


async def test_a_closed_account_declines_refunds(rich: Client) -> None:
    await post(rich, "/transfer", orderId="t1", fromuserId="u1", touserId="u2", amount="100")
    await _close(rich, "a1")
    assert (await post(rich, "/refund", orderId="f1", originalOrderId="t1")).code == "account_closed"


async def test_a_limit_below_zero_is_a_credit(rich: Client) -> None:
    # JSON numbers are exact.
    assert (await _limit(rich, "a2", -500.00)).status == 200
    account = (await accounts_of(rich, "u2"))["a2"]
    assert (account["BALANCE"], account["FLOOR"], account["AVAILABLE"]) == ("0.00", "-500.00", "500.00")
    assert await _pay(rich, "t1", "a2", "a1", "500.01") == "insufficient_funds"
    assert await _pay(rich, "t2", "a2", "a1", "500") == "done"
    account = (await accounts_of(rich, "u2"))["a2"]
    assert (account["BALANCE"], account["AVAILABLE"]) == ("-500.00", "0.00")
    for floor in ("0", "-499.99"):
        in_use = await _limit(rich, "a2", floor)
        assert (in_use.status, in_use.code, in_use.field) == (409, "limit_in_use", "floor")
    # A deposit is taken while the balance is below zero.
    assert (await post(rich, "/recharge", orderId="r2", userId="u2", amount="0.01")).status == 200
    assert (await _limit(rich, "a2", "-499.99")).status == 200


async def test_what_is_held_counts_against_a_limit(rich: Client) -> None:
    await post(rich, "/hold", orderId="h1", fromuserId="u1", amount="100")
    assert (await _limit(rich, "a1", "-10")).status == 200
    assert await _pay(rich, "t1", "a1", "a2", "10") == "done"
    assert (await _limit(rich, "a1", "0")).code == "limit_in_use"


async def test_no_other_limit_is_valid(rich: Client) -> None:
    for floor in ("1", "0.01", "+1", "-0", "--1", "- 1", "-1.005", "-1000000000000", "", "-1e2", True, 1, None):
        answer = await _limit(rich, "a1", floor)
        assert (answer.status, answer.code, answer.field) == (400, "invalid_request", "floor"), floor


async def test_an_unknown_account_is_refused(client: Client) -> None:
    for answer in (
        await _freeze(client, "nothing", "all"),
        await _close(client, "nothing"),
        await _limit(client, "nothing", "0"),
        await post(client, "/accountlog", accountId="nothing"),
    ):
        assert (answer.status, answer.code, answer.field) == (404, "account_not_found", "accountId")


async def test_each_change_is_kept_with_its_reason_newest_first(rich: Client) -> None:
    await _freeze(rich, "a2", "debits", reason="涉嫌欺诈 😀")
    await _limit(rich, "a2", "-12.5")
    await _limit(rich, "a2", "0")
    await _close(rich, "a2")
    async with rich.get("/accountlog", params={"accountId": "a2"}) as response:
        got = await response.json()
    posted = await post(rich, "/accountlog", accountId="a2")
    assert posted.body == got
    assert (got["pageSize"], got["before"]) == (20, None)
    times = [row.pop("CREATE_TIME") for row in got["result"]]
    assert times == sorted(times, reverse=True)
    assert got["result"] == [
        {"ACCOUNT_ID": "a2", "CHANGE": change, "VALUE": value, "REASON": reason, "MADE_BY": None}
        for change, value, reason in [
            ("status", "closed", "why"),
            ("floor", "0.00", "why"),
            ("floor", "-12.50", "why"),
            ("frozen", "debits", "涉嫌欺诈 😀"),
        ]
    ]
    assert (await post(rich, "/accountlog", accountId="a1")).body == {
        "result": [],
        "pageSize": 20,
        "before": None,
    }


async def test_a_reason_has_up_to_200_characters(rich: Client) -> None:
    reason = "名" * 200
    assert (await _freeze(rich, "a1", "all", reason)).status == 200
    (row,) = (await post(rich, "/accountlog", accountId="a1")).body["result"]
    assert row["REASON"] == reason


async def test_the_log_has_a_floor_in_the_decimals_of_the_currency(client: Client) -> None:
    await open_account(client, "u1", "a1", "JPY")
    assert (await _limit(client, "a1", "-500")).status == 200
    (row,) = (await post(client, "/accountlog", accountId="a1")).body["result"]
    assert (row["CHANGE"], row["VALUE"]) == ("floor", "-500")


async def test_pages_of_the_log_joined_together_are_the_whole_once_each(rich: Client) -> None:
    for n in range(5):
        await _freeze(rich, "a1", "all" if n % 2 == 0 else "none", reason=str(n))
        await _freeze(rich, "a2", "all" if n % 2 == 0 else "none")
    reasons, before, pages = [], None, 0
    while before is not None or pages == 0:
        page = await post(rich, "/accountlog", accountId="a1", pageSize=2, before=before)
        reasons += [row["REASON"] for row in page.body["result"]]
        before, pages = page.body["before"], pages + 1
        # A change that comes meanwhile is on no later page.
        await _limit(rich, "a1", f"-{pages}")
    assert (reasons, pages) == (["4", "3", "2", "1", "0"], 3)


async def test_changes_and_orders_at_once_all_get_a_reply(rich: Client) -> None:
    answers = await asyncio.gather(
        *[_freeze(rich, "a1", ("all", "none")[n % 2]) for n in range(10)],
        *[post(rich, "/transfer", orderId=f"t{n}", fromuserId="u1", touserId="u2", amount="1") for n in range(10)],
    )
    assert {answer.code for answer in answers} <= {"done", "account_frozen"}
    moved = sum(answer.code == "done" for answer in answers[10:])
    assert await balances(rich, "u2") == {"a2": f"{moved}.00"}
