"""What a database error means for its transaction, by the error's number.

The exception's class does not tell. PyMySQL knows MariaDB's number for a violated CHECK, but not MySQL's: one is
an IntegrityError and the other an OperationalError.
"""

import sqlite3
from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from sqlalchemy.exc import DBAPIError

from ..errors import Unavailable


class TooLarge(Unavailable):
    """A statement or a result is larger than the database allows."""


class RowLocked(Unavailable):
    """Another transaction holds a row for longer than a statement waits."""


class ErrorKind(Enum):
    """What to do about an error."""

    # Run the transaction again. A deadlock, a lost connection, and every number that is not listed below.
    TRANSIENT = auto()
    # Replace every connection, then run the transaction again. The server is not the writer any more.
    READ_ONLY = auto()
    # Give the connection back. Another transaction holds a row for longer than a statement waits.
    LOCKED = auto()
    # Run the transaction again, which finds the row. Another transaction inserted the same key first.
    DUPLICATE = auto()
    # Send less at once. The statement or its result is larger than the server allows.
    TOO_LARGE = auto()
    # Raise it. The statement itself is wrong, and would fail again.
    OURS = auto()


# The number that MySQL's own clients give a malformed packet.
UNREADABLE_ANSWER: Final = 2027

# https://mariadb.com/kb/en/mariadb-error-codes/ and
# https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html
MYSQL: Final[Mapping[int, ErrorKind]] = {
    # --read-only, a read-only transaction, and the read-only modes of storage engines and clusters.
    **dict.fromkeys((1290, 1792, 1836), ErrorKind.READ_ONLY),
    # The lock wait timeout, NOWAIT, and the time limits of a statement in MariaDB, MySQL and OceanBase.
    **dict.fromkeys((1205, 3572, 1969, 3024, 4012), ErrorKind.LOCKED),
    **dict.fromkeys((1022, 1062, 1169, 1586), ErrorKind.DUPLICATE),
    # max_allowed_packet, a result that exceeds it, and one that ends within a character.
    **dict.fromkeys((1153, 1301, UNREADABLE_ANSWER), ErrorKind.TOO_LARGE),
    # CHECK in MySQL (3819) and MariaDB (4025).
    **dict.fromkeys((3819, 4025), ErrorKind.OURS),
    # Syntax, names that do not exist, values that do not fit their columns, and missing parents.
    **dict.fromkeys((1048, 1054, 1064, 1136, 1146, 1149, 1216), ErrorKind.OURS),
    **dict.fromkeys((1264, 1305, 1364, 1366, 1406, 1452), ErrorKind.OURS),
}

# https://www.sqlite.org/rescode.html: extended codes first, then primary ones, which are the lowest byte of those.
SQLITE: Final[Mapping[int, ErrorKind]] = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: ErrorKind.DUPLICATE,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: ErrorKind.DUPLICATE,
    sqlite3.SQLITE_CONSTRAINT_ROWID: ErrorKind.DUPLICATE,
    sqlite3.SQLITE_CONSTRAINT: ErrorKind.OURS,
    sqlite3.SQLITE_ERROR: ErrorKind.OURS,
    sqlite3.SQLITE_MISMATCH: ErrorKind.OURS,
    sqlite3.SQLITE_RANGE: ErrorKind.OURS,
    sqlite3.SQLITE_TOOBIG: ErrorKind.OURS,
}

# Errors that the drivers raise themselves have no number. PEP 249 sets the names of these classes. PyMySQL is not
# imported for them: that takes 10 MiB, which the embedded service can do without.
_OURS: Final = {"ProgrammingError", "DataError", "NotSupportedError"}


_MISSING_TABLE: Final = 1146


def is_missing_table(error: DBAPIError) -> bool:
    """Whether the statement names a table that does not exist."""
    cause = error.orig
    # SQLite has no code of its own for this.
    return cause is not None and (cause.args[0] == _MISSING_TABLE or str(cause).startswith("no such table"))


def kind_of(error: BaseException) -> ErrorKind:
    """Return the kind of a driver's error, or of SQLAlchemy's that wraps one."""
    cause = getattr(error, "orig", None) or error
    ours = any(class_.__name__ in _OURS for class_ in type(cause).__mro__)
    default = ErrorKind.OURS if ours else ErrorKind.TRANSIENT
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return SQLITE.get(code) or SQLITE.get(code & 0xFF) or default
    number = cause.args[0] if cause.args else None
    return MYSQL.get(number, default) if isinstance(number, int) else default
