"""Opens accounts, and queries them."""

from collections.abc import Callable, Collection
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.coalescing import Coalescer
from ..database.database import Database
from ..database.times import utc_now
from ..errors import AccountExists, OpenedBefore, TeamNotFound, UserExists
from ..inbox.team_rows import find_team
from ..ledger.changes import opening
from ..ledger.commands import OpenAccount
from ..outbox.events import insert_event
from .balances import UserAccounts, account_exists, find_accounts, insert_user


async def open_account(database: Database, announce: Callable[[int], None], command: OpenAccount) -> None:
    """Make the user and the account; `announce` gets the id of the event once that is committed.

    Raises, with nothing made, UserExists or AccountExists if an id is taken, OpenedBefore if the user was opened
    with the same content, and TeamNotFound.
    """
    opened_at = utc_now()

    async def work(connection: AsyncConnection) -> int | None:
        # The account first: if this same opening is committed between the two queries, the user is found.
        account_is_taken = await account_exists(connection, command.account_id)
        found = (await find_accounts(connection, [command.user_id])).get(command.user_id)
        if found is not None:
            if not _is_same(found, command):
                raise UserExists(f"User {command.user_id!r} exists already.", field="userId")
            if found.user.created_at == opened_at:
                # An earlier attempt was committed, but its answer was lost. The sweeper finds its event.
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


def account_queries(database: Database) -> Coalescer[str, UserAccounts]:
    """Return the coalesced query of a user with accounts, by user id."""

    async def find(user_ids: Collection[str]) -> dict[str, UserAccounts]:
        return await database.read(partial(find_accounts, user_ids=user_ids))

    return Coalescer(find)


def _is_same(found: UserAccounts, command: OpenAccount) -> bool:
    """Whether one of the user's accounts has the content of the command. Its balance does not matter."""
    user = found.user
    opened = (user.user_id, user.user_name, user.sex, user.card_num)
    return command in [OpenAccount(*opened, *account[:3]) for account in found.accounts]
