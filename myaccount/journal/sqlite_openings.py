"""The statements of a batch's openings for the embedded file."""

import json
from collections.abc import Collection, Iterable, Sequence

from ..database.statements import Bound
from ..database.times import sql_time
from ..ledger.account_commands import Opening
from ..ledger.opening_rules import KnownIds
from ..ledger.records import OpenedAccount, OpenedUser
from .opening_batch import ACCOUNT_ID_COLUMNS, USER_COLUMNS, OpeningBatch


class SqliteOpenings(OpeningBatch):
    """The openings of a batch on the embedded file."""

    async def find_ids(self, openings: Collection[Opening], *, wait_milliseconds: int | None) -> KnownIds:
        await self._begin()
        return await super().find_ids(openings, wait_milliseconds=wait_milliseconds)

    async def _begin(self) -> None:
        """Begin the transaction, unless openings have begun it."""
        if not self._driver.in_transaction:
            await self._run(("BEGIN IMMEDIATE", ()))

    def _lock_rows(self, table: str, ids: Collection[str], wait_milliseconds: int | None) -> Bound:
        # The transaction has the whole file locked already.
        return (
            f"SELECT count(*), json_group_array({table}_id) FROM {table}"
            f" WHERE {table}_id IN (SELECT value FROM json_each(?))",
            (json_array(ids),),
        )

    def _find_teams(self, team_ids: Collection[str]) -> Bound:
        return self._lock_rows("team", team_ids, None)

    def _find_opened_accounts(self, account_ids: Collection[str]) -> Bound:
        return (
            f"SELECT count(*), json_group_array(json_array({ACCOUNT_ID_COLUMNS})) FROM account"
            " WHERE account_id IN (SELECT value FROM json_each(?))",
            (json_array(account_ids),),
        )

    def _find_opened_users(self, user_ids: Collection[str]) -> Bound:
        return (
            f"SELECT count(*), json_group_array(json_array({USER_COLUMNS})) FROM user"
            " WHERE user_id IN (SELECT value FROM json_each(?))",
            (json_array(user_ids),),
        )

    def _insert_users(self, users: Sequence[OpenedUser]) -> Bound:
        return (
            f"INSERT INTO user ({USER_COLUMNS}) SELECT {members(range(5))} FROM json_each(?)",
            (json_array([*user[:-1], sql_time(user.created_at)] for user in users),),
        )

    def _insert_accounts(self, accounts: Sequence[OpenedAccount]) -> Bound:
        rows = [
            [*account[:-1], sql_time(account.created_at), None if account.user_id is None else 0]
            for account in accounts
        ]
        return (
            f"INSERT INTO account ({ACCOUNT_ID_COLUMNS}, floor, balance)"
            f" SELECT {members(range(7))}, 0 FROM json_each(?)",
            (json_array(rows),),
        )


def members(places: Iterable[int]) -> str:
    """Return the expressions of these members of each JSON array."""
    return ", ".join(f"value ->> {place}" for place in places)


def json_array(values: Iterable[object]) -> str:
    return json.dumps(list(values))
