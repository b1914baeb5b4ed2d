"""UTC times: the current one, and how SQL and replies write one.

The tables have UTC times without a time zone, so all times inside are such.
"""

from datetime import UTC, datetime

from sqlalchemy import ColumnElement, DateTime, func, literal
from sqlalchemy.ext.asyncio import AsyncConnection


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


def server_time(connection: AsyncConnection) -> ColumnElement[datetime]:
    """Return the SQL of the database's time, whatever the clocks of the service's hosts say.

    An embedded file has its process's, since SQLite's own has no microseconds.
    """
    sqlite = connection.dialect.name == "sqlite"
    return literal(utc_now(), DateTime()) if sqlite else func.utc_timestamp(6, type_=DateTime())
