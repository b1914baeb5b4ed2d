"""The SQL of the verification: each account's balance, the sums of its orders, and its chain of balances."""

from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Select, bindparam, case, func, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from ..ledger.records import POSTED
from ..model.ledger import account, order

PAGE_LIMIT: Final = 500

# SQLite's sums overflow at 2**63, and an account's total turnover may pass that. So the upper and the lower bits
# of the amounts are summed separately.
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


def _side(
    party: ColumnElement[int], sign: int, balance: ColumnElement[int]
) -> Select[tuple[int, int, int, int, int]]:
    """Return the query of one side of a page's orders: account, order, 1 if posted, balances before and after."""
    posted = case((order.c.status == POSTED, 1), else_=0)
    # In the 2018 demo an account could pay itself, which did not change its balance.
    itself = order.c.from_account == order.c.to_account
    moved = case((order.c.status != POSTED, 0), (itself, 0), else_=sign * order.c.amount)
    page = (party > bindparam("after"), party <= bindparam("last"))
    return select(
        party.label("account"),
        order.c.id,
        posted.label("posted"),
        (balance - moved).label("before"),
        balance.label("balance"),
    ).where(*page)


_SIDES: Final = union_all(
    _side(order.c.from_account, -1, order.c.from_balance), _side(order.c.to_account, 1, order.c.to_balance)
).subquery()
_PREVIOUS: Final = func.lag(_SIDES.c.balance).over(partition_by=_SIDES.c.account, order_by=_SIDES.c.id)
_LINKS: Final = select(
    _SIDES.c.account,
    _SIDES.c.id,
    _SIDES.c.posted,
    _SIDES.c.before,
    func.coalesce(_PREVIOUS, 0).label("previous"),
).subquery()
_CHAINS: Final = (
    select(
        _LINKS.c.account,
        func.sum(_LINKS.c.posted).label("entries"),
        func.min(case((_LINKS.c.before != _LINKS.c.previous, _LINKS.c.id))).label("broken"),
    )
    .group_by(_LINKS.c.account)
    .subquery()
)
_ENTRIES: Final = func.coalesce(_CHAINS.c.entries, 0)
_FAULTY_CHAINS: Final = (
    select(account.c.account_id, account.c.last_entry, _ENTRIES, order.c.order_id)
    .join_from(account, _CHAINS, account.c.id == _CHAINS.c.account, isouter=True)
    .join(order, order.c.id == _CHAINS.c.broken, isouter=True)
    .where(account.c.id > bindparam("after"), account.c.id <= bindparam("last"))
    .where(or_(_CHAINS.c.broken.is_not(None), account.c.last_entry != _ENTRIES))
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
    """Return the next accounts after a key, at most `PAGE_LIMIT`. The database computes the sums."""
    rows = await connection.execute(_PAGE, {"after": after})
    return [
        AccountBook(id_, account_id, balance, floor, _whole(in_upper, in_lower), _whole(out_upper, out_lower))
        for id_, account_id, balance, floor, in_upper, in_lower, out_upper, out_lower in rows
    ]


class FaultyChain(NamedTuple):
    """An account with an order that does not fit its balances, or with a wrong number of the last entry.

    `order_id` is the first order whose balance is not the previous one plus or minus its amount; the chain starts
    at zero. It is None if only the number is wrong. `entries` is the true number of entries.
    """

    account_id: str
    last_entry: int
    entries: int
    order_id: str | None


async def read_faulty_chains(connection: AsyncConnection, after: int, last: int) -> list[FaultyChain]:
    """Return the faulty chains of the accounts whose keys are above `after`, up to `last`."""
    rows = await connection.execute(_FAULTY_CHAINS, {"after": after, "last": last})
    return [FaultyChain(account_id, last, int(entries), order_id) for account_id, last, entries, order_id in rows]


def _whole(upper: int, lower: int) -> int:
    # MariaDB's sums are decimals.
    return (int(upper) << LOWER_BITS) + int(lower)
