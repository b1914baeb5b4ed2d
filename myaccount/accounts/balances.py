"""The SQL of users and their accounts."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ..ledger.commands import OpenAccount
from ..ledger.money import CNY
from ..model.ledger import user

_TIME = user.c.created_at.type

_FIND_ACCOUNTS = (
    text(
        "SELECT user.id, user.user_id, user_name, sex, card_num, user.created_at,"
        " account_id, account_type, team_id, currency, balance"
        " FROM user LEFT JOIN account ON account.user_id = user.user_id"
        " WHERE user.user_id IN :user_ids ORDER BY account.id"
    )
    .columns(created_at=_TIME)
    .bindparams(bindparam("user_ids", expanding=True))
)
_FIND_ACCOUNT_ID = text("SELECT id FROM account WHERE account_id = :account_id")
_INSERT_USER = text(
    "INSERT INTO user (user_id, user_name, sex, card_num, created_at)"
    " VALUES (:user_id, :user_name, :sex, :card_num, :created_at)"
).bindparams(bindparam("created_at", type_=_TIME))
_INSERT_ACCOUNT = text(
    "INSERT INTO account (account_id, account_type, user_id, team_id, currency, balance, floor, created_at)"
    " VALUES (:account_id, :account_type, :user_id, :team_id, :currency, 0, 0, :created_at)"
).bindparams(bindparam("created_at", type_=_TIME))


class User(NamedTuple):
    """A user as opened."""

    id: int
    user_id: str
    user_name: str
    sex: str
    card_num: str
    created_at: datetime


class AccountBalance(NamedTuple):
    """One of a user's accounts; the balance is in the currency's smallest unit."""

    account_id: str
    account_type: str
    team_id: str | None
    currency: str
    balance: int


class UserAccounts(NamedTuple):
    """A user with the user's accounts, oldest first."""

    user: User
    accounts: list[AccountBalance]


async def find_accounts(connection: AsyncConnection, user_ids: Collection[str]) -> dict[str, UserAccounts]:
    """Return the users with their accounts, by user id. Unknown users are left out."""
    found: dict[str, UserAccounts] = {}
    for row in await connection.execute(_FIND_ACCOUNTS, {"user_ids": list(user_ids)}):
        user = found.setdefault(row.user_id, UserAccounts(User(*row[:6]), []))
        if row.account_id is not None:
            user.accounts.append(AccountBalance(*row[6:]))
    return found


async def account_exists(connection: AsyncConnection, account_id: str) -> bool:
    return (await connection.execute(_FIND_ACCOUNT_ID, {"account_id": account_id})).first() is not None


async def insert_user(connection: AsyncConnection, command: OpenAccount, created_at: datetime) -> None:
    """Insert the user and the user's first account, with a balance and a floor of zero."""
    await connection.execute(
        _INSERT_USER,
        {
            "user_id": command.user_id,
            "user_name": command.user_name,
            "sex": command.sex,
            "card_num": command.card_num,
            "created_at": created_at,
        },
    )
    await connection.execute(
        _INSERT_ACCOUNT,
        {
            "account_id": command.account_id,
            "account_type": command.account_type,
            "user_id": command.user_id,
            "team_id": command.team_id,
            "currency": CNY.code,
            "created_at": created_at,
        },
    )
