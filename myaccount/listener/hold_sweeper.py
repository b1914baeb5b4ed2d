"""Ends holds that have expired and that no order touches.

Their money is available from their end on, swept or not: every order ends the expired holds of its accounts first.
The sweeper makes sure that the end is also told.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Self

from aiojobs import Scheduler

from ..database.database import Database
from ..database.error_kinds import RowLocked, TooLarge
from ..errors import Overloaded, Unavailable
from ..journal.hold_ends import ExpiredHold, end_holds, find_expired_holds
from ..journal.writer import Journal
from .repeating import repeat

_logger = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 1
# How many holds one transaction ends. Orders wait meanwhile, so these are few.
PAGE_LIMIT: Final = 500
# While orders come, the sweeper pauses for this many times as long as it works. To tell of an end costs more than
# the end itself, and both together shall take at most a fifth of the time from orders.
PAUSE_FACTOR: Final = 24
CLOSE_SECONDS: Final = 5


class HoldSweeper:
    """Sweeps until it is left: `async with`. `announce` gets the id of each committed event.

    It goes through the expired holds page by page. Sweepers of several processes pass each other: one skips the
    accounts that another has locked, and goes on with the next page.
    """

    def __init__(self, database: Database, journal: Journal, announce: Callable[[int], None]) -> None:
        self._database = database
        self._journal = journal
        self._announce = announce
        self._scheduler = Scheduler(close_timeout=CLOSE_SECONDS)
        # The last hold of the page before.
        self._behind: ExpiredHold | None = None
        # How many orders had come by the sweep before.
        self._accepted = 0

    async def __aenter__(self) -> Self:
        await self._scheduler.spawn(repeat("sweeper of expired holds", self._sweep))
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._scheduler.close()

    async def _sweep(self) -> None:
        """End a page of holds. What is left of it, the sweep after the last page finds again."""
        began = time.monotonic()
        page = await self._database.read(partial(find_expired_holds, behind=self._behind, limit=PAGE_LIMIT))
        self._behind = page[-1] if page else None
        if not page:
            await asyncio.sleep(SWEEP_SECONDS)
            return
        await self._end(page)
        if self._journal.accepted != self._accepted:
            self._accepted = self._journal.accepted
            await asyncio.sleep((time.monotonic() - began) * PAUSE_FACTOR)

    async def _end(self, holds: Sequence[ExpiredHold]) -> None:
        """End the holds; those that cannot be ended do not keep the others.

        Raises Overloaded and Unavailable if the database fails.
        """
        try:
            event_ids = await end_holds(self._database, holds)
        except Exception as error:
            if isinstance(error, Overloaded | Unavailable) and not isinstance(error, TooLarge | RowLocked):
                raise
            if len(holds) == 1:
                _logger.warning("The hold %s has expired and was not ended: %s", holds[0].order_id, error)
                return
            middle = len(holds) // 2
            await self._end(holds[:middle])
            await self._end(holds[middle:])
        else:
            for event_id in event_ids:
                self._announce(event_id)
