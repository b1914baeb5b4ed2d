"""The 2018 demo's tables: whether they are there, what of them could not be kept, and how they make way for ours.

A part of migration 0001, as frozen as that; what they hold is entered by demo_rows.py.
"""

from typing import Final

from sqlalchemy import Connection, inspect, text

from ...database.not_ready import DatabaseNotReady
from ..runner import Tell
from ..unversioned import column_names

SHOWN_IDS: Final = 20

# What the demo's tables have, in small letters; its `order` has no from_account, by which ours is known.
_COLUMNS: Final = {
    "user": {"id", "user_id", "user_name", "sex", "card_num"},
    "account": {"id", "account_id", "account_type", "user_id", "balance"},
    "order": {"id", "order_id", "order_type", "from_user_id", "amount", "to_user_id"},
}

# As our tables compare ids.
EXACT: Final = "CONVERT({} USING utf8mb4) COLLATE utf8mb4_bin"


def is_there(connection: Connection) -> bool:
    """Whether the database has the demo's tables, under their own names or renamed by an earlier attempt."""
    return all(_source(connection, name) is not None for name in _COLUMNS)


def tables_to_rename(connection: Connection) -> list[str]:
    """Return which of the demo's tables still have the names that ours will have."""
    if not is_there(connection):
        return []
    return [name for name in _COLUMNS if _source(connection, name) == name]


def check(connection: Connection) -> None:
    """Refuse, naming the ids, what our tables could not hold. Raises DatabaseNotReady."""
    tables = {name: _source(connection, name) for name in _COLUMNS}
    wrong = []
    for name in _COLUMNS:
        id_ = f"{name.upper()}_ID"
        same = EXACT.format(id_)
        query = (
            f"SELECT MIN({id_}) FROM `{tables[name]}` GROUP BY {same} HAVING COUNT(*) > 1 OR MIN({id_}) IS NULL"
        )
        wrong += _ids(connection, f"in more than one row of {tables[name]}, or none at all, is {id_}", query)
    account = tables["account"]
    for table in tables.values():
        wrong += _ids(connection, f"below 1 is the ID in {table}", f"SELECT ID FROM `{table}` WHERE ID < 1")
    reserved = EXACT.format("ACCOUNT_ID")
    query = f"SELECT ACCOUNT_ID FROM `{account}` WHERE {reserved} = 'outside CNY'"
    wrong += _ids(connection, "this program's own is ACCOUNT_ID", query)
    for name, column in (("account", "BALANCE"), ("order", "AMOUNT")):
        query = f"SELECT ID FROM `{tables[name]}` WHERE {column} * 100 <> TRUNCATE({column} * 100, 0)"
        wrong += _ids(connection, f"not of whole cents is the {column} of {tables[name]} with ID", query)
    if wrong:
        raise DatabaseNotReady(
            f"the demo's database {connection.engine.url.database} cannot be taken over: {'; '.join(wrong)}. "
            "Nothing was changed. Put that right in its tables, and run it again."
        )


def rename(connection: Connection, tell: Tell) -> None:
    """Let the demo's tables make way for ours, all at once; they stay as they were, for the way back."""
    if names := tables_to_rename(connection):
        changes = ", ".join(f"`{name}` TO demo_{name}" for name in names)
        connection.execute(text(f"RENAME TABLE {changes}"))
    tell("The tables of the demo are now demo_user, demo_account and demo_order, and stay as they were.")


def _source(connection: Connection, name: str) -> str | None:
    """Return what a table of the demo is called by now; None if it is not there."""
    if connection.dialect.name != "mysql":
        return None
    for candidate in (f"demo_{name}", name):
        if inspect(connection).has_table(candidate):
            columns = {column.lower() for column in column_names(connection, candidate)}
            if columns == _COLUMNS[name]:
                return candidate
    return None


def _ids(connection: Connection, what: str, query: str) -> list[str]:
    """Return one sentence with the ids that the query finds, or nothing."""
    ids = list(connection.execute(text(f"{query} LIMIT {SHOWN_IDS + 1}")).scalars())
    if not ids:
        return []
    shown = ", ".join("NULL" if id_ is None else repr(id_) for id_ in ids[:SHOWN_IDS])
    return [f"{what} {shown}{' and more' if len(ids) > SHOWN_IDS else ''}"]
