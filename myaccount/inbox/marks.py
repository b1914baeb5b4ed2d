"""Up to which entry and which decline of each account its user's inbox has the messages."""

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
    " WHERE {column} IN ({ids}) AND (last_entry > COALESCE(number, -1) OR last_decline > COALESCE(declines, 0))"
)
_FIND: Final = (
    "{select} FROM (SELECT account.id, account_id, user_id, currency, COALESCE(number, -1) AS number,"
    " COALESCE(declines, 0) AS declines, last_entry, last_decline"
    f"{_BEHIND} ORDER BY {{column}}, account.id LIMIT {FOUND_LIMIT}) AS behind"
)
_FIND_USERS: Final = f"{{select}} FROM (SELECT DISTINCT user_id{_BEHIND}) AS behind"
_SET: Final = "INSERT INTO inbox_mark (account, number, declines)"
_AGAIN_ON_SQLITE: Final = (
    "ON CONFLICT (account) DO UPDATE SET number = excluded.number, declines = excluded.declines"
)
_AGAIN: Final = "ON DUPLICATE KEY UPDATE number = VALUES(number), declines = VALUES(declines)"


class Position(NamedTuple):
    """The numbers of an account's last entry and last decline at some time. The entry 0 is the opening."""

    entry: int
    decline: int

    def is_within(self, other: "Position") -> bool:
        """Whether all that is up to here is up to the other one, too."""
        return self.entry <= other.entry and self.decline <= other.decline

    def earlier(self, other: "Position") -> "Position":
        """Return up to where both go."""
        return Position(min(self.entry, other.entry), min(self.decline, other.decline))

    def later(self, other: "Position") -> "Position":
        """Return up to where either goes."""
        return Position(max(self.entry, other.entry), max(self.decline, other.decline))


class AccountBehind(NamedTuple):
    """An account, and what its user's inbox lacks messages about: what is after `mark`, up to `last`.

    An account without a mark lacks the message about its opening, too: then the mark's entry is -1.
    """

    user_id: str
    key: int
    account_id: str
    currency: str
    mark: Position
    last: Position


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
    return sorted(
        AccountBehind(user_id, key, account_id, currency, Position(*mark), Position(last_entry, last_decline))
        for answer in answers
        for user_id, key, account_id, currency, *mark, last_entry, last_decline in answer
    )


def set_marks(connection: AsyncConnection, marks: Mapping[int, Position]) -> list[Bound]:
    """Return the statements that set the marks of accounts, by their keys. The readers' inboxes are locked."""
    rows: list[Bound] = [(f"({key},{entry},{decline})", ()) for key, (entry, decline) in sorted(marks.items())]
    return insert_rows(_SET, rows, _AGAIN_ON_SQLITE if is_sqlite(connection) else _AGAIN)


def _select_behind(connection: AsyncConnection) -> str:
    return select_rows(connection, "user_id, id, account_id, currency, number, declines, last_entry, last_decline")


def _queries(query: str, select: str, column: str, ids: Collection[str]) -> list[Bound]:
    ordered = sorted(ids)
    parts = [ordered[start : start + FOUND_LIMIT] for start in range(0, len(ordered), FOUND_LIMIT)]
    return [(query.format(select=select, column=column, ids=placeholders(part)), part) for part in parts]
