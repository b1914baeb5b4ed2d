"""The statements of a batch's openings, in SQL that MySQL and MariaDB both understand."""

from collections.abc import Awaitable, Collection, Sequence
from typing import TypeVar

from ..database.error_kinds import ErrorKind, kind_of
from ..database.freshness import SKIPS_LOCKED
from ..database.server_differences import select_within
from ..database.statements import Bound, placeholders, sql_literal
from ..database.times import sql_time
from ..ledger.account_commands import Opening
from ..ledger.opening_rules import KnownIds
from ..ledger.records import OpenedAccount, OpenedUser
from .opening_batch import ACCOUNT_ID_COLUMNS, USER_COLUMNS, OpeningBatch
from .round_trips import StillLocked, TableLocked

Found = TypeVar("Found")


class MysqlOpenings(OpeningBatch):
    """The openings of a batch on MySQL or MariaDB, and how that waits for locked rows."""

    async def find_ids(self, openings: Collection[Opening], *, wait_milliseconds: int | None) -> KnownIds:
        # Without rows to lock, it waits for nothing but a whole table.
        rows_are_locked = wait_milliseconds is not None and any(command.rows for command in openings)
        finding = super().find_ids(openings, wait_milliseconds=wait_milliseconds)
        return await self._locked(finding, StillLocked if rows_are_locked else TableLocked)

    async def _locked(self, locking: Awaitable[Found], still_locked: type[Exception]) -> Found:
        """Return what statements that lock rows return; raise `still_locked` if they waited for too long.

        On a server that does not skip locked rows, raise the database's own error: no try goes on without them.
        """
        try:
            return await locking
        except Exception as error:
            if kind_of(error) is not ErrorKind.LOCKED or not self._info[SKIPS_LOCKED]:
                raise
            raise still_locked from error

    def _locking_select(self, wait_milliseconds: int | None) -> tuple[str, str]:
        """Return the beginning and the end of a query that locks the rows that it returns."""
        if wait_milliseconds is not None:
            return select_within(wait_milliseconds), "FOR UPDATE"
        # A server that does not skip locked rows waits as long as for any other row.
        return "SELECT", "FOR UPDATE SKIP LOCKED" if self._info[SKIPS_LOCKED] else "FOR UPDATE"

    def _lock_rows(self, table: str, ids: Collection[str], wait_milliseconds: int | None) -> Bound:
        select, tail = self._locking_select(wait_milliseconds)
        id_ = f"{table}_id"
        # The forced index fixes the order of the locks, also for a small table.
        return (
            f"{select} COUNT(*), JSON_ARRAYAGG({id_}) FROM {table} FORCE INDEX (uq_{table}_{id_})"
            f" WHERE {id_} IN ({placeholders(ids)}) {tail}",
            tuple(ids),
        )

    def _find_teams(self, team_ids: Collection[str]) -> Bound:
        return (
            f"SELECT COUNT(*), JSON_ARRAYAGG(team_id) FROM team WHERE team_id IN ({placeholders(team_ids)})",
            tuple(team_ids),
        )

    def _find_opened_accounts(self, account_ids: Collection[str]) -> Bound:
        return (
            f"SELECT COUNT(*), JSON_ARRAYAGG(JSON_ARRAY({ACCOUNT_ID_COLUMNS})) FROM account"
            f" WHERE account_id IN ({placeholders(account_ids)})",
            tuple(account_ids),
        )

    def _find_opened_users(self, user_ids: Collection[str]) -> Bound:
        return (
            f"SELECT COUNT(*), JSON_ARRAYAGG(JSON_ARRAY({USER_COLUMNS})) FROM user"
            f" WHERE user_id IN ({placeholders(user_ids)})",
            tuple(user_ids),
        )

    def _insert_users(self, users: Sequence[OpenedUser]) -> Bound:
        times = [sql_literal(sql_time(user.created_at)) for user in users]
        rows = ",".join(f"(%s,%s,%s,%s,{time})" for time in times)
        return (
            f"INSERT INTO user ({USER_COLUMNS}) VALUES {rows}",
            [text for user in users for text in user[:-1]],
        )

    def _insert_accounts(self, accounts: Sequence[OpenedAccount]) -> Bound:
        times = [sql_literal(sql_time(account.created_at)) for account in accounts]
        floors = ["NULL" if account.user_id is None else "0" for account in accounts]
        rows = ",".join(f"(%s,%s,%s,%s,%s,{time},0,{floor})" for time, floor in zip(times, floors, strict=True))
        return (
            f"INSERT INTO account ({ACCOUNT_ID_COLUMNS}, balance, floor) VALUES {rows}",
            [text for account in accounts for text in account[:-1]],
        )
