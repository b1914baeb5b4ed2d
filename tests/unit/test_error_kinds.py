"""The kind of each database error, by its number, without a server."""

import sqlite3

import pymysql
import pytest
from sqlalchemy.exc import OperationalError

from myaccount.database.error_kinds import ErrorKind, kind_of

NUMBERS = {
    1290: ErrorKind.READ_ONLY,
    1792: ErrorKind.READ_ONLY,
    1836: ErrorKind.READ_ONLY,
    1205: ErrorKind.LOCKED,
    1969: ErrorKind.LOCKED,
    3024: ErrorKind.LOCKED,
    4012: ErrorKind.LOCKED,
    1062: ErrorKind.DUPLICATE,
    1153: ErrorKind.TOO_LARGE,
    # CHECK in MySQL and in MariaDB, which PyMySQL maps to different classes.
    3819: ErrorKind.OURS,
    4025: ErrorKind.OURS,
    1064: ErrorKind.OURS,
    1146: ErrorKind.OURS,
    1213: ErrorKind.TRANSIENT,
    2006: ErrorKind.TRANSIENT,
    2013: ErrorKind.TRANSIENT,
    # A person may grant permissions meanwhile.
    1142: ErrorKind.TRANSIENT,
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


def test_errors_of_a_locked_or_full_file_are_transient() -> None:
    for code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY):
        error = sqlite3.OperationalError("words")
        error.sqlite_errorcode = code
        assert kind_of(error) is ErrorKind.TRANSIENT


def test_errors_without_a_number_are_classified_by_class() -> None:
    assert kind_of(ConnectionResetError("gone")) is ErrorKind.TRANSIENT
    assert kind_of(sqlite3.ProgrammingError("a parameter too many")) is ErrorKind.OURS
    assert kind_of(pymysql.err.NotSupportedError("not here")) is ErrorKind.OURS
    assert kind_of(pymysql.err.InterfaceError(0, "closed")) is ErrorKind.TRANSIENT
