"""Recharges, transfers, and queries of orders."""

from typing import Final

from aiohttp import web

from ..appkeys import database_key, journal_key, replayed_key
from ..database.times import iso_time
from ..errors import OrderNotFound, UserNotFound
from ..journal.order_query import query_order
from ..ledger.commands import Command, Recharge, Transfer
from ..ledger.money import format_amount
from ..ledger.refusals import BalanceTooLarge, InsufficientFunds, OrderMismatch, SameAccount
from .common_fields import MONEY, ORDER_ID, USER_ID
from .operation import Operation, Texts

_ORDER_ERRORS: Final = (UserNotFound, BalanceTooLarge, OrderMismatch)

RECHARGE: Final = Operation(
    "/recharge",
    Recharge,
    {"orderId": ORDER_ID, "userId": USER_ID, "amount": MONEY},
    Texts("充值", "Recharge (top up)", "把钱充入用户的账户。", "Puts money into a user's account."),
    scope="money:in",
    errors=_ORDER_ERRORS,
)
TRANSFER: Final = Operation(
    "/transfer",
    Transfer,
    {
        "orderId": ORDER_ID._replace(example="t1"),
        "fromuserId": USER_ID._replace(chinese="付款方", english="Payer"),
        "touserId": USER_ID._replace(chinese="收款方", english="Payee", example="u2"),
        "amount": MONEY,
    },
    Texts(
        "转账",
        "Transfer",
        "从一位用户转给另一位用户；余额不足则交易失败。",
        "Moves money from one user to another, if the balance covers it.",
    ),
    scope="money:move",
    errors=(SameAccount, InsufficientFunds, *_ORDER_ERRORS),
)
QUERY_ORDER: Final = Operation(
    "/querorder",
    str,
    {"orderId": ORDER_ID._replace(fresh=False)},
    Texts(
        "订单查询",
        "Query an order",
        "查看一笔充值或转账的结果。",
        "Shows what became of an order.",
    ),
    scope="orders:read",
    errors=(OrderNotFound,),
)


async def recharge(request: web.Request) -> dict[str, object]:
    return await _submit(request, await RECHARGE.read(request))


async def transfer(request: web.Request) -> dict[str, object]:
    return await _submit(request, await TRANSFER.read(request))


async def querorder(request: web.Request) -> dict[str, object]:
    order = await query_order(request.app[database_key], await QUERY_ORDER.read(request))
    return {
        "ORDER_ID": order.order_id,
        "ORDER_TYPE": order.order_type,
        "FROM_USER_ID": order.from_user_id,
        "TO_USER_ID": order.to_user_id,
        "AMOUNT": format_amount(order.amount),
        "CURRENCY": order.currency,
        "STATUS": order.status,
        "REASON": order.reason,
        "CREATE_TIME": iso_time(order.created_at),
    }


async def _submit(request: web.Request, command: Command) -> dict[str, object]:
    outcome = await request.app[journal_key].submit(command)
    request[replayed_key] = outcome.replayed
    if outcome.error is not None:
        raise outcome.error
    return {"result": 1}
