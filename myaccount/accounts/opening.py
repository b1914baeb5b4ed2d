"""Opens accounts, adds further ones, and queries them."""

from collections.abc import Callable, Collection
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.coalescing import Coalescer
from ..database.database import Database
from ..database.times import utc_now
from ..errors import AccountExists, AddedBefore, OpenedBefore, TeamNotFound, UserExists, UserNotFound
from ..inbox.team_rows import find_team
from ..ledger.account_commands import AddAccount, OpenAccount
from ..ledger.changes import opening
from ..outbox.events import insert_event
from .balances import (
    AccountBalance,
    UserAccounts,
    account_exists,
    find_accounts,
    insert_account,
    insert_user,
    lock_user,
)


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
            if not _was_opened_by(command, found):
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
        await _check_team(connection, command)
        await insert_user(connection, command, opened_at)
        await insert_account(connection, command, opened_at)
        return await insert_event(connection, [opening(command)], opened_at)

    event_id = await database.write(work)
    if event_id is not None:
        announce(event_id)


async def add_account(database: Database, announce: Callable[[int], None], command: AddAccount) -> None:
    """Make a further account of the user; `announce` gets the id of the event once that is committed.

    Raises, with nothing made, UserNotFound, AccountExists if the id is taken, AddedBefore if this same account was
    added before, and TeamNotFound.
    """
    added_at = utc_now()

    async def work(connection: AsyncConnection) -> int | None:
        if command.team_id is not None:
            # Before the user, as in a change of the team, so that the two do not deadlock.
            await find_team(connection, command.team_id, lock=True)
        # One addition to a user at a time, so that the ids of the user's accounts are in the order of the commits:
        # the account opened first is the one with the least id.
        await lock_user(connection, command.user_id)
        account_is_taken = await account_exists(connection, command.account_id)
        found = (await find_accounts(connection, [command.user_id])).get(command.user_id)
        if found is None:
            raise UserNotFound(f"There is no user {command.user_id!r}.", field="userId")
        account = _find_added_by(command, found)
        if account is not None:
            if account.created_at == added_at:
                # An earlier attempt was committed, but its answer was lost. The sweeper finds its event.
                return None
            raise AddedBefore(
                f"Account {command.account_id!r} was added already with the same fields: nothing is left to do.",
                field="accountId",
            )
        if account_is_taken:
            raise AccountExists(f"Account {command.account_id!r} exists already.", field="accountId")
        await _check_team(connection, command)
        await insert_account(connection, command, added_at)
        return await insert_event(connection, [opening(command)], added_at)

    event_id = await database.write(work)
    if event_id is not None:
        announce(event_id)


def account_queries(database: Database) -> Coalescer[str, UserAccounts]:
    """Return the coalesced query of a user with accounts, by user id."""

    async def find(user_ids: Collection[str]) -> dict[str, UserAccounts]:
        return await database.read(partial(find_accounts, user_ids=user_ids))

    return Coalescer(find)


async def _check_team(connection: AsyncConnection, command: OpenAccount | AddAccount) -> None:
    if command.team_id is not None and await find_team(connection, command.team_id) is None:
        raise TeamNotFound(f"There is no team {command.team_id!r}.", field="teamId")


def _was_opened_by(command: OpenAccount, found: UserAccounts) -> bool:
    """Whether the user was opened with the content of the command. Later changes of the account do not matter."""
    user = found.user
    opened = (user.user_id, user.user_name, user.sex, user.card_num)
    return command in [
        OpenAccount(*opened, *_content(account)) for account in found.accounts if _opened(account, found)
    ]


def _find_added_by(command: AddAccount, found: UserAccounts) -> AccountBalance | None:
    """Return the account that was added with the content of the command."""
    for account in found.accounts:
        if not _opened(account, found) and command == AddAccount(found.user.user_id, *_content(account)):
            return account
    return None


def _opened(account: AccountBalance, found: UserAccounts) -> bool:
    """Whether the account was opened with the user. Otherwise it was added later."""
    return account.created_at == found.user.created_at


def _content(account: AccountBalance) -> tuple[str, str, str | None, str]:
    return account.account_id, account.account_type, account.team_id, account.currency
