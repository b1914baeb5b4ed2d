"""The SQL that finds an order."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..model.ledger import account, order

_payer = account.alias("payer")
_payee = account.alias("payee")

_DESCRIBE_ORDER = (
    select(
        order.c.order_id,
        order.c.order_type,
        _payer.c.user_id,
        _payee.c.user_id,
        order.c.amount,
        _payee.c.currency,
        order.c.status,
        order.c.reason,
        order.c.created_at,
    )
    .join_from(order, _payer, _payer.c.id == order.c.from_account)
    .join(_payee, _payee.c.id == order.c.to_account)
    .where(order.c.order_id == bindparam("order_id"))
)


class OrderDescription(NamedTuple):
    """An order for display: the amount is in the currency's smallest unit; the outside world has no user id."""

    order_id: str
    order_type: str
    from_user_id: str | None
    to_user_id: str | None
    amount: int
    currency: str
    status: str
    reason: str | None
    created_at: datetime


async def describe_order(connection: AsyncConnection, order_id: str) -> OrderDescription | None:
    row = (await connection.execute(_DESCRIBE_ORDER, {"order_id": order_id})).first()
    return OrderDescription(*row) if row else None
