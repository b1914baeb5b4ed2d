"""The query of users with their accounts."""

from collections.abc import Collection
from datetime import datetime
from functools import partial
from typing import NamedTuple

from sqlalchemy import BigInteger, String, bindparam, case, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.coalescing import Coalescer
from ..database.database import Database
from ..database.times import server_time
from ..model.ledger import account, hold, user

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
    account.c.balance,
    _HELD,
    account.c.floor,
    account.c.frozen,
    account.c.status,
    # As text, which Python parses ten times as fast as the driver.
    cast(account.c.created_at, String),
)
_USER = (user.c.id, user.c.user_id, user.c.user_name, user.c.sex, user.c.card_num)
_FIND_ACCOUNTS = (
    select(*_USER, *_ACCOUNT)
    .join_from(user, account, account.c.user_id == user.c.user_id, isouter=True)
    .where(user.c.user_id.in_(bindparam("user_ids", expanding=True)))
    .order_by(account.c.id)
)


class User(NamedTuple):
    """A user as opened."""

    id: int
    user_id: str
    user_name: str
    sex: str
    card_num: str


class AccountBalance(NamedTuple):
    """One of a user's accounts; balance, held and floor are in the currency's smallest unit."""

    account_id: str
    account_type: str
    team_id: str | None
    currency: str
    balance: int
    held: int
    floor: int
    frozen: str
    status: str
    created_at: datetime


class UserAccounts(NamedTuple):
    """A user with the user's accounts, oldest first."""

    user: User
    accounts: list[AccountBalance]


def account_queries(database: Database) -> Coalescer[str, UserAccounts]:
    """Return the coalesced query of a user with accounts, by user id."""

    async def find(user_ids: Collection[str]) -> dict[str, UserAccounts]:
        return await database.read(partial(_find_accounts, user_ids=user_ids))

    return Coalescer(find)


async def _find_accounts(connection: AsyncConnection, user_ids: Collection[str]) -> dict[str, UserAccounts]:
    """Return the users with their accounts, by user id. Unknown users are left out."""
    found: dict[str, UserAccounts] = {}
    for row in await connection.execute(_FIND_ACCOUNTS, {"user_ids": list(user_ids)}):
        user = found.setdefault(row.user_id, UserAccounts(User(*row[: len(_USER)]), []))
        if row.account_id is not None:
            *values, created_at = row[len(_USER) :]
            user.accounts.append(AccountBalance._make((*values, datetime.fromisoformat(created_at))))
    return found
