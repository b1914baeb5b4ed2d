"""Orders that want an account whose row another transaction has locked.

Only they wait. They are tried again every few milliseconds until the row is free or their time is over; all other
orders go on in the journal's batches.
"""

import asyncio
from collections import deque
from collections.abc import Collection
from copy import copy
from typing import Final, NamedTuple

from ..errors import Overloaded, Unavailable
from ..ledger.commands import Command
from ..ledger.decide import Outcome

RETRY_SECONDS: Final = 0.02
# One try in so many waits for the lock: a row that other batches queue for is never free for those that do not.
QUEUEING: Final = 20
# As long as a transaction may take.
WAIT_SECONDS: Final = 5.0
# More of them are refused, so that they do not take the place of orders that could be decided.
BLOCKED_LIMIT: Final = 1_000


class Submitted(NamedTuple):
    """A command, the future of its outcome, and when it came by the event loop's clock."""

    command: Command
    outcome: "asyncio.Future[Outcome]"
    came_at: float

    @property
    def parties(self) -> tuple[str, str]:
        return self.command.payer, self.command.payee

    def is_late(self, now: float) -> bool:
        """Refuse the order if it has waited too long for a locked row."""
        late = now - self.came_at > WAIT_SECONDS
        if late:
            self.fail(Unavailable("Another transaction holds the account. Send the same order again in a moment."))
        return late

    def fail(self, error: Exception) -> None:
        # A handler that was cancelled has cancelled its future.
        if not self.outcome.done():
            self.outcome.set_exception(error)


class BlockedOrders:
    """The orders that wait for a locked row, and the parties whose rows are locked."""

    def __init__(self) -> None:
        self._orders: deque[Submitted] = deque()
        self._parties: set[str] = set()
        self._next_try = 0.0
        self._tries = 0

    def __len__(self) -> int:
        return len(self._orders)

    def concerns(self, order: Submitted) -> bool:
        """Whether the order wants a row that was locked a moment ago."""
        return not self._parties.isdisjoint(order.parties)

    def add(self, orders: Collection[Submitted]) -> None:
        for order in orders:
            if len(self._orders) < BLOCKED_LIMIT:
                self._orders.append(order)
            else:
                order.fail(Overloaded("Too many orders wait for the same account. Send the same order again."))

    def learn(self, free: Collection[str], locked: Collection[str]) -> None:
        """Note whose rows were free and whose were locked just now."""
        self._parties.difference_update(free)
        self._parties.update(locked)

    @property
    def queues(self) -> bool:
        """Whether the orders that are tried now wait for their locks."""
        return self._tries % QUEUEING == 0

    def take_due(self, now: float, limit: int) -> list[Submitted]:
        """Return the orders to try now, if it is time; refuse those that have waited long enough."""
        if now < self._next_try:
            return []
        self._next_try = now + RETRY_SECONDS
        self._orders = deque(order for order in self._orders if not order.is_late(now))
        if not self._orders:
            self._parties.clear()
            self._tries = 0
            return []
        self._tries += 1
        return [self._orders.popleft() for _ in range(min(limit, len(self._orders)))]

    def fail_all(self, error: Exception) -> None:
        while self._orders:
            self._orders.popleft().fail(copy(error))
        self._parties.clear()
