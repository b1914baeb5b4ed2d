"""What the books say of each account, and what its orders say."""

from typing import Final, NamedTuple

from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..ledger.decide import POSTED
from ..model.tables import account, order

PAGE_LIMIT: Final = 500

_came_in = select(func.sum(order.c.amount)).where(order.c.to_account == account.c.id, order.c.status == POSTED)
_went_out = select(func.sum(order.c.amount)).where(order.c.from_account == account.c.id, order.c.status == POSTED)
_PAGE: Final = (
    select(
        account.c.id,
        account.c.account_id,
        account.c.balance,
        account.c.floor,
        func.coalesce(_came_in.scalar_subquery(), 0),
        func.coalesce(_went_out.scalar_subquery(), 0),
    )
    .where(account.c.id > bindparam("after"))
    .order_by(account.c.id)
    .limit(PAGE_LIMIT)
)


class AccountBook(NamedTuple):
    """An account's balance and floor, and the sums of its posted orders, in the smallest unit."""

    id: int
    account_id: str
    balance: int
    floor: int | None
    came_in: int
    went_out: int


async def count_accounts(connection: AsyncConnection) -> int:
    return await connection.scalar(select(func.count()).select_from(account)) or 0


async def read_books(connection: AsyncConnection, after: int) -> list[AccountBook]:
    """Return the next accounts after a key, at most `PAGE_LIMIT`: the database adds up, so little comes over."""
    rows = await connection.execute(_PAGE, {"after": after})
    return [AccountBook(*row[:4], int(row[4]), int(row[5])) for row in rows]
