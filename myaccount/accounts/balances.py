"""The SQL of users and their accounts."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import BigInteger, bindparam, case, cast, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.times import server_time
from ..ledger.account_commands import AddAccount, OpenAccount
from ..ledger.currencies import CNY
from ..model.ledger import OUTSIDE_PREFIX, account, hold, user

# Holds that have expired but are not ended yet: nothing is held for them any more.
_EXPIRED = (
    select(func.coalesce(func.sum(hold.c.remaining), 0))
    .where(hold.c.payer == account.c.id, hold.c.due_at <= server_time())
    .scalar_subquery()
)
# MySQL's sum is a decimal.
_HELD = case((account.c.held > 0, account.c.held - cast(_EXPIRED, BigInteger)), else_=0)
_ACCOUNT = (
    account.c.account_id,
    account.c.account_type,
    account.c.team_id,
    account.c.currency,
    account.c.created_at,
    account.c.balance,
    _HELD,
    account.c.floor,
    account.c.frozen,
    account.c.status,
)
_USER = (user.c.id, user.c.user_id, user.c.user_name, user.c.sex, user.c.card_num, user.c.created_at)
_FIND_ACCOUNTS = (
    select(*_USER, *_ACCOUNT)
    .join_from(user, account, account.c.user_id == user.c.user_id, isouter=True)
    .where(user.c.user_id.in_(bindparam("user_ids", expanding=True)))
    .order_by(account.c.id)
)
_LOCK_USER = select(user.c.id).where(user.c.user_id == bindparam("user_id")).with_for_update()
_FIND_ACCOUNT_ID = select(account.c.id).where(account.c.account_id == bindparam("account_id"))


class User(NamedTuple):
    """A user as opened."""

    id: int
    user_id: str
    user_name: str
    sex: str
    card_num: str
    created_at: datetime


class AccountBalance(NamedTuple):
    """One of a user's accounts; balance, held and floor are in the currency's smallest unit."""

    account_id: str
    account_type: str
    team_id: str | None
    currency: str
    created_at: datetime
    balance: int
    held: int
    floor: int
    frozen: str
    status: str


class UserAccounts(NamedTuple):
    """A user with the user's accounts, oldest first."""

    user: User
    accounts: list[AccountBalance]


async def find_accounts(connection: AsyncConnection, user_ids: Collection[str]) -> dict[str, UserAccounts]:
    """Return the users with their accounts, by user id. Unknown users are left out."""
    found: dict[str, UserAccounts] = {}
    for row in await connection.execute(_FIND_ACCOUNTS, {"user_ids": list(user_ids)}):
        user = found.setdefault(row.user_id, UserAccounts(User(*row[: len(_USER)]), []))
        if row.account_id is not None:
            user.accounts.append(AccountBalance(*row[len(_USER) :]))
    return found


async def lock_user(connection: AsyncConnection, user_id: str) -> None:
    """Lock the user's row, if there is one, until the transaction ends."""
    await connection.execute(_LOCK_USER, {"user_id": user_id})


async def account_exists(connection: AsyncConnection, account_id: str) -> bool:
    return (await connection.execute(_FIND_ACCOUNT_ID, {"account_id": account_id})).first() is not None


async def insert_user(connection: AsyncConnection, command: OpenAccount, created_at: datetime) -> None:
    row = {
        "user_id": command.user_id,
        "user_name": command.user_name,
        "sex": command.sex,
        "card_num": command.card_num,
        "created_at": created_at,
    }
    await connection.execute(insert(user), row)


async def insert_account(
    connection: AsyncConnection, command: OpenAccount | AddAccount, created_at: datetime
) -> None:
    """Insert the account, with a balance and a floor of zero; before it the outside world's, if there is none.

    If another transaction inserts the same outside world meanwhile, this one fails by the clash, and is run again.
    """
    # That of CNY is made with the tables.
    if command.currency != CNY.code:
        outside_id = OUTSIDE_PREFIX + command.currency
        if not await account_exists(connection, outside_id):
            outside = {"account_id": outside_id, "account_type": "external", "user_id": None, "team_id": None}
            await _insert(connection, outside | {"currency": command.currency, "floor": None}, created_at)
    row = {
        "account_id": command.account_id,
        "account_type": command.account_type,
        "user_id": command.user_id,
        "team_id": command.team_id,
    }
    await _insert(connection, row | {"currency": command.currency, "floor": 0}, created_at)


async def _insert(connection: AsyncConnection, row: Mapping[str, object], created_at: datetime) -> None:
    await connection.execute(insert(account), {**row, "balance": 0, "created_at": created_at})
