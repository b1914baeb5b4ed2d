"""Withdrawals, refunds, and what an order's query tells, on both backends."""

import asyncio
from typing import Any

import pytest

from ..conftest import Client
from ..helpers.wallets import Answer, balances, open_account, post, query_order

EVERYTHING = {
    "ORDER_ID", "ORDER_TYPE", "FROM_USER_ID", "TO_USER_ID", "FROM_ACCOUNT_ID", "TO_ACCOUNT_ID", "AMOUNT",
    "CURRENCY", "STATUS", "REASON", "CREATE_TIME", "NOTE", "REFERENCE", "BULK_ID", "MADE_BY", "REFUNDED",
    "ORIGINAL_ORDER_ID", "HOLD_ORDER_ID", "CAPTURED", "LEFT", "EXPIRES_AT",
}  # fmt: skip


@pytest.fixture
async def shop(client: Client) -> Client:
    """u1 has 100.00 from the recharge r1, u2 nothing."""
    await open_account(client, "u1", "a1")
    await open_account(client, "u2", "a2")
    await post(client, "/recharge", orderId="r1", userId="u1", amount="100")
    return client


async def _refund(client: Client, order_id: str, original: str, amount: str | None = None) -> Answer:
    return await post(client, "/refund", orderId=order_id, originalOrderId=original, amount=amount)


async def _pay(client: Client, order_id: str, amount: str) -> None:
    answer = await post(client, "/transfer", orderId=order_id, fromuserId="u1", touserId="u2", amount=amount)
    assert answer.status == 200


async def _both(client: Client) -> tuple[str, str]:
    return (await balances(client, "u1"))["a1"], (await balances(client, "u2"))["a2"]


