"""Makes messages about entries and declines from these and their orders. An account's entry 0 is its opening."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ..ledger.changes import ACCOUNT_ADDED, ACCOUNT_OPENED, DECLINE, ORDER_NAMES, Change, opened
from ..ledger.references import OUTSIDE_WORLD
from ..model.ledger import account, order, user
from .marks import AccountBehind, Position
from .recipients import messages_to_users
from .writing import NewMessage

_ENTRIES: Final = (
    "SELECT account, number AS entry, 0 AS decline, order_id, balance, held FROM entry WHERE account = {key}"
    " AND number BETWEEN {first} AND {last}"
)
_DECLINES: Final = (
    "SELECT account, entry, number AS decline, order_id, balance, held FROM decline WHERE account = {key}"
    " AND number BETWEEN {first} AND {last}"
)
_ORDERS: Final = (
    "SELECT found.account, found.entry, found.decline, found.order_id, found.balance, found.held, made.order_type,"
    " made.from_account, made.amount, made.reason, made.target_order_id, made.note, made.reference,"
    " made.created_at,"
    " payer.user_id AS payer, payer.user_name AS payer_name, payee.user_id AS payee, payee.user_name AS payee_name"
    " FROM ({rows}) AS found JOIN `order` AS made ON made.order_id = found.order_id"
    " JOIN account AS source ON source.id = made.from_account"
    " JOIN account AS target ON target.id = made.to_account"
    " LEFT JOIN user AS payer ON payer.user_id = source.user_id"
    " LEFT JOIN user AS payee ON payee.user_id = target.user_id"
)


class RowRange(NamedTuple):
    """Entries of an account, or declines: those after one number, up to another."""

    account: AccountBehind
    of_declines: bool
    after: int
    last: int


class RowMessage(NamedTuple):
    """A message about an entry or a decline of an account.

    Positions sort them in the account's order: an entry's decline is 0, a decline's entry is the last one by then.
    """

    account: AccountBehind
    position: Position
    message: NewMessage

    @property
    def of_decline(self) -> bool:
        return self.position.decline > 0


async def read_row_messages(connection: AsyncConnection, ranges: Sequence[RowRange]) -> list[RowMessage]:
    """Return the messages about these entries and declines, those of each account in its order."""
    accounts = {each.account.key: each.account for each in ranges}
    rows = " UNION ALL ".join(
        (_DECLINES if of_declines else _ENTRIES).format(key=account.key, first=after + 1, last=last)
        for account, of_declines, after, last in ranges
    )
    query = text(_ORDERS.format(rows=rows)).columns(created_at=order.c.created_at.type)
    # Core need not keep a query that does not come again.
    found = await connection.execute(query, execution_options={"compiled_cache": None})
    messages = [_message(accounts[row.account], row) for row in found]
    new = {each.account.key: each.account for each in ranges if each.after < 0}
    return [*await _read_openings(connection, new), *sorted(messages, key=attrgetter("position"))]


async def _read_openings(connection: AsyncConnection, accounts: Mapping[int, AccountBehind]) -> list[RowMessage]:
    if not accounts:
        return []
    # The account with which the user was opened has the user's time, and no other one.
    is_first = account.c.created_at == user.c.created_at
    query = select(account.c.id, account.c.created_at, user.c.user_name, is_first).join_from(
        account, user, user.c.user_id == account.c.user_id
    )
    messages = []
    for key, created_at, user_name, with_user in await connection.execute(query.where(account.c.id.in_(accounts))):
        behind = accounts[key]
        change_type = ACCOUNT_OPENED if with_user else ACCOUNT_ADDED
        change = opened(change_type, behind.account_id, behind.user_id, behind.currency)
        (about_account,) = messages_to_users(change, created_at, {behind.user_id: user_name})
        messages.append(RowMessage(behind, Position(0, 0), about_account.message))
    return messages


def _message(account: AccountBehind, row: Row[Any]) -> RowMessage:
    """Return the message to the user of the row's account."""
    order_name = ORDER_NAMES[row.order_type]
    pays = row.from_account == account.key
    change = Change(
        DECLINE if row.decline else order_name,
        row.order_id,
        row.payer or OUTSIDE_WORLD,
        row.payee or OUTSIDE_WORLD,
        row.amount,
        # Of the two sides, only the account's own is known, and only that is said.
        from_balance=row.balance,
        to_balance=row.balance,
        reason=row.reason,
        from_entry=row.entry,
        to_entry=row.entry,
        currency=account.currency,
        from_account_id=account.account_id if pays else None,
        to_account_id=None if pays else account.account_id,
        order_name=order_name,
        target=row.target_order_id,
        note=row.note,
        reference=row.reference,
        held=row.held,
    )
    names = {row.payer or "": row.payer_name or "", row.payee or "": row.payee_name or ""}
    (about_account,) = messages_to_users(change, row.created_at, names, account.account_id)
    return RowMessage(account, Position(row.entry, row.decline), about_account.message)
