"""Opening accounts, and looking at them."""

from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from ..ledger.changes import opening
from ..ledger.commands import OpenAccount
from ..ledger.errors import AccountExists, TeamNotFound, UserExists
from ..store.accounts import Holding, account_exists, find_holdings, insert_user
from ..store.database import Database, utc_now
from ..store.events import insert_event
from ..store.teams import find_team
from ..store.together import Together


async def open_account(database: Database, announce: Callable[[int], None], command: OpenAccount) -> None:
    """Make the user and the account, and announce it once that is committed.

    Raises UserExists or AccountExists if either id is taken, or TeamNotFound: then nothing is made.
    """
    opened_at = utc_now()

    async def work(connection: AsyncConnection) -> int | None:
        holding = (await find_holdings(connection, [command.user_id])).get(command.user_id)
        if holding is not None:
            if _is_own(holding, command, opened_at):
                # A commit whose answer never came. Its event waits for the sweeper.
                return None
            raise UserExists(f"User {command.user_id!r} exists already.", field="userId")
        if await account_exists(connection, command.account_id):
            raise AccountExists(f"Account {command.account_id!r} exists already.", field="accountId")
        if command.team_id is not None and await find_team(connection, command.team_id) is None:
            raise TeamNotFound(f"There is no team {command.team_id!r}.", field="teamId")
        await insert_user(connection, command, opened_at)
        return await insert_event(connection, [opening(command)], opened_at)

    event_id = await database.write(work)
    if event_id is not None:
        announce(event_id)


def account_queries(database: Database) -> Together[str, Holding]:
    """Return the way to ask for a user's accounts by user id."""

    async def find(user_ids: Collection[str]) -> dict[str, Holding]:
        return await database.read(partial(find_holdings, user_ids=user_ids))

    return Together(find)


def _is_own(holding: Holding, command: OpenAccount, opened_at: datetime) -> bool:
    """Tell whether this very command made the user: in the same microsecond, and with the same content."""
    user = holding.user
    return user.created_at == opened_at and command in [
        OpenAccount(user.user_id, user.user_name, user.sex, user.card_num, *held[:3]) for held in holding.accounts
    ]
