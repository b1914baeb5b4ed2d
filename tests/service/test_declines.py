"""Every reason to decline an order, as its reply, its query and its replay tell it, on both backends."""

from typing import Any, Final

import pytest
from sqlalchemy import update

from myaccount.database.database import Database
from myaccount.model.ledger import EXTERNAL_ACCOUNT, account

from ..conftest import Client, eventually
from ..helpers.wallets import open_account, post, query_order

Request = tuple[str, dict[str, Any]]

PAY: Final[Request] = ("/transfer", {"fromuserId": "u1", "touserId": "u2", "amount": "10"})
HOLD: Final = {"orderId": "h1", "fromuserId": "u1", "touserId": "u2", "amount": "10"}
LARGEST_BALANCE: Final = 2**63 - 1

# Of each reason: what comes before, the order that is declined, and the field that the reply names.
DECLINES: Final[dict[str, tuple[list[Request], Request, str | None]]] = {
    "insufficient_funds": ([], ("/transfer", PAY[1] | {"amount": "100.01"}), "amount"),
    "balance_too_large": ([("largest balance", {})], PAY, "amount"),
    "account_frozen": ([("/freeze", {"accountId": "a1", "frozen": "all", "reason": "why"})], PAY, None),
    "account_closed": ([("/close", {"accountId": "a2", "reason": "why"})], PAY, None),
    "hold_expired": (
        [("/hold", HOLD | {"expiresIn": 1}), ("expired", {})], ("/capture", {"holdOrderId": "h1"}), "holdOrderId",
    ),
    "hold_ended": (
        [("/hold", HOLD), ("/release", {"orderId": "v1", "holdOrderId": "h1"})],
        ("/extend", {"holdOrderId": "h1", "expiresIn": 60}),
        "holdOrderId",
    ),
    "capture_exceeds_hold": ([("/hold", HOLD)], ("/capture", {"holdOrderId": "h1", "amount": "10.01"}), "amount"),
    "refund_exceeds_order": ([], ("/refund", {"originalOrderId": "r1", "amount": "100.01"}), "amount"),
}  # fmt: skip


@pytest.fixture
async def shop(client: Client) -> Client:
    """u1 has 100.00 from the recharge r1, u2 nothing."""
    await open_account(client, "u1", "a1")
    await open_account(client, "u2", "a2")
    await post(client, "/recharge", orderId="r1", userId="u1", amount="100")
    return client


async def _prepare(client: Client, database: Database, path: str, fields: dict[str, Any]) -> None:
    match path:
        case "expired":

            async def has_expired() -> bool:
                return bool((await query_order(client, "h1"))["STATUS"] == "expired")

            await eventually(has_expired)
        case "largest balance":
            # More than thousands of orders could add up to.
            for where, change in ((account.c.account_id == "a2", 1), (account.c.id == EXTERNAL_ACCOUNT, -1)):
                larger = update(account).where(where).values(balance=change * LARGEST_BALANCE)
                await database.write(lambda connection, larger=larger: connection.execute(larger))  # type: ignore[misc]
        case _:
            assert (await post(client, path, **fields)).status == 200


@pytest.mark.parametrize("reason", DECLINES)
async def test_a_decline_is_told_by_its_reply_its_query_and_its_replay(
    shop: Client, database: Database, reason: str
) -> None:
    before, (path, fields), field = DECLINES[reason]
    for request in before:
        await _prepare(shop, database, *request)
    for replayed in (False, True, True):
        answer = await post(shop, path, orderId="x", **fields)
        assert (answer.status, answer.code, answer.field, answer.replayed) == (409, reason, field, replayed)
        described = await query_order(shop, "x")
        assert (described["STATUS"], described["REASON"]) == ("declined", reason)


async def test_bulk_declined_is_told_by_the_query_and_the_replay_of_its_order(shop: Client) -> None:
    path, fields = PAY
    orders = [{"type": "transfer", "orderId": id_, **fields, "amount": id_} for id_ in ("10", "1000")]
    assert (await post(shop, "/bulk", bulkId="b1", atomic=True, orders=orders)).code == "insufficient_funds"
    described = await query_order(shop, "10")
    assert (described["STATUS"], described["REASON"], described["BULK_ID"]) == ("declined", "bulk_declined", "b1")
    alone = await post(shop, path, orderId="10", **fields)
    assert (alone.status, alone.code, alone.field, alone.replayed) == (409, "bulk_declined", None, True)
