"""The kind of each database error, by its number, without a server."""

import sqlite3

import pymysql
import pytest
from sqlalchemy.exc import OperationalError

from myaccount.database.error_kinds import MYSQL, SQLITE, ErrorKind, kind_of

NUMBERS = {
    1290: ErrorKind.READ_ONLY,
    1792: ErrorKind.READ_ONLY,
    1836: ErrorKind.READ_ONLY,
    1205: ErrorKind.LOCKED,
    1969: ErrorKind.LOCKED,
    3024: ErrorKind.LOCKED,
    3572: ErrorKind.LOCKED,
    4012: ErrorKind.LOCKED,
    1022: ErrorKind.DUPLICATE,
    1062: ErrorKind.DUPLICATE,
    1169: ErrorKind.DUPLICATE,
    1586: ErrorKind.DUPLICATE,
    1153: ErrorKind.TOO_LARGE,
    1301: ErrorKind.TOO_LARGE,
    2027: ErrorKind.TOO_LARGE,
    # CHECK in MySQL and in MariaDB, which PyMySQL maps to different classes.
    3819: ErrorKind.OURS,
    4025: ErrorKind.OURS,
    1048: ErrorKind.OURS,
    1054: ErrorKind.OURS,
    1064: ErrorKind.OURS,
    1136: ErrorKind.OURS,
    1146: ErrorKind.OURS,
    1149: ErrorKind.OURS,
    1216: ErrorKind.OURS,
    1264: ErrorKind.OURS,
    1305: ErrorKind.OURS,
    1364: ErrorKind.OURS,
    1366: ErrorKind.OURS,
    1406: ErrorKind.OURS,
    1452: ErrorKind.OURS,
}
# Servers' errors from 1000 on, clients' from 2000 on, and those that MySQL, MariaDB and TiDB added later.
NUMBERS_IN_USE = range(1000, 10_000)
SQLITE_CODES = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: ErrorKind.DUPLICATE,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: ErrorKind.DUPLICATE,
    sqlite3.SQLITE_CONSTRAINT_ROWID: ErrorKind.DUPLICATE,
    sqlite3.SQLITE_CONSTRAINT: ErrorKind.OURS,
    # An extended code that is not listed has the kind of its primary code.
    sqlite3.SQLITE_CONSTRAINT_CHECK: ErrorKind.OURS,
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: ErrorKind.OURS,
    sqlite3.SQLITE_CONSTRAINT_NOTNULL: ErrorKind.OURS,
    sqlite3.SQLITE_ERROR: ErrorKind.OURS,
    sqlite3.SQLITE_MISMATCH: ErrorKind.OURS,
    sqlite3.SQLITE_RANGE: ErrorKind.OURS,
    sqlite3.SQLITE_TOOBIG: ErrorKind.OURS,
    # Of a locked, full, broken or read-only file.
    sqlite3.SQLITE_BUSY: ErrorKind.TRANSIENT,
    sqlite3.SQLITE_FULL: ErrorKind.TRANSIENT,
    sqlite3.SQLITE_IOERR: ErrorKind.TRANSIENT,
    sqlite3.SQLITE_READONLY: ErrorKind.TRANSIENT,
}
STATEMENTS = {
    "INSERT INTO t VALUES (1, 1)": ErrorKind.DUPLICATE,
    "INSERT INTO t VALUES (2, 0)": ErrorKind.OURS,
    "SELECT * FROM nowhere": ErrorKind.OURS,
    "SELEC": ErrorKind.OURS,
}


@pytest.mark.parametrize("class_", [pymysql.err.OperationalError, pymysql.err.IntegrityError])
@pytest.mark.parametrize(("number", "kind"), NUMBERS.items())
def test_the_number_counts_and_not_the_class(number: int, kind: ErrorKind, class_: type[Exception]) -> None:
    error = class_(number, "words")
    assert kind_of(error) is kind
    assert kind_of(OperationalError("SELECT 1", (), error)) is kind


@pytest.mark.parametrize(("statement", "kind"), STATEMENTS.items())
def test_sqlite_errors_are_classified_by_their_codes(statement: str, kind: ErrorKind) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER CHECK (x > 0))")
    connection.execute("INSERT INTO t VALUES (1, 1)")
    with pytest.raises(sqlite3.Error) as raised:
        connection.execute(statement)
    connection.close()
    assert kind_of(raised.value) is kind


@pytest.mark.parametrize(("code", "kind"), SQLITE_CODES.items())
def test_each_sqlite_code_has_its_kind(code: int, kind: ErrorKind) -> None:
    error = sqlite3.OperationalError("words")
    error.sqlite_errorcode = code
    assert kind_of(error) is kind


def test_each_number_of_the_tables_has_a_case_here() -> None:
    assert MYSQL.keys() == NUMBERS.keys()
    assert SQLITE.keys() <= SQLITE_CODES.keys()


def test_a_number_that_is_not_listed_is_transient() -> None:
    """Among them 1213 (deadlock), 2006 and 2013 (connection lost), and 1142 (a grant may follow)."""
    for number in NUMBERS_IN_USE:
        if number not in NUMBERS:
            assert kind_of(pymysql.err.OperationalError(number, "words")) is ErrorKind.TRANSIENT, number


def test_errors_without_a_number_are_classified_by_class() -> None:
    assert kind_of(ConnectionResetError("gone")) is ErrorKind.TRANSIENT
    assert kind_of(sqlite3.ProgrammingError("a parameter too many")) is ErrorKind.OURS
    assert kind_of(pymysql.err.NotSupportedError("not here")) is ErrorKind.OURS
    assert kind_of(pymysql.err.InterfaceError(0, "closed")) is ErrorKind.TRANSIENT
