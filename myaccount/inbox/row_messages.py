"""Makes messages about entries and declines from these and their orders. An account's entry 0 is its opening."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Final, NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.pipeline import rows_at_once, run_pipeline, select_rows
from ..ledger.changes import ACCOUNT_ADDED, ACCOUNT_OPENED, DECLINE, ORDER_NAMES, Change, opened
from ..ledger.references import OUTSIDE_WORLD
from ..model.ledger import account, user
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
_COLUMNS: Final = (
    "found.account, found.entry, found.decline, found.order_id, found.balance, found.held, made.order_type,"
    " made.from_account, made.amount, made.reason, made.target_order_id, made.note, made.reference,"
    " made.created_at, payer.user_id, payer.user_name, payee.user_id, payee.user_name"
)
_ORDERS: Final = (
    " FROM ({rows}) AS found JOIN `order` AS made ON made.order_id = found.order_id"
    " JOIN account AS source ON source.id = made.from_account"
    " JOIN account AS target ON target.id = made.to_account"
    " LEFT JOIN user AS payer ON payer.user_id = source.user_id"
    " LEFT JOIN user AS payee ON payee.user_id = target.user_id"
)
# Beside numbers, five ids, two names, a note of 200 characters and a reference of 64, of up to four bytes each.
ROW_BYTES: Final = 3_000


class _Row(NamedTuple):
    """What the message about an entry or a decline is made of: _COLUMNS."""

    account: int
    entry: int
    decline: int
    order_id: str
    balance: int
    held: int | None
    order_type: str
    from_account: int
    amount: int
    reason: str | None
    target: str | None
    note: str | None
    reference: str | None
    created_at: str
    payer: str | None
    payer_name: str | None
    payee: str | None
    payee_name: str | None


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
    begin = select_rows(connection, _COLUMNS)
    parts = _parts(ranges, rows_at_once(connection, ROW_BYTES))
    queries = [(f"{begin}{_ORDERS.format(rows=_rows(part))}", ()) for part in parts]
    answers = await run_pipeline(connection, *queries)
    found = [_Row(*row) for answer in answers for row in answer]
    messages = [_message(accounts[row.account], row) for row in found]
    new = {each.account.key: each.account for each in ranges if each.after < 0}
    return [*await _read_openings(connection, new), *sorted(messages, key=attrgetter("position"))]


def _parts(ranges: Sequence[RowRange], limit: int) -> Iterator[list[RowRange]]:
    """Divide the ranges into parts that have at most `limit` rows each."""
    part: list[RowRange] = []
    room = limit
    for whole in ranges:
        rest = whole
        while rest.after < rest.last:
            first = rest._replace(last=min(rest.last, rest.after + room))
            part.append(first)
            room -= first.last - first.after
            rest = rest._replace(after=first.last)
            if not room:
                yield part
                part, room = [], limit
    if part:
        yield part


def _rows(ranges: Sequence[RowRange]) -> str:
    return " UNION ALL ".join(
        (_DECLINES if of_declines else _ENTRIES).format(key=account.key, first=after + 1, last=last)
        for account, of_declines, after, last in ranges
    )


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


def _message(account: AccountBehind, row: _Row) -> RowMessage:
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
        target=row.target,
        note=row.note,
        reference=row.reference,
        held=row.held,
    )
    names = {row.payer or "": row.payer_name or "", row.payee or "": row.payee_name or ""}
    (about_account,) = messages_to_users(change, datetime.fromisoformat(row.created_at), names, account.account_id)
    return RowMessage(account, Position(row.entry, row.decline), about_account.message)
