"""The key that signs users' tokens, and the highest time that any process has seen. Both are in one row."""

import asyncio
import logging
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database
from ..errors import RequestError
from ..model.access import signing_key
from .clock import Clock

_logger: Final = logging.getLogger(__name__)

# How much of the time that was seen a restart may forget.
KEEP_SECONDS: Final = 30


class Signing(NamedTuple):
    """The secret, and the clock by which what it signs expires."""

    secret: str
    clock: Clock


async def read_signing(connection: AsyncConnection) -> Signing:
    secret, seen_at = (await connection.execute(select(signing_key.c.secret, signing_key.c.seen_at))).one()
    return Signing(secret, Clock(seen_at))


async def keep_time(database: Database, clock: Clock) -> None:
    """Store the clock's time every KEEP_SECONDS, for ever."""
    while True:
        await asyncio.sleep(KEEP_SECONDS)
        try:
            await store_time(database, clock.now())
        except RequestError as error:
            _logger.info("The time was not stored: %s", error.cause)
        except Exception:
            _logger.exception("The time could not be stored. It is stored again in %s seconds.", KEEP_SECONDS)


async def store_time(database: Database, now: datetime) -> None:
    """Store the time, unless a later one is stored."""

    async def work(connection: AsyncConnection) -> None:
        later = update(signing_key).where(signing_key.c.seen_at < now).values(seen_at=now)
        await connection.execute(later)

    await database.write(work)
