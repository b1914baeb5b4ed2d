"""Up to which entry of each account its user's inbox has the messages."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database
from ..database.pipeline import is_sqlite, select_rows
from ..database.statements import Bound, insert_rows, placeholders

# How many ids one query has, and how many accounts it finds, so that neither query nor reply exceeds a
# max_allowed_packet of 64 KiB.
FOUND_LIMIT: Final = 100
_BEHIND: Final = (
    " FROM account LEFT JOIN inbox_mark ON inbox_mark.account = account.id"
    " WHERE {column} IN ({ids}) AND last_entry > COALESCE(number, -1)"
)
_FIND: Final = (
    "{select} FROM (SELECT account.id, account_id, user_id, currency, COALESCE(number, -1) AS mark, last_entry"
    f"{_BEHIND} ORDER BY {{column}}, account.id LIMIT {FOUND_LIMIT}) AS behind"
)
_FIND_USERS: Final = f"{{select}} FROM (SELECT DISTINCT user_id{_BEHIND}) AS behind"
_SET: Final = "INSERT INTO inbox_mark (account, number)"
_AGAIN_ON_SQLITE: Final = "ON CONFLICT (account) DO UPDATE SET number = excluded.number"
_AGAIN: Final = "ON DUPLICATE KEY UPDATE number = VALUES(number)"


class AccountBehind(NamedTuple):
    """An account, and what its user's inbox lacks messages about: the entries after `mark`, up to `last`.

    The entry 0 is the opening. An account without a mark lacks the message about that one, too.
    """

    user_id: str
    key: int
    account_id: str
    currency: str
    mark: int
    last: int


def users_behind(database: Database, user_ids: Collection[str]) -> list[Bound]:
    """Return the queries of all those of the users whose inboxes are behind, however many accounts they have."""
    return _queries(_FIND_USERS, select_rows(database, "user_id"), "user_id", user_ids)


def accounts_behind_of_users(connection: AsyncConnection, user_ids: Collection[str]) -> list[Bound]:
    """Return the queries of accounts of the users whose inboxes are behind, user by user.

    If there are very many they are not all of them, but at least FOUND_LIMIT.
    """
    return _queries(_FIND, _select_behind(connection), "user_id", user_ids)


def accounts_behind_by_id(connection: AsyncConnection, account_ids: Collection[str]) -> list[Bound]:
    """Return the queries of those of the accounts whose users' inboxes are behind."""
    return _queries(_FIND, _select_behind(connection), "account_id", account_ids)


def read_accounts_behind(answers: Iterable[list[Any]]) -> list[AccountBehind]:
    """Return what these queries found, user by user."""
    return sorted(AccountBehind(*row) for answer in answers for row in answer)


def set_marks(connection: AsyncConnection, marks: Mapping[int, int]) -> list[Bound]:
    """Return the statements that set the marks of accounts, by their keys. The readers' inboxes are locked."""
    rows: list[Bound] = [(f"({key},{number})", ()) for key, number in sorted(marks.items())]
    return insert_rows(_SET, rows, _AGAIN_ON_SQLITE if is_sqlite(connection) else _AGAIN)


def _select_behind(connection: AsyncConnection) -> str:
    return select_rows(connection, "user_id, id, account_id, currency, mark, last_entry")


def _queries(query: str, select: str, column: str, ids: Collection[str]) -> list[Bound]:
    ordered = sorted(ids)
    parts = [ordered[start : start + FOUND_LIMIT] for start in range(0, len(ordered), FOUND_LIMIT)]
    return [(query.format(select=select, column=column, ids=placeholders(part)), part) for part in parts]
