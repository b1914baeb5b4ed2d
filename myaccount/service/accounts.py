"""Opening accounts, and looking at them."""

from collections.abc import Callable
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
        if user is not None and user.created_at == opened_at:
            # The commit whose answer never came: this is the row of this very request. Its event waits
            # for the sweeper.
            return None
        if user is not None:
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
