"""The journal's writer: takes the orders that wait, a batch at a time, and has each batch settled.

The database's cost is paid once a batch, and a hot account costs one row lock a batch. The next batch gathers
while one is at the database and, after a batch of more than one order, for a few milliseconds more.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Sequence
from copy import copy
from typing import Final, Self

from ..database.database import Database
from ..errors import Overloaded, Unavailable
from ..ledger.commands import Command
from ..ledger.outcomes import Outcome
from ..system.gathering import Gathering
from .blocked import RETRY_SECONDS, Answer, BlockedOrders, Submitted
from .posting import Announce, Poster, Publish
from .settling import BATCH_LIMIT, Settler

_logger = logging.getLogger(__name__)

# Applies only after a batch of more than one order.
GATHERING_SECONDS: Final = 0.005


class Journal:
    """Settles commands in the order in which they were submitted; `async with` starts and stops its writer.

    `announce` gets the id of each committed event, and `publish` the users whose accounts have new entries or
    declines. Events carry the changes of `callback_types`, which callbacks are sent for, those without either, and
    those of accounts that a team watches. `waiting_limit` and `waiting_seconds` bound the queue, by length and by
    the age of its oldest command: beyond either, commands are refused. On exit the writer settles all accepted
    commands. If the writer fails it calls `broken`, and the exit raises its error.
    """

    def __init__(
        self,
        database: Database,
        announce: Announce,
        publish: Publish = lambda readers: None,
        *,
        callback_types: Collection[str] = (),
        waiting_limit: int = 10_000,
        waiting_seconds: float = 2.0,
        broken: Callable[[], None] = lambda: None,
    ) -> None:
        self._poster = Poster(database, announce, publish, callback_types=callback_types)
        self._waiting_limit = waiting_limit
        self._waiting_seconds = waiting_seconds
        self._broken = broken
        self._waiting: deque[Submitted] = deque()
        # How many orders these are.
        self._waiting_orders = 0
        # How many commands were ever accepted.
        self.accepted = 0
        self._at_database: Sequence[Submitted] = ()
        self._blocked = BlockedOrders()
        self._settler = Settler(self._poster, self._blocked, self._fail_all)
        self._gathering = Gathering()
        self._clock = asyncio.get_running_loop().time
        self._closing = False

    async def __aenter__(self) -> Self:
        self._writer = asyncio.create_task(self._run(), name="journal writer")
        return self

    async def __aexit__(self, *error: object) -> None:
        self._closing = True
        self._gathering.end()
        await self._writer

    async def submit(self, command: Command) -> Outcome:
        """Return the command's outcome, once that is committed.

        Raises Overloaded if too many commands wait: the command was not accepted. Raises Unavailable if the
        database fails: the command may or may not be committed. Send it again to learn its outcome.
        """
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.accept(command, outcome)
        return await outcome

    def accept(self, command: Command, outcome: Answer) -> None:
        """Have the command settled; `outcome` gets its outcome or the database's error.

        Raises Overloaded and Unavailable if it is not accepted.
        """
        if self._closing:
            raise Unavailable("The service is ending. Send the same order again in a moment.")
        self.refuse_if_full()
        order = Submitted(command, outcome, self._clock())
        self._waiting.append(order)
        self._waiting_orders += command.weight
        self.accepted += 1
        self._gathering.note(len(self._waiting))

    def refuse_if_full(self) -> None:
        """Raise Overloaded if further commands are refused."""
        if self.full:
            raise Overloaded("Too many orders are waiting. Send the same order again in a moment.")

    @property
    def waiting(self) -> int:
        return len(self._waiting) + len(self._blocked)

    @property
    def oldest_seconds(self) -> float:
        """The age of the oldest command that waits for a batch, or zero."""
        return self._clock() - self._waiting[0].submitted_at if self._waiting else 0.0

    @property
    def full(self) -> bool:
        """Whether further commands are refused."""
        return self._waiting_orders >= self._waiting_limit or self.oldest_seconds > self._waiting_seconds

    async def _run(self) -> None:
        try:
            await self._write()
        except Exception:
            # A bug. No other task answers these orders, so the process must end.
            _logger.critical("The journal writer failed, and the service ends.", exc_info=True)
            self._closing = True
            self._fail_all(Unavailable("The service failed. Send the same order again in a moment."))
            self._broken()
            raise

    async def _write(self) -> None:
        settled = 0
        while self._waiting or self._blocked or not self._closing:
            await self._wait_for(1, RETRY_SECONDS if self._blocked else None)
            # Wait for about the previous batch's size: clients send again right after a reply, and the first of
            # them would otherwise make a batch of one.
            if self._waiting:
                await self._wait_for(settled, GATHERING_SECONDS)
            batch = self._next_batch()
            await self._settle(batch, wait=True)
            settled = len(batch)
            retried = self._blocked.take_due(self._clock(), BATCH_LIMIT)
            await self._settle(retried, wait=self._blocked.waits_for_locks)
            if self._closing and not (batch or retried):
                await asyncio.sleep(RETRY_SECONDS)

    async def _wait_for(self, count: int, timeout_seconds: float | None) -> None:
        """Return when `count` commands wait, after the timeout, or when the journal closes."""
        if len(self._waiting) < count and not self._closing:
            await self._gathering.wait(count, timeout_seconds)

    def _next_batch(self) -> list[Submitted]:
        """Take the next orders from the queue; those that want a locked row go to the blocked ones."""
        batch: list[Submitted] = []
        weight = 0
        while self._waiting and weight < BATCH_LIMIT:
            order = self._waiting.popleft()
            order_weight = order.command.weight
            self._waiting_orders -= order_weight
            if self._blocked and self._blocked.concerns(self._poster.touched(order.command)):
                self._blocked.add([order])
            else:
                batch.append(order)
                weight += order_weight
        return batch

    async def _settle(self, batch: Sequence[Submitted], *, wait: bool) -> None:
        if batch:
            self._at_database = batch
            await self._settler.settle(batch, wait=wait)

    def _fail_all(self, error: Exception) -> None:
        """Refuse every accepted order that has no outcome yet."""
        for order in [*self._at_database, *self._waiting]:
            order.fail(copy(error))
        self._waiting.clear()
        self._waiting_orders = 0
        self._blocked.fail_all(error)
