"""The key that signs users' tokens, and the highest time that any process has seen. Both are in one row.

The time is the database's: hosts whose clocks differ agree on what has expired.
"""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database
from ..database.times import server_time, utc_now
from ..model.access import signing_key
from .clock import Clock

# How much of the time that was seen a restart may forget.
KEEP_SECONDS: Final = 30
# Clocks that are kept in time differ by less.
TOLERANCE: Final = timedelta(minutes=1)


class Signing(NamedTuple):
    """The secret, and the clock by which what it signs expires."""

    secret: str
    clock: Clock


async def read_signing(connection: AsyncConnection) -> Signing:
    seen_at, theirs = await _times(connection)
    secret = (await connection.execute(select(signing_key.c.secret))).scalar_one()
    return Signing(secret, Clock(max(seen_at, theirs)))


async def service_time(database: Database) -> datetime:
    """Return the time by which the service's keys end, for a program beside it."""
    return (await database.read(read_signing)).clock.now()


async def follow_time(database: Database, clock: Clock) -> str:
    """Tell the clock the database's time, store the clock's, and return what is wrong with them, if anything."""

    async def work(connection: AsyncConnection) -> str:
        seen_at, theirs = await _times(connection)
        clock.tell(max(seen_at, theirs))
        # Not this machine's time: one that is years ahead would end all keys for good.
        now = clock.now()
        await connection.execute(update(signing_key).where(signing_key.c.seen_at < now).values(seen_at=now))
        return _fault(seen_at, theirs)

    return await database.write(work)


async def find_time_fault(connection: AsyncConnection) -> str:
    """Return what is wrong with the times that the service goes by, if anything."""
    return _fault(*await _times(connection))


async def _times(connection: AsyncConnection) -> tuple[datetime, datetime]:
    """Return the highest time that was seen, and the database's own."""
    seen_at, theirs = (await connection.execute(select(signing_key.c.seen_at, server_time()))).one()
    return seen_at, theirs


def _fault(seen_at: datetime, theirs: datetime) -> str:
    if seen_at - theirs > TOLERANCE:
        return (
            f"the time: the highest that was seen is {_text(seen_at - theirs)} ahead of the database's. "
            "Keys, tokens and sessions end so much earlier"
        )
    difference = abs(utc_now() - theirs)
    if difference > TOLERANCE:
        return (
            f"the time: this machine's clock and the database's differ by {_text(difference)}. "
            "Keys, tokens and sessions end by the database's"
        )
    return ""


def _text(time: timedelta) -> str:
    return str(timedelta(seconds=int(time.total_seconds())))
