"""The 2018 demo's tables: whether they exist, whether our tables can hold their data, and their renaming."""

from collections.abc import Callable
from typing import Final

from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text

from .unversioned import column_names

# Gets each line of the report.
Report = Callable[[str], None]

SHOWN_IDS: Final = 20

# The columns of the demo's tables, in lower case. Its `order` has no from_account; ours has.
_COLUMNS: Final = {
    "user": {"id", "user_id", "user_name", "sex", "card_num"},
    "account": {"id", "account_id", "account_type", "user_id", "balance"},
    "order": {"id", "order_id", "order_type", "from_user_id", "amount", "to_user_id"},
}

# An id with our tables' collation.
EXACT: Final = "CONVERT({} USING utf8mb4) COLLATE utf8mb4_bin"


def is_there(connection: Connection) -> bool:
    """Whether the database has the demo's tables, under their own names or renamed by an earlier attempt."""
    return all(_source(connection, name) is not None for name in _COLUMNS)


def tables_to_rename(connection: Connection) -> list[str]:
    """Return which of the demo's tables still have their original names, which our tables need."""
    if not is_there(connection):
        return []
    return [name for name in _COLUMNS if _source(connection, name) == name]


def check(connection: Connection) -> None:
    """Raise CommandError, with the ids, if there are rows that our tables could not hold."""
    tables = {name: _source(connection, name) for name in _COLUMNS}
    wrong = []
    for name in _COLUMNS:
        id_ = f"{name.upper()}_ID"
        same = EXACT.format(id_)
        query = (
            f"SELECT MIN({id_}) FROM `{tables[name]}` GROUP BY {same} HAVING COUNT(*) > 1 OR MIN({id_}) IS NULL"
        )
        wrong += _ids(connection, f"{tables[name]} has rows whose {id_} is NULL or not unique", query)
    account = tables["account"]
    for table in tables.values():
        query = f"SELECT ID FROM `{table}` WHERE ID < 1"
        wrong += _ids(connection, f"{table} has rows whose ID is below 1", query)
    reserved = EXACT.format("ACCOUNT_ID")
    query = f"SELECT ACCOUNT_ID FROM `{account}` WHERE {reserved} = 'outside CNY'"
    wrong += _ids(connection, f"{account} has an ACCOUNT_ID that this program reserves", query)
    for name, column in (("account", "BALANCE"), ("order", "AMOUNT")):
        query = f"SELECT ID FROM `{tables[name]}` WHERE {column} * 100 <> TRUNCATE({column} * 100, 0)"
        wrong += _ids(connection, f"{tables[name]} has rows, by ID, whose {column} is not in whole cents", query)
    if wrong:
        raise CommandError(
            f"the demo's database {connection.engine.url.database} cannot be taken over: {'; '.join(wrong)}. "
            "Nothing was changed. Correct its tables, and run this again."
        )


def rename(connection: Connection, report: Report) -> None:
    """Rename the demo's tables, all at once. Their rows stay unchanged, so that there is a way back."""
    if names := tables_to_rename(connection):
        changes = ", ".join(f"`{name}` TO demo_{name}" for name in names)
        connection.execute(text(f"RENAME TABLE {changes}"))
    report("The tables of the demo are now demo_user, demo_account and demo_order, and stay as they were.")


def _source(connection: Connection, name: str) -> str | None:
    """Return the present name of one of the demo's tables; None if it does not exist."""
    if connection.dialect.name != "mysql":
        return None
    for candidate in (f"demo_{name}", name):
        if inspect(connection).has_table(candidate):
            columns = {column.lower() for column in column_names(connection, candidate)}
            if columns == _COLUMNS[name]:
                return candidate
    return None


def _ids(connection: Connection, what: str, query: str) -> list[str]:
    """Return one sentence with the ids that the query finds, or none."""
    ids = list(connection.execute(text(f"{query} LIMIT {SHOWN_IDS + 1}")).scalars())
    if not ids:
        return []
    shown = ", ".join("NULL" if id_ is None else repr(id_) for id_ in ids[:SHOWN_IDS])
    return [f"{what}: {shown}{' and more' if len(ids) > SHOWN_IDS else ''}"]
