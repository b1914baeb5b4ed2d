"""Differences between the servers that speak MySQL's protocol; docs/engines.rst has the whole table.

We look at a server's variables, not at its name or version. Error numbers are in error_kinds.py.
"""

from collections.abc import Collection, Mapping
from typing import Final

# The longest wait of a statement for a row that another transaction holds; in SQLite, for another program's write.
LOCK_TIMEOUT_SECONDS: Final = 1
# OceanBase has this variable, in microseconds, and ignores MySQL's.
OCEANBASE_LOCK_TIMEOUT: Final = "ob_trx_lock_timeout"
# TiDB has this variable. There, SKIP LOCKED locks nothing (https://github.com/pingcap/tidb/issues/69720).
TIDB_MODE: Final = "tidb_txn_mode"
# MariaDB has this variable. It joins a table of the values of a longer IN list, and then locks rows in any order.
MARIADB_LIST_LIMIT: Final = "in_predicate_conversion_threshold"
_MARIADB_IDLE_TIMEOUT: Final = "idle_transaction_timeout"

FIND_VARIABLES: Final = (
    "SHOW VARIABLES WHERE Variable_name IN"
    f" ('max_allowed_packet', 'wait_timeout', '{_MARIADB_IDLE_TIMEOUT}',"
    f" '{OCEANBASE_LOCK_TIMEOUT}', '{TIDB_MODE}', '{MARIADB_LIST_LIMIT}')"
)


def idle_timeout_variable(variables: Collection[str]) -> str:
    """Return the variable that limits how long a session may send nothing within a transaction.

    MariaDB has one for just that. Elsewhere it also limits sessions that are not in a transaction.
    """
    return _MARIADB_IDLE_TIMEOUT if _MARIADB_IDLE_TIMEOUT in variables else "wait_timeout"


def lock_timeouts(seconds: int, *, oceanbase: bool) -> dict[str, int]:
    """Return the session variables that limit waits for rows and tables."""
    if oceanbase:
        return {OCEANBASE_LOCK_TIMEOUT: seconds * 1_000_000}
    return {"lock_wait_timeout": seconds, "innodb_lock_wait_timeout": seconds}


def statement_timeouts(seconds: int, *, oceanbase: bool) -> dict[str, int]:
    """Return the session variables that limit a statement's time: only OceanBase has a limit, of 10 seconds."""
    return {"ob_query_timeout": seconds * 1_000_000} if oceanbase else {}


def set_session(variables: Mapping[str, str | int]) -> str:
    """Return the statement that sets the session's variables."""
    return "SET " + ", ".join(f"SESSION {name} = {value}" for name, value in variables.items())


def select_within(milliseconds: int) -> str:
    """Return the word SELECT with a time limit for its statement.

    MariaDB runs the first comment, MySQL uses the first hint of the second, and OceanBase the second hint, in
    microseconds, of which it reserves 100,000 for itself. Each ignores the rest.
    """
    return (
        f"/*M!100100 SET STATEMENT max_statement_time = {milliseconds / 1000} FOR */ SELECT"
        f" /*+ MAX_EXECUTION_TIME({milliseconds}) QUERY_TIMEOUT({milliseconds * 1000 + 100_000}) */"
    )
