"""Opening accounts, and looking at them."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from ..ledger.commands import OpenAccount
from ..ledger.errors import AccountExists, UserExists
from ..store.accounts import HeldAccount, User, account_exists, find_accounts, find_user, insert_user
from ..store.database import Database, utc_now
from ..store.events import insert_event

ACCOUNT_OPENED: Final = "account_opened"


class Holding(NamedTuple):
    """A user with the user's accounts, the one opened first first."""

    user: User
    accounts: list[HeldAccount]


async def open_account(database: Database, announce: Callable[[int], None], command: OpenAccount) -> None:
    """Make the user and the account, and announce it once that is committed.

    Raises UserExists or AccountExists if either id is taken: then nothing is made.
    """
    opened_at = utc_now()

    async def work(connection: AsyncConnection) -> int | None:
        user = await find_user(connection, command.user_id)
        if user is not None:
            accounts = await find_accounts(connection, command.user_id)
            if _is_own(user, accounts, command, opened_at):
                # A commit whose answer never came. Its event waits for the sweeper.
                return None
            raise UserExists(f"User {command.user_id!r} exists already.", field="userId")
        if await account_exists(connection, command.account_id):
            raise AccountExists(f"Account {command.account_id!r} exists already.", field="accountId")
        await insert_user(connection, command, opened_at)
        body = {"user_id": command.user_id, "account_id": command.account_id}
        return await insert_event(connection, ACCOUNT_OPENED, body, opened_at)

    event_id = await database.write(work)
    if event_id is not None:
        announce(event_id)


async def query_accounts(database: Database, user_id: str) -> list[Holding]:
    """Return the one user of that id with the accounts, or nothing."""

    async def work(connection: AsyncConnection) -> list[Holding]:
        user = await find_user(connection, user_id)
        return [] if user is None else [Holding(user, await find_accounts(connection, user_id))]

    return await database.read(work)


def _is_own(user: User, accounts: list[HeldAccount], command: OpenAccount, opened_at: datetime) -> bool:
    """Tell whether this very command made the user: in the same microsecond, and with the same content."""
    first = accounts[0]
    made = OpenAccount(user.user_id, user.user_name, user.sex, user.card_num, first.account_id, first.account_type)
    return user.created_at == opened_at and made == command
