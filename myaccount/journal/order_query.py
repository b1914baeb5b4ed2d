"""The query of an order, which reads the database without the journal's writer."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database
from ..database.times import server_time
from ..ledger.records import EXPIRED
from ..model.ledger import account, hold, order

_payer = account.alias("payer")
_payee = account.alias("payee")

_ORDER = (
    order.c.order_id,
    order.c.order_type,
    _payer.c.user_id,
    _payee.c.user_id,
    _payer.c.account_id,
    _payee.c.account_id,
    order.c.amount,
    _payee.c.currency,
    order.c.status,
    order.c.reason,
    order.c.created_at,
    order.c.refunded,
    order.c.target_order_id,
    order.c.bulk_id,
    order.c.note,
    order.c.reference,
    order.c.made_by,
)
# A hold that has expired may not be ended yet.
_HOLD = (
    hold.c.status,
    hold.c.captured,
    hold.c.remaining,
    hold.c.expires_at,
    (hold.c.due_at <= server_time()).label("is_due"),
)
_DESCRIBE_ORDER = (
    select(*_ORDER, *_HOLD)
    .join_from(order, _payer, _payer.c.id == order.c.from_account)
    .join(_payee, _payee.c.id == order.c.to_account)
    .join(hold, hold.c.order_id == order.c.order_id, isouter=True)
    .where(order.c.order_id == bindparam("order_id"))
)
_DESCRIBE_OWN_ORDER = _DESCRIBE_ORDER.where(
    or_(_payer.c.user_id == bindparam("party"), _payee.c.user_id == bindparam("party"))
)


class HoldDescription(NamedTuple):
    """What is left of a hold; amounts are in the currency's smallest unit."""

    status: str
    captured: int
    left: int
    expires_at: datetime


class OrderDescription(NamedTuple):
    """An order for display: amounts are in the currency's smallest unit; the outside world has no user id."""

    order_id: str
    order_type: str
    from_user_id: str | None
    to_user_id: str | None
    from_account_id: str
    to_account_id: str
    amount: int
    currency: str
    status: str
    reason: str | None
    created_at: datetime
    refunded: int
    # The order that a refund gives back, or the hold that the order is about.
    target: str | None
    bulk_id: str | None
    note: str | None
    reference: str | None
    # The id of the API key that made it, or the operator's name. None if an open service took it.
    made_by: str | None
    # None for other orders, and for a declined hold.
    hold: HoldDescription | None


async def query_order(database: Database, order_id: str, party: str | None = None) -> OrderDescription | None:
    """Return the order as recorded, or None if there is none. With `party`, only if that user pays or is paid.

    The database looks for the user, so an order of others takes as long as one that is not there.
    """
    statement = _DESCRIBE_ORDER if party is None else _DESCRIBE_OWN_ORDER

    async def work(connection: AsyncConnection) -> OrderDescription | None:
        row = (await connection.execute(statement, {"order_id": order_id, "party": party})).first()
        if row is None:
            return None
        return OrderDescription(*[*row[: len(_ORDER)], _describe_hold(*row[len(_ORDER) :])])

    return await database.read(work)


def _describe_hold(
    status: str | None, captured: int, remaining: int, expires_at: datetime, is_due: bool
) -> HoldDescription | None:
    if status is None:
        return None
    if is_due:
        return HoldDescription(EXPIRED, captured, 0, expires_at)
    return HoldDescription(status, captured, remaining, expires_at)
