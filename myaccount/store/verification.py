"""The books: each account's balance, the sums of its orders, and the chain of balances that they carry."""

from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Select, bindparam, case, func, select, union_all
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


def _side(party: ColumnElement[int], sign: int, balance: ColumnElement[int]) -> Select[tuple[int, int, int, int]]:
    """Return one side of the orders of a page of accounts: account, order, and the balances before and after."""
    # The 2018 demo let an account pay itself, which left its balance as it was.
    itself = order.c.from_account == order.c.to_account
    moved = case((order.c.status != POSTED, 0), (itself, 0), else_=sign * order.c.amount)
    page = (party > bindparam("after"), party <= bindparam("last"))
    return select(
        party.label("account"), order.c.id, (balance - moved).label("before"), balance.label("balance")
    ).where(*page)


_SIDES: Final = union_all(
    _side(order.c.from_account, -1, order.c.from_balance), _side(order.c.to_account, 1, order.c.to_balance)
).subquery()
_PREVIOUS: Final = func.lag(_SIDES.c.balance).over(partition_by=_SIDES.c.account, order_by=_SIDES.c.id)
_LINKS: Final = select(
    _SIDES.c.account, _SIDES.c.id, _SIDES.c.before, func.coalesce(_PREVIOUS, 0).label("previous")
).subquery()
_BROKEN: Final = (
    select(_LINKS.c.account, func.min(_LINKS.c.id).label("id"))
    .where(_LINKS.c.before != _LINKS.c.previous)
    .group_by(_LINKS.c.account)
    .subquery()
)
_BREAKS: Final = (
    select(account.c.account_id, order.c.order_id)
    .join_from(_BROKEN, account, account.c.id == _BROKEN.c.account)
    .join(order, order.c.id == _BROKEN.c.id)
    .order_by(account.c.id)
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


async def read_breaks(connection: AsyncConnection, after: int, last: int) -> list[tuple[str, str]]:
    """Return the accounts, among those keys, whose orders are no chain, each with its first order that is no link.

    A chain begins at zero, and each order's balance is the one before it, more or less the amount that was moved.
    """
    rows = await connection.execute(_BREAKS, {"after": after, "last": last})
    return [(account_id, order_id) for account_id, order_id in rows]


def _whole(upper: int, lower: int) -> int:
    # MariaDB's sums are decimals.
    return (int(upper) << LOWER_BITS) + int(lower)
