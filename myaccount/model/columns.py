"""Shared by all tables: the metadata, their options, and the column types that differ between the databases.

Times are UTC, with microseconds. Text has a binary collation, so that ids are compared exactly: case and accents
count.
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, DateTime, Integer, MetaData, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

OPTIONS: Final[dict[str, Any]] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "sqlite_autoincrement": True,
}


def key() -> TypeEngine[int]:
    # SQLite numbers rows by itself only in a column declared INTEGER.
    return BigInteger().with_variant(Integer, "sqlite")


def utc() -> TypeEngine[datetime]:
    return DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def long_text() -> TypeEngine[str]:
    # A batch's event may exceed the 64 KiB of MySQL's TEXT.
    return Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)