def _told(described: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(described[name] for name in names)


async def test_a_withdrawal_takes_money_out_if_the_balance_covers_it(shop: Client) -> None:
    assert await post(shop, "/withdraw", orderId="w1", userId="u1", amount="30.5") == (200, {"result": 1}, False)
    assert (await post(shop, "/withdraw", orderId="w1", userId="u1", amount="30.50")).replayed
    too_much = await post(shop, "/withdraw", orderId="w2", userId="u1", amount="69.51")
    assert (too_much.status, too_much.code, too_much.field) == (409, "insufficient_funds", "amount")
    assert (await post(shop, "/withdraw", orderId="w1", userId="u1", amount="1")).code == "order_mismatch"
    assert await _both(shop) == ("69.50", "0.00")
    described = await query_order(shop, "w1")
    assert described.keys() == EVERYTHING
    assert _told(described, "ORDER_TYPE", "FROM_USER_ID", "FROM_ACCOUNT_ID", "TO_USER_ID", "TO_ACCOUNT_ID") == (
        "03", "u1", "a1", None, None,
    )  # fmt: skip
    assert _told(described, "AMOUNT", "STATUS", "REFUNDED") == ("30.50", "posted", "0.00")
    assert _told(await query_order(shop, "w2"), "STATUS", "REASON", "REFUNDED") == (
        "declined", "insufficient_funds", None,
    )  # fmt: skip


async def test_a_note_and_a_reference_are_kept_and_part_of_the_order(shop: Client) -> None:
    remarks = {"note": "Two coffees, two cakes 😀 两杯咖啡", "reference": "invoice 7/8"}
    order = {"orderId": "t1", "fromuserId": "u1", "touserId": "u2", "amount": "1"}
    assert (await post(shop, "/transfer", **order, **remarks)).status == 200
    assert _told(await query_order(shop, "t1"), "NOTE", "REFERENCE") == (remarks["note"], remarks["reference"])
    assert (await post(shop, "/transfer", **order, **remarks)).replayed
    for other in ({}, {"note": remarks["note"]}, remarks | {"note": "x"}, remarks | {"reference": "x"}):
        assert (await post(shop, "/transfer", **order, **other)).code == "order_mismatch"
    longest = {"note": "名" * 200, "reference": "r" * 64}
    for n, (path, fields) in enumerate({
        "/recharge": {"userId": "u1", "amount": "1"}, "/withdraw": {"userId": "u1", "amount": "1"},
        "/refund": {"originalOrderId": "t1"}, "/hold": {"fromuserId": "u1", "amount": "1"},
    }.items()):  # fmt: skip
        assert (await post(shop, path, orderId=f"o{n}", **fields, **longest)).status == 200, path
        assert _told(await query_order(shop, f"o{n}"), "NOTE", "REFERENCE") == tuple(longest.values())


async def test_a_refund_gives_back_all_that_is_left_or_a_part(shop: Client) -> None:
    await _pay(shop, "t1", "80")
    assert await _refund(shop, "f1", "t1", "30") == (200, {"result": 1}, False)
    assert await _both(shop) == ("50.00", "50.00")
    assert (await query_order(shop, "t1"))["REFUNDED"] == "30.00"
    assert (await _refund(shop, "f2", "t1")).status == 200
    assert await _both(shop) == ("100.00", "0.00")
    described = await query_order(shop, "f2")
    assert described.keys() == EVERYTHING
    assert _told(described, "ORDER_TYPE", "ORIGINAL_ORDER_ID", "AMOUNT", "REFUNDED", "HOLD_ORDER_ID") == (
        "04", "t1", "50.00", None, None,
    )  # fmt: skip
    assert _told(described, "FROM_ACCOUNT_ID", "TO_ACCOUNT_ID") == ("a2", "a1")
    # Nothing is left.
    nothing = await _refund(shop, "f3", "t1")
    assert (nothing.status, nothing.code, nothing.field) == (409, "refund_exceeds_order", "amount")
    for order_id, amount in (("f1", "30"), ("f2", None)):
        assert (await _refund(shop, order_id, "t1", amount)).replayed
    assert (await _refund(shop, "f1", "t1", "31")).code == "order_mismatch"
    assert (await _refund(shop, "f1", "t1")).code == "order_mismatch"
    assert (await _refund(shop, "f1", "r1", "30")).code == "order_mismatch"


async def test_refunds_of_one_order_at_once_never_exceed_it(shop: Client) -> None:
    await _pay(shop, "t1", "100")
    answers = await asyncio.gather(*[_refund(shop, f"f{n}", "t1", "60") for n in range(8)])
    assert sorted(answer.code for answer in answers) == ["done"] + ["refund_exceeds_order"] * 7
    assert await _both(shop) == ("60.00", "40.00")
    answers = await asyncio.gather(*[_refund(shop, f"g{n}", "t1") for n in range(8)])
    assert sorted(answer.code for answer in answers) == ["done"] + ["refund_exceeds_order"] * 7
    assert await _both(shop) == ("100.00", "0.00")


async def test_refunds_of_a_recharge_and_of_a_withdrawal_go_out_and_come_back(shop: Client) -> None:
    await post(shop, "/withdraw", orderId="w1", userId="u1", amount="40")
    # The payout came back.
    assert (await _refund(shop, "f1", "w1")).status == 200
    assert await _both(shop) == ("100.00", "0.00")
    assert _told(await query_order(shop, "f1"), "FROM_ACCOUNT_ID", "TO_ACCOUNT_ID") == (None, "a1")
    assert (await _refund(shop, "f2", "r1", "25")).status == 200
    assert await _both(shop) == ("75.00", "0.00")
    assert _told(await query_order(shop, "f2"), "FROM_ACCOUNT_ID", "TO_ACCOUNT_ID") == ("a1", None)


async def test_the_payee_pays_a_refund_and_is_not_overdrawn(shop: Client) -> None:
    await _pay(shop, "t1", "80")
    await post(shop, "/withdraw", orderId="w1", userId="u2", amount="80")
    gone = await _refund(shop, "f1", "t1", "0.01")
    assert (gone.status, gone.code) == (409, "insufficient_funds")
    assert (await query_order(shop, "t1"))["REFUNDED"] == "0.00"
    await post(shop, "/recharge", orderId="r2", userId="u2", amount="80")
    # The decline is final.
    assert (await _refund(shop, "f1", "t1", "0.01")).replayed
    assert (await _refund(shop, "f2", "t1")).status == 200


async def test_only_money_that_was_moved_is_refunded(shop: Client) -> None:
    await _pay(shop, "t1", "10")
    await _refund(shop, "f1", "t1")
    await post(shop, "/hold", orderId="h1", fromuserId="u1", touserId="u2", amount="10")
    await post(shop, "/transfer", orderId="t2", fromuserId="u2", touserId="u1", amount="10")
    await post(shop, "/extend", orderId="e1", holdOrderId="h1", expiresIn=60)
    await post(shop, "/release", orderId="v1", holdOrderId="h1")
    for n, original in enumerate(("f1", "h1", "t2", "e1", "v1")):
        answer = await _refund(shop, f"x{n}", original)
        assert (answer.status, answer.code, answer.field) == (409, "not_refundable", "originalOrderId"), original
        assert (await post(shop, "/querorder", orderId=f"x{n}")).status == 404
    missing = await _refund(shop, "x", "nothing")
    assert (missing.status, missing.code, missing.field) == (404, "order_not_found", "originalOrderId")


async def test_a_refund_of_a_capture_is_limited_by_what_was_captured(shop: Client) -> None:
    await post(shop, "/hold", orderId="h1", fromuserId="u1", touserId="u2", amount="50")
    await post(shop, "/capture", orderId="c1", holdOrderId="h1", amount="20", final=True)
    assert (await _refund(shop, "f1", "c1", "20.01")).code == "refund_exceeds_order"
    assert (await _refund(shop, "f2", "c1")).status == 200
    assert await _both(shop) == ("100.00", "0.00")
    assert (await query_order(shop, "c1"))["REFUNDED"] == "20.00"


async def test_an_account_with_frozen_credits_takes_what_is_owed_to_it(shop: Client) -> None:
    await _pay(shop, "t1", "10")
    for frozen, code in (("credits", "done"), ("all", "account_frozen")):
        await post(shop, "/freeze", accountId="a1", frozen=frozen, reason="why")
        assert (await _refund(shop, f"f-{frozen}", "t1", "1")).code == code
    await post(shop, "/freeze", accountId="a1", frozen="none", reason="why")
    await post(shop, "/freeze", accountId="a2", frozen="debits", reason="why")
    assert (await _refund(shop, "f1", "t1", "1")).code == "account_frozen"


async def test_a_refund_in_a_currency_has_its_decimals(client: Client) -> None:
    await open_account(client, "u1", "a1", "JPY")
    await post(client, "/recharge", orderId="r1", userId="u1", amount="100")
    wrong = await _refund(client, "f1", "r1", "1.5")
    assert (wrong.status, wrong.code, wrong.field) == (400, "invalid_request", "amount")
    assert (await _refund(client, "f1", "r1", "1")).status == 200
    assert (await query_order(client, "r1"))["REFUNDED"] == "1"


async def test_the_query_of_an_order_has_every_member_for_every_kind(shop: Client) -> None:
    described = await query_order(shop, "r1")
    assert described.pop("CREATE_TIME").endswith("Z")
    assert described == dict.fromkeys(EVERYTHING - {"CREATE_TIME"}) | {
        "ORDER_ID": "r1", "ORDER_TYPE": "01", "TO_USER_ID": "u1", "TO_ACCOUNT_ID": "a1", "AMOUNT": "100.00",
        "CURRENCY": "CNY", "STATUS": "posted", "REFUNDED": "0.00",
    }  # fmt: skip
