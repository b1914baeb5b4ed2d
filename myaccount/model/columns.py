"""What all tables share: the metadata, and the kinds of columns that both databases write in their own way.

Times are UTC, to the microsecond. Ids are compared exactly (case, accents and all), so all text has a binary
collation.
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
    # Only a column declared INTEGER numbers itself in SQLite.
    return BigInteger().with_variant(Integer, "sqlite")


def utc() -> TypeEngine[datetime]:
    return DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def long_text() -> TypeEngine[str]:
    # A whole batch may be more than the 64 KiB of MySQL's TEXT.
    return Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)
