"""What the books say of each account, and what its orders say."""

from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..ledger.decide import POSTED
from ..model.tables import account, order

PAGE_LIMIT: Final = 500

# SQLite adds up to 2**63 and no further, which what goes through an account in the long run may pass: so the upper
# and the lower part of the amounts are added up apart.
LOWER_BITS: Final = 32


def _sums(account_of_order: ColumnElement[int]) -> list[ColumnElement[int]]:
    parts = (order.c.amount.op(">>")(LOWER_BITS), order.c.amount.op("&")(2**LOWER_BITS - 1))
    posted = (account_of_order == account.c.id, order.c.status == POSTED)
    return [func.coalesce(select(func.sum(part)).where(*posted).scalar_subquery(), 0) for part in parts]


_PAGE: Final = (
    select(
        account.c.id,
        account.c.account_id,
        account.c.balance,
        account.c.floor,
        *_sums(order.c.to_account),
        *_sums(order.c.from_account),
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
    return [
        AccountBook(id_, account_id, balance, floor, _whole(in_upper, in_lower), _whole(out_upper, out_lower))
        for id_, account_id, balance, floor, in_upper, in_lower, out_upper, out_lower in rows
    ]


def _whole(upper: int, lower: int) -> int:
    # MariaDB's sums are decimals.
    return (int(upper) << LOWER_BITS) + int(lower)
