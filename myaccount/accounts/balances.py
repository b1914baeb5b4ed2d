"""The query of users with their accounts."""

from collections.abc import Collection
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

from ..database.coalescing import Coalescer
from ..database.database import Database
from ..database.pipeline import select_rows
from ..database.statements import placeholders
from ..database.times import sql_now

_USER: Final = "user.id, user.user_id, user_name, sex, card_num"
_USER_LENGTH: Final = 5
# What is held is less the holds that have expired but are not ended yet. MySQL's sum is a decimal.
_ACCOUNT: Final = (
    "account.id, account_id, account_type, team_id, currency, balance, CASE WHEN account.held > 0"
    " THEN account.held - CAST((SELECT COALESCE(SUM(remaining), 0) FROM hold WHERE payer = account.id"
    " AND due_at <= {now}) AS SIGNED) ELSE 0 END, floor, frozen, account.status, account.created_at"
)
_TABLES: Final = "user LEFT JOIN account ON account.user_id = user.user_id"


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

    return Coalescer(partial(_find_accounts, database))


async def _find_accounts(database: Database, user_ids: Collection[str]) -> dict[str, UserAccounts]:
    """Return the users with their accounts, by user id. Unknown users are left out."""
    account = _ACCOUNT.format(now=sql_now(sqlite=database.embedded))
    query = f"{select_rows(database, f'{_USER}, {account}')} FROM {_TABLES}"
    users = f"user.user_id IN ({placeholders(user_ids)})"
    ((*rows,),) = await database.query((f"{query} WHERE {users}", list(user_ids)))
    # The oldest account first.
    rows.sort(key=lambda row: row[_USER_LENGTH] or 0)
    found: dict[str, UserAccounts] = {}
    for row in rows:
        user = User(*row[:_USER_LENGTH])
        accounts = found.setdefault(user.user_id, UserAccounts(user, [])).accounts
        number, *values, created_at = row[_USER_LENGTH:]
        if number is not None:
            accounts.append(AccountBalance._make((*values, datetime.fromisoformat(created_at))))
    return found
