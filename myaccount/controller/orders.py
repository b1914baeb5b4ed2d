"""Moving money, and looking at what became of it."""

from typing import Final

from aiohttp import web

from ..appkeys import database_key, journal_key, replayed_key
from ..journal.order_query import query_order
from ..ledger.commands import Command, Recharge, Transfer
from ..ledger.money import format_amount
from .forms import Form, amount, identifier

RECHARGE: Final = Form(Recharge, orderId=identifier, userId=identifier, amount=amount)
TRANSFER: Final = Form(Transfer, orderId=identifier, fromuserId=identifier, touserId=identifier, amount=amount)
QUERY: Final = Form(str, orderId=identifier)


async def recharge(request: web.Request) -> dict[str, object]:
    return await _submit(request, await RECHARGE.read(request))


async def transfer(request: web.Request) -> dict[str, object]:
    return await _submit(request, await TRANSFER.read(request))


async def querorder(request: web.Request) -> dict[str, object]:
    order = await query_order(request.app[database_key], await QUERY.read(request))
    return {
        "ORDER_ID": order.order_id,
        "ORDER_TYPE": order.order_type,
        "FROM_USER_ID": order.from_user_id,
        "TO_USER_ID": order.to_user_id,
        "AMOUNT": format_amount(order.amount),
        "CURRENCY": order.currency,
        "STATUS": order.status,
        "REASON": order.reason,
        "CREATE_TIME": order.created_at.isoformat(timespec="microseconds") + "Z",
    }


async def _submit(request: web.Request, command: Command) -> dict[str, object]:
    outcome = await request.app[journal_key].submit(command)
    request[replayed_key] = outcome.replayed
    if outcome.error is not None:
        raise outcome.error
    return {"result": 1}
