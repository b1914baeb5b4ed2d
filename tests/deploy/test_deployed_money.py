"""The life of money through nginx and gunicorn with several workers, on MariaDB and Redis."""

import asyncio
from typing import Any

import aiohttp

from ..conftest import Section
from ..helpers.deployments import NginxBefore, nginx_before, port_of, sections, session, start_gunicorn
from ..helpers.services import Start

__all__ = ["nginx_before", "sections", "session"]

PAY: dict[str, Any] = {"fromuserId": "u1", "touserId": "u2", "amount": "10"}
USER = {"userName": "N", "sex": "F", "cardNum": "1", "accountType": "01", "currency": "JPY"}
BULK: dict[str, Any] = {
    "bulkId": "b1",
    "atomic": True,
    "orders": [
        {"type": "transfer", "orderId": "t1", "fromuserId": "u2", "touserId": "u1", "amount": "5"},
        {"type": "transfer", "orderId": "t2", "fromuserId": "u1", "touserId": "u2", "amount": "905"},
    ],
}


async def test_money_moves_as_the_contract_says_through_nginx_and_gunicorn(
    start: Start, nginx_before: NginxBefore, session: aiohttp.ClientSession, sections: Section
) -> None:
    """The workers take the requests in turn, and each sees what the others did."""
    service = await asyncio.to_thread(start_gunicorn, start, 2, **sections)
    nginx = await asyncio.to_thread(nginx_before, port_of(service))

    async def post(path: str, **fields: object) -> tuple[int, dict[str, Any], bool]:
        async with session.post(f"{nginx.address}{path}", json=fields) as response:
            body = await response.json(content_type=None)
            return response.status, body, "Idempotent-Replayed" in response.headers

    done = (200, {"result": 1}, False)
    for number in ("1", "2"):
        assert await post("/openacc", userId=f"u{number}", accountId=f"a{number}", **USER) == done
    assert await post("/recharge", orderId="r1", userId="u1", amount="1000") == done
    assert await post("/hold", orderId="h1", **PAY | {"amount": "300"}) == done
    assert await post("/capture", orderId="c1", holdOrderId="h1", amount="100") == done
    assert await post("/refund", orderId="f1", originalOrderId="c1", amount="40") == done
    assert await post("/freeze", accountId="a1", frozen="debits", reason="to be seen by both workers") == done
    for n in range(4):
        status, body, _ = await post("/transfer", orderId=f"x{n}", **PAY)
        assert (status, body["code"]) == (409, "account_frozen")
    assert await post("/freeze", accountId="a1", frozen="none", reason="seen") == done
    # 940 less 200 that are held, and 5 in before: 905 are too many until the rest of the hold is free.
    status, body, _ = await post("/bulk", **BULK)
    assert (status, body["code"], body["failed"]) == (409, "insufficient_funds", 1)
    assert await post("/release", orderId="v1", holdOrderId="h1") == done
    orders = [order | {"orderId": f"{order['orderId']}b"} for order in BULK["orders"]]
    for replayed in (False, True, True):
        status, body, is_replay = await post("/bulk", **BULK | {"bulkId": "b2", "orders": orders})
        assert (status, body["result"], is_replay) == (200, 1, replayed)
    status, body, is_replay = await post("/bulk", **BULK)
    assert (status, body["code"], is_replay) == (409, "insufficient_funds", True)

    expected: dict[str, dict[str, Any]] = {
        "h1": {"STATUS": "released", "CAPTURED": "100", "LEFT": "0", "CURRENCY": "JPY"},
        "c1": {"STATUS": "posted", "REFUNDED": "40", "HOLD_ORDER_ID": "h1"},
        "f1": {"ORIGINAL_ORDER_ID": "c1", "FROM_ACCOUNT_ID": "a2", "TO_ACCOUNT_ID": "a1", "AMOUNT": "40"},
        "t1": {"STATUS": "declined", "REASON": "bulk_declined", "BULK_ID": "b1"},
        "t2b": {"STATUS": "posted", "REASON": None, "BULK_ID": "b2"},
    }
    for order_id, told in expected.items():
        status, body, _ = await post("/querorder", orderId=order_id)
        assert (status, body | told) == (200, body)
    async with session.get(f"{nginx.address}/accountlog", params={"accountId": "a1"}) as response:
        rows = (await response.json())["result"]
    assert [(row["CHANGE"], row["VALUE"]) for row in rows] == [("frozen", "none"), ("frozen", "debits")]
    for number, balance in (("1", "40"), ("2", "960")):
        _, body, _ = await post("/queryacc", userId=f"u{number}")
        (account,) = body["result"][0]["ACCOUNTS"]
        assert (account["BALANCE"], account["HELD"], account["FLOOR"]) == (balance, "0", "0")
