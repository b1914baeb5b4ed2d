"""Opening accounts, and looking at them."""

from collections.abc import Callable, Collection
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.coalescing import Coalescer
from ..database.database import Database, utc_now
from ..errors import AccountExists, OpenedBefore, TeamNotFound, UserExists
from ..inbox.team_rows import find_team
from ..ledger.changes import opening
from ..ledger.commands import OpenAccount
from ..outbox.events import insert_event
from .holdings import Holding, account_exists, find_holdings, insert_user


async def open_account(database: Database, announce: Callable[[int], None], command: OpenAccount) -> None:
    """Make the user and the account, and announce it once that is committed.

    Raises UserExists or AccountExists if either id is taken, or TeamNotFound: then nothing is made. UserExists is
    OpenedBefore if an opening with the same content made the user.
    """
    opened_at = utc_now()

    async def work(connection: AsyncConnection) -> int | None:
        # Looked up first: if both were opened meanwhile, the user is seen too, and it may be this same opening.
        account_is_taken = await account_exists(connection, command.account_id)
        holding = (await find_holdings(connection, [command.user_id])).get(command.user_id)
        if holding is not None:
            if not _is_same(holding, command):
                raise UserExists(f"User {command.user_id!r} exists already.", field="userId")
            if holding.user.created_at == opened_at:
                # A commit whose answer never came. Its event waits for the sweeper.
                return None
            raise OpenedBefore(
                f"User {command.user_id!r} exists already, opened with the same fields: nothing is left to do.",
                field="userId",
            )
        if account_is_taken:
            raise AccountExists(f"Account {command.account_id!r} exists already.", field="accountId")
        if command.team_id is not None and await find_team(connection, command.team_id) is None:
            raise TeamNotFound(f"There is no team {command.team_id!r}.", field="teamId")
        await insert_user(connection, command, opened_at)
        return await insert_event(connection, [opening(command)], opened_at)

    event_id = await database.write(work)
    if event_id is not None:
        announce(event_id)


def account_queries(database: Database) -> Coalescer[str, Holding]:
    """Return the way to ask for a user's accounts by user id."""

    async def find(user_ids: Collection[str]) -> dict[str, Holding]:
        return await database.read(partial(find_holdings, user_ids=user_ids))

    return Coalescer(find)


def _is_same(holding: Holding, command: OpenAccount) -> bool:
    """Tell whether the user was opened with the content of the command. Money moved since then does not matter."""
    user = holding.user
    return command in [
        OpenAccount(user.user_id, user.user_name, user.sex, user.card_num, *held[:3]) for held in holding.accounts
    ]
