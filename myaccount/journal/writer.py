"""The journal writer: posts every order that waits in one transaction.

The database's cost is paid once a batch, and a hot account costs one row lock a batch. While a batch is at the
database the next one gathers by itself, and then for a few milliseconds more where there were many.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from typing import Final, Self

from ..database.database import Database
from ..database.error_kinds import RowLocked, TooLarge
from ..errors import Overloaded, Unavailable
from ..ledger.changes import RECHARGE, TRANSFER
from ..ledger.commands import Command, Recharge
from ..ledger.decide import DECLINED, POSTED, Outcome
from ..ledger.refusals import BalanceTooLarge, InsufficientFunds
from ..observability.metrics import BATCH_COMMANDS, count_orders
from .blocked import RETRY_SECONDS, BlockedOrders, Submitted
from .posting import Poster

_logger = logging.getLogger(__name__)

BATCH_LIMIT: Final = 256
# Applies only after a batch of more than one order.
GATHERING_SECONDS: Final = 0.005


class Journal:
    """Settles commands in the order in which they were submitted; `async with` starts and ends its writer.

    `announce` gets the id of each event that was committed. At the end the writer settles what was accepted before
    it stops. `waiting_limit` and `waiting_seconds` bound the commands that wait, by number and by the age of the
    oldest: beyond either, more are refused at once. An error that ends the writer calls `broken`, and leaving the
    context raises it.
    """

    def __init__(
        self,
        database: Database,
        announce: Callable[[int], None],
        *,
        waiting_limit: int = 10_000,
        waiting_seconds: float = 2.0,
        broken: Callable[[], None] = lambda: None,
    ) -> None:
        self._poster = Poster(database, announce)
        self._waiting_limit = waiting_limit
        self._waiting_seconds = waiting_seconds
        self._broken = broken
        self._waiting: deque[Submitted] = deque()
        self._under_way: Sequence[Submitted] = ()
        self._blocked = BlockedOrders()
        self._batch_limit = BATCH_LIMIT
        self._arrived = asyncio.Event()
        self._enough = 1
        self._closing = False

    async def __aenter__(self) -> Self:
        self._writer = asyncio.create_task(self._run(), name="journal writer")
        return self

    async def __aexit__(self, *error: object) -> None:
        self._closing = True
        self._arrived.set()
        await self._writer

    async def submit(self, command: Command) -> Outcome:
        """Return what became of the command, once that is committed.

        Raises Overloaded if too many wait already: the command was not taken. Raises Unavailable if the
        database cannot say: the command may be committed or not, and sending it again settles it.
        """
        if self._closing:
            raise Unavailable("The service is ending. Send the same order again in a moment.")
        if self.full:
            raise Overloaded("Too many orders are waiting. Send the same order again in a moment.")
        loop = asyncio.get_running_loop()
        order = Submitted(command, loop.create_future(), loop.time())
        self._waiting.append(order)
        if len(self._waiting) >= self._enough:
            self._arrived.set()
        return await order.outcome

    @property
    def waiting(self) -> int:
        return len(self._waiting) + len(self._blocked)

    @property
    def oldest_seconds(self) -> float:
        """How long the first of those that wait for a batch has waited."""
        return asyncio.get_running_loop().time() - self._waiting[0].came_at if self._waiting else 0.0

    @property
    def full(self) -> bool:
        """Whether more commands are refused."""
        return len(self._waiting) >= self._waiting_limit or self.oldest_seconds > self._waiting_seconds

    async def _run(self) -> None:
        try:
            await self._write()
        except Exception:
            # Only a fault of the program comes here. Nobody else answers these orders, so the process must end.
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
            await self._take(batch, wait=True)
            settled = len(batch)
            again = self._blocked.take_due(asyncio.get_running_loop().time(), self._batch_limit)
            await self._take(again, wait=self._blocked.queues)
            if self._closing and not (batch or again):
                await asyncio.sleep(RETRY_SECONDS)

    async def _take(self, batch: Sequence[Submitted], *, wait: bool) -> None:
        if batch:
            self._under_way = batch
            await self._settle(batch, wait=wait)

    def _next_batch(self) -> list[Submitted]:
        """Return the orders that wait, without those that want a row that another transaction holds."""
        batch: list[Submitted] = []
        while self._waiting and len(batch) < self._batch_limit:
            order = self._waiting.popleft()
            if self._blocked and self._blocked.concerns(order):
                self._blocked.add([order])
            else:
                batch.append(order)
        return batch

    async def _wait_for(self, count: int, timeout_seconds: float | None) -> None:
        """Return once so many commands wait, or the time is over, or the journal is closing."""
        if len(self._waiting) >= count or self._closing:
            return
        self._enough = count
        self._arrived.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._arrived.wait()

    async def _settle(self, batch: Sequence[Submitted], *, wait: bool) -> None:
        """Give every future of the batch its outcome or its error, or set it apart until its row is free."""
        BATCH_COMMANDS.observe(len(batch))
        try:
            posted = await self._poster.post([order.command for order in batch], wait=wait)
        except TooLarge as error:
            await self._settle_parts(batch, self._halved(batch), error, wait=wait)
        except RowLocked as error:
            await self._settle_parts(batch, 1, error, wait=wait)
        except (Overloaded, Unavailable) as error:
            # Those that came meanwhile would fare no better: a database that is away has had its time.
            self._fail_all(error)
        except Exception as error:
            # A fault that one order caused must not refuse the others.
            await self._settle_parts(batch, 1, error, wait=wait)
        else:
            self._answer(batch, posted.outcomes)
            tried = {party for order in batch for party in order.parties}
            self._blocked.learn(tried.difference(posted.blocked), posted.blocked)
            self._blocked.add([order for order, o in zip(batch, posted.outcomes, strict=True) if o is None])
            if len(batch) == self._batch_limit < BATCH_LIMIT:
                # The next server, or the next orders, may let batches be larger.
                self._batch_limit += 1

    async def _settle_parts(self, batch: Sequence[Submitted], size: int, error: Exception, *, wait: bool) -> None:
        """Settle the batch in parts, each in its own transaction; a single order fails with the error."""
        if len(batch) == 1:
            batch[0].fail(error)
            return
        for start in range(0, len(batch), size):
            now = asyncio.get_running_loop().time()
            # Done are those that were refused because the database is away.
            part = [o for o in batch[start : start + size] if not o.outcome.done() and not o.is_late(now)]
            if part:
                await self._settle(part, wait=wait)

    def _halved(self, batch: Sequence[Submitted]) -> int:
        """Return half the batch's size, and make no larger batches for now."""
        half = (len(batch) + 1) // 2
        if half < self._batch_limit and len(batch) > 1:
            self._batch_limit = half
            _logger.warning("The database takes no larger batches: one has at most %s orders for now.", half)
        return half

    def _answer(self, batch: Sequence[Submitted], outcomes: Sequence[Outcome | None]) -> None:
        decided = [(order, o) for order, o in zip(batch, outcomes, strict=True) if o is not None]
        count_orders(_counted_as(order.command, outcome) for order, outcome in decided)
        for order, outcome in decided:
            # A handler that was cancelled has cancelled its future.
            if not order.outcome.done():
                order.outcome.set_result(outcome)

    def _fail_all(self, error: Exception) -> None:
        """Refuse all orders that were taken and have no answer yet."""
        for order in [*self._under_way, *self._waiting]:
            order.fail(copy(error))
        self._waiting.clear()
        self._blocked.fail_all(error)


def _counted_as(command: Command, outcome: Outcome) -> tuple[str, str]:
    """Return the order's type and what became of it, as the metrics name them."""
    order_type = RECHARGE if command.order_type == Recharge.order_type else TRANSFER
    if outcome.replayed:
        return order_type, "replayed"
    if isinstance(outcome.error, InsufficientFunds | BalanceTooLarge):
        return order_type, DECLINED
    return order_type, "refused" if outcome.error else POSTED
