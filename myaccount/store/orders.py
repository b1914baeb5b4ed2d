"""The journal's rows and the balances, in SQLAlchemy Core."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, case, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..ledger.decide import Account, Order
from ..model.tables import account, order

_ORDER_COLUMNS = [order.c[name] for name in Order.__dataclass_fields__]

_payer = account.alias("payer")
_payee = account.alias("payee")

_FIND_FIRST_ACCOUNTS = (
    select(account.c.user_id, func.min(account.c.id))
    .where(account.c.user_id.in_(bindparam("user_ids", expanding=True)))
    .group_by(account.c.user_id)
)
# In key order, so that two writers that want the same accounts never wait for each other in a circle.
_LOCK_ACCOUNTS = (
    select(account.c.id, account.c.balance, account.c.floor)
    .where(account.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(account.c.id)
    .with_for_update()
)
_FIND_ORDERS = select(*_ORDER_COLUMNS).where(order.c.order_id.in_(bindparam("order_ids", expanding=True)))
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
    """An order as people ask for it. The outside world has no user id."""

    order_id: str
    order_type: str
    from_user_id: str | None
    to_user_id: str | None
    amount: int
    currency: str
    status: str
    reason: str | None
    created_at: datetime


async def find_first_accounts(connection: AsyncConnection, user_ids: Collection[str]) -> dict[str, int]:
    """Return, by user id, the key of the account that was opened first; unknown users are left out."""
    rows = await connection.execute(_FIND_FIRST_ACCOUNTS, {"user_ids": list(user_ids)})
    return dict(tuple(row) for row in rows)


async def lock_accounts(connection: AsyncConnection, keys: Collection[int]) -> dict[int, Account]:
    """Return the accounts by key, each locked until the transaction ends."""
    rows = await connection.execute(_LOCK_ACCOUNTS, {"ids": sorted(keys)})
    return {row.id: Account(*row) for row in rows}


async def find_orders(connection: AsyncConnection, order_ids: Collection[str]) -> dict[str, Order]:
    """Return, by order id, those of the orders that are in the journal."""
    rows = await connection.execute(_FIND_ORDERS, {"order_ids": list(order_ids)})
    return {row.order_id: Order(*row) for row in rows}


async def insert_orders(connection: AsyncConnection, orders: Sequence[Order], created_at: datetime) -> None:
    if orders:
        await connection.execute(insert(order), [asdict(row) | {"created_at": created_at} for row in orders])


async def write_balances(connection: AsyncConnection, balances: Mapping[int, int]) -> None:
    """Write all the balances in one statement: a round trip for each would cost more than the rest together."""
    if balances:
        new_balance = case(balances, value=account.c.id)
        await connection.execute(update(account).where(account.c.id.in_(balances)).values(balance=new_balance))


async def describe_order(connection: AsyncConnection, order_id: str) -> OrderDescription | None:
    row = (await connection.execute(_DESCRIBE_ORDER, {"order_id": order_id})).first()
    return OrderDescription(*row) if row else None
