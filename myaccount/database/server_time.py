"""The database's time, by which holds end, whatever the clocks of the service's hosts say."""

from datetime import datetime

from sqlalchemy import ColumnElement, func, literal
from sqlalchemy.ext.asyncio import AsyncConnection

from ..model.columns import utc
from .database import utc_now
from .pipeline import is_sqlite


def server_time(connection: AsyncConnection) -> ColumnElement[datetime]:
    """Return the expression of the time, UTC. An embedded file has its process's."""
    return literal(utc_now(), utc()) if is_sqlite(connection) else func.utc_timestamp(6, type_=utc())
