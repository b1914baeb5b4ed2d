"""The messages about entries, made from entries and orders. An account's entry 0 is its opening."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ..ledger.changes import ACCOUNT_ADDED, ACCOUNT_OPENED, ORDER_NAMES, Change, opened
from ..ledger.references import OUTSIDE_WORLD
from ..model.ledger import account, order, user
from .marks import AccountBehind
from .recipients import messages_to_users
from .writing import NewMessage

_ENTRIES: Final = (
    "SELECT account, number, order_id, amount, balance, held FROM entry WHERE account = {key}"
    " AND number BETWEEN {first} AND {last}"
)
_ORDERS: Final = (
    "SELECT entry.account, entry.number, entry.order_id, entry.amount, entry.balance, entry.held, made.order_type,"
    " made.target_order_id, made.note, made.reference, made.created_at,"
    " payer.user_id AS payer, payer.user_name AS payer_name, payee.user_id AS payee, payee.user_name AS payee_name"
    " FROM ({entries}) AS entry JOIN `order` AS made ON made.order_id = entry.order_id"
    " JOIN account AS source ON source.id = made.from_account"
    " JOIN account AS target ON target.id = made.to_account"
    " LEFT JOIN user AS payer ON payer.user_id = source.user_id"
    " LEFT JOIN user AS payee ON payee.user_id = target.user_id"
)


class EntryMessage(NamedTuple):
    """A message about an entry, the entry's account, and its number."""

    account: AccountBehind
    number: int
    message: NewMessage


async def read_entry_messages(connection: AsyncConnection, ranges: Sequence[AccountBehind]) -> list[EntryMessage]:
    """Return the messages about these entries, those of each account in the order of its numbers."""
    accounts = {account.key: account for account in ranges}
    entries = " UNION ALL ".join(
        _ENTRIES.format(key=account.key, first=account.mark + 1, last=account.last) for account in ranges
    )
    query = text(_ORDERS.format(entries=entries)).columns(created_at=order.c.created_at.type)
    # Core need not keep a query that does not come again.
    rows = await connection.execute(query, execution_options={"compiled_cache": None})
    messages = [_message(accounts[row.account], row) for row in rows]
    new = {account.key: account for account in ranges if account.mark < 0}
    return [*await _read_openings(connection, new), *sorted(messages, key=attrgetter("number"))]


async def _read_openings(connection: AsyncConnection, accounts: Mapping[int, AccountBehind]) -> list[EntryMessage]:
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
        messages.append(EntryMessage(behind, 0, about_account.message))
    return messages


def _message(account: AccountBehind, row: Row[Any]) -> EntryMessage:
    """Return the message to the user of the entry's account."""
    order_name = ORDER_NAMES[row.order_type]
    pays = row.amount < 0
    change = Change(
        order_name,
        row.order_id,
        row.payer or OUTSIDE_WORLD,
        row.payee or OUTSIDE_WORLD,
        abs(row.amount),
        # Of the two sides, only the account's own is known, and only that is said.
        from_balance=row.balance,
        to_balance=row.balance,
        from_entry=row.number,
        to_entry=row.number,
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
    return EntryMessage(account, row.number, about_account.message)
