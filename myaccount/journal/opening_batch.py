"""A batch's part that opens accounts: what exists of them is read, and what is new is inserted."""

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from ..database.statements import Bound
from ..ledger.account_commands import AddAccount, Opening
from ..ledger.currencies import CNY
from ..ledger.opening_rules import KnownIds
from ..ledger.records import OpenedAccount, OpenedUser
from ..ledger.references import TeamRow, UserRow
from ..model.ledger import OUTSIDE_PREFIX
from .round_trips import RoundTrips

USER_COLUMNS: Final = "user_id, user_name, sex, card_num, created_at"
ACCOUNT_ID_COLUMNS: Final = "account_id, account_type, user_id, team_id, currency, created_at"
# A user or an account: four texts of 45 characters, and a time.
OPENED_BYTES: Final = 1_024


class OpeningBatch(RoundTrips):
    """The openings of a batch, before its accounts are located and locked: `find_ids`, then `insert_opened`."""

    async def find_ids(self, openings: Collection[Opening], *, wait_milliseconds: int | None) -> KnownIds:
        """Return what there is of all that the openings name.

        Users to whom an account is added, and teams, are locked until the transaction ends. Raises StillLocked if
        another transaction holds one for longer than `wait_milliseconds`; None means not to wait. Raises
        TableLocked.
        """
        teams = {command.team_id for command in openings if command.team_id is not None}
        added_to = {command.user_id for command in openings if isinstance(command, AddAccount)}
        users = {command.user_id for command in openings}
        # That of CNY is made with the tables.
        outside = {OUTSIDE_PREFIX + command.currency for command in openings if command.currency != CNY.code}
        accounts = outside.union(command.account_id for command in openings)
        # Teams before users, and both before accounts, as everywhere else, so that two transactions cannot
        # deadlock. Accounts are read before users: if this same opening is committed meanwhile, the user is found.
        locked_teams, locked_users, found_teams, found_accounts, found_users = await self._query(
            [self._lock_rows("team", part, wait_milliseconds) for part in self._parts(sorted(teams))],
            [self._lock_rows("user", part, wait_milliseconds) for part in self._parts(sorted(added_to))],
            map(self._find_teams, self._parts(teams)),
            map(self._find_opened_accounts, self._parts(accounts, OPENED_BYTES)),
            map(self._find_opened_users, self._parts(users, OPENED_BYTES)),
        )
        by_user = {row[0]: OpenedUser(*_with_time(row)) for row in found_users}
        by_account = {row[0]: OpenedAccount(*_with_time(row)) for row in found_accounts}
        return KnownIds(
            users=by_user,
            accounts=by_account,
            teams=set(found_teams),
            currencies={CNY.code} | {row.currency for row in by_account.values() if row.user_id is None},
            locked={
                *map(TeamRow, set(found_teams).difference(locked_teams)),
                *map(UserRow, (added_to & by_user.keys()).difference(locked_users)),
            },
        )

    async def insert_opened(
        self,
        users: Collection[OpenedUser],
        currencies: Mapping[str, datetime],
        accounts: Collection[OpenedAccount],
    ) -> None:
        """Insert users, the outside world's accounts, and the users' accounts with a balance and a floor of zero.

        Accounts get their keys in their order. An id that another transaction has inserted meanwhile raises
        the database's error of a duplicate key.
        """
        outside = [
            OpenedAccount(OUTSIDE_PREFIX + currency, "external", None, None, currency, created_at)
            for currency, created_at in currencies.items()
        ]
        await self._run(
            # Sorted, or this and another process that inserts the same users could deadlock.
            *map(self._insert_users, self._parts(sorted(users), OPENED_BYTES)),
            *map(self._insert_accounts, self._parts([*outside, *accounts], OPENED_BYTES)),
        )

    @abstractmethod
    def _lock_rows(self, table: str, ids: Collection[str], wait_milliseconds: int | None) -> Bound:
        """Return the query that locks the rows of `user` or `team` and returns their ids."""

    @abstractmethod
    def _find_teams(self, team_ids: Collection[str]) -> Bound: ...

    @abstractmethod
    def _find_opened_accounts(self, account_ids: Collection[str]) -> Bound: ...

    @abstractmethod
    def _find_opened_users(self, user_ids: Collection[str]) -> Bound: ...

    @abstractmethod
    def _insert_users(self, users: Sequence[OpenedUser]) -> Bound: ...

    @abstractmethod
    def _insert_accounts(self, accounts: Sequence[OpenedAccount]) -> Bound: ...


def _with_time(row: Sequence[Any]) -> list[Any]:
    return [*row[:-1], datetime.fromisoformat(row[-1])]
