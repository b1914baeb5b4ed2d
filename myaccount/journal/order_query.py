"""The query of orders, which reads the database without the journal's writer."""

from collections.abc import Collection, Iterator
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple

from ..database.coalescing import Coalescer
from ..database.database import Database
from ..database.pipeline import select_rows
from ..database.statements import Bound, placeholders
from ..database.times import sql_now
from ..ledger.records import EXPIRED

_ORDER: Final = (
    "`order`.order_id, order_type, payer.user_id, payee.user_id, payer.account_id, payee.account_id, amount,"
    " payee.currency, `order`.status, reason, refunded, target_order_id, bulk_id, note, reference, made_by,"
    " `order`.created_at"
)
_ORDER_LENGTH: Final = 17
_HOLD: Final = "hold.status, captured, remaining, expires_at"
# Of the longest ids, so many orders and their parties fit a max_allowed_packet of 64 KiB.
PARTIES_LIMIT: Final = 80
_TABLES: Final = (
    "`order` JOIN account AS payer ON payer.id = from_account JOIN account AS payee ON payee.id = to_account"
    " LEFT JOIN hold ON hold.order_id = `order`.order_id"
)


class AskedOrder(NamedTuple):
    """An order by its id. With `party`, only if that user pays or is paid."""

    order_id: str
    party: str | None = None


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
    refunded: int
    # The order that a refund gives back, or the hold that the order is about.
    target: str | None
    bulk_id: str | None
    note: str | None
    reference: str | None
    # The id of the API key that made it, or the operator's name. None if an open service took it.
    made_by: str | None
    created_at: datetime
    # None for other orders, and for a declined hold.
    hold: HoldDescription | None

    @property
    def actor(self) -> str | None:
        """The user who pays or, if the money comes from outside, is paid.

        Only that user gets a message about a decline.
        """
        return self.to_user_id if self.from_user_id is None else self.from_user_id

    def is_of(self, user_id: str) -> bool:
        """Whether the user pays or is paid."""
        return user_id in (self.from_user_id, self.to_user_id)


def order_queries(database: Database) -> Coalescer[AskedOrder, OrderDescription]:
    """Return the coalesced query of an order as recorded."""

    return Coalescer(partial(_find_orders, database))


async def _find_orders(database: Database, asked: Collection[AskedOrder]) -> dict[AskedOrder, OrderDescription]:
    """Return the orders. Those that are not there, or are of others than the party, are left out."""
    # A hold that has expired may not be ended yet.
    is_due = f"due_at <= {sql_now(sqlite=database.embedded)}"
    query = f"{select_rows(database, f'{_ORDER}, {_HOLD}, {is_due}')} FROM {_TABLES}"
    answers = await database.query(*[(f"{query} WHERE {which}", ids) for which, ids in _conditions(asked)])
    found = {row[0]: _describe(row) for rows in answers for row in rows}
    return {
        each: order
        for each in asked
        if (order := found.get(each.order_id)) and (each.party is None or order.is_of(each.party))
    }


def _conditions(asked: Collection[AskedOrder]) -> Iterator[Bound]:
    """Give a condition for all orders without a party, and some for those with one."""
    if ids := [each.order_id for each in asked if each.party is None]:
        yield f"`order`.order_id IN ({placeholders(ids)})", ids
    of_parties = [each for each in asked if each.party is not None]
    for start in range(0, len(of_parties), PARTIES_LIMIT):
        ids, parties = map(list, zip(*of_parties[start : start + PARTIES_LIMIT], strict=True))
        among = f"IN ({placeholders(ids)})"
        # Also here, so that an order of others takes as long as one that is not there.
        of_them = f"(payer.user_id {among} OR payee.user_id {among})"
        yield f"`order`.order_id {among} AND {of_them}", [*ids, *parties, *parties]


def _describe(row: list[Any]) -> OrderDescription:
    *order, created_at = row[:_ORDER_LENGTH]
    hold = _describe_hold(*row[_ORDER_LENGTH:])
    return OrderDescription(*[*order, datetime.fromisoformat(created_at), hold])


def _describe_hold(
    status: str | None, captured: int, remaining: int, expires_at: str, is_due: bool
) -> HoldDescription | None:
    if status is None:
        return None
    end = datetime.fromisoformat(expires_at)
    if is_due:
        return HoldDescription(EXPIRED, captured, 0, end)
    return HoldDescription(status, captured, remaining, end)
