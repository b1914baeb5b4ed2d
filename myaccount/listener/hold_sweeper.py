"""Ends holds that have expired and that no order touches.

Their money is available from their end on, swept or not: every order ends the expired holds of its accounts first.
The sweeper makes sure that the end is also told.
"""

import asyncio
import time
from typing import Final, Self

from aiojobs import Scheduler
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database
from ..database.times import server_time
from ..journal.writer import Journal
from ..ledger.commands import EndHolds
from ..ledger.references import AccountId
from ..model.ledger import account, hold
from .repeating import repeat

SWEEP_SECONDS: Final = 1
# How many holds one sweep looks at. Their accounts go through the journal like orders.
SWEEP_LIMIT: Final = 256
# While orders wait, the sweeper pauses for this many times as long as it works, so that it takes little from them.
PAUSE_FACTOR: Final = 4
CLOSE_SECONDS: Final = 5


class HoldSweeper:
    """Sweeps until it is left: `async with`.

    Sweepers of several processes may find the same holds. That does no harm, since each hold is ended under its
    account's lock, once.
    """

    def __init__(self, database: Database, journal: Journal) -> None:
        self._database = database
        self._journal = journal
        self._scheduler = Scheduler(close_timeout=CLOSE_SECONDS)

    async def __aenter__(self) -> Self:
        await self._scheduler.spawn(repeat("sweeper of expired holds", self._sweep))
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._scheduler.close()

    async def _sweep(self) -> None:
        began = time.monotonic()
        account_ids = await self._database.read(_find_accounts)
        ends = [self._journal.submit(EndHolds(AccountId(id_))) for id_ in dict.fromkeys(account_ids)]
        # One that fails, since its row is locked, must not keep the others waiting. The next sweep finds it again.
        await asyncio.gather(*ends, return_exceptions=True)
        if len(account_ids) < SWEEP_LIMIT:
            await asyncio.sleep(SWEEP_SECONDS)
        elif self._journal.waiting:
            await asyncio.sleep((time.monotonic() - began) * PAUSE_FACTOR)


async def _find_accounts(connection: AsyncConnection) -> list[str]:
    """Return the payer's account id of each hold that has expired, oldest first, up to SWEEP_LIMIT."""
    expired = (
        select(hold.c.payer)
        .where(hold.c.due_at <= server_time())
        .order_by(hold.c.due_at)
        .limit(SWEEP_LIMIT)
        .subquery()
    )
    found = select(account.c.account_id).join_from(expired, account, account.c.id == expired.c.payer)
    return list((await connection.execute(found)).scalars())
