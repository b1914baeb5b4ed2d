"""UTC times: the current one, and how SQL and replies write one.

The tables have UTC times without a time zone, so all times inside are such.
"""

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import DateTime
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


def utc_now() -> datetime:
    """Return the current time, without a time zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def sql_time(time: datetime) -> str:
    """Return a time as both databases take it, without quotes."""
    return time.isoformat(" ", "microseconds")


def iso_time(time: datetime) -> str:
    """Return a time as replies and callbacks have it, such as `2026-01-02T03:04:05.000000Z`."""
    # `isoformat` alone drops the microseconds of a whole second.
    return time.isoformat(timespec="microseconds") + "Z"


# SQLite's has milliseconds. The zeros make it as long as the texts that it is compared with.
_NOW_ON_SQLITE: Final = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
_NOW_ON_SERVERS: Final = "UTC_TIMESTAMP(6)"


def sql_now(*, sqlite: bool) -> str:
    """Return the database's time as SQL, so that the clocks of the hosts do not matter."""
    return _NOW_ON_SQLITE if sqlite else _NOW_ON_SERVERS


class server_time(FunctionElement[datetime]):  # noqa: N801 - as SQLAlchemy's own functions
    """What `sql_now` returns, for SQLAlchemy Core."""

    type = DateTime()
    inherit_cache = True


@compiles(server_time, "sqlite")
def _on_sqlite(element: server_time, compiler: Any, **options: Any) -> str:
    return _NOW_ON_SQLITE


@compiles(server_time)
def _on_mysql(element: server_time, compiler: Any, **options: Any) -> str:
    return _NOW_ON_SERVERS
