"""Orders whose payer's or payee's row another transaction holds, and openings whose user's or team's it does.

They are retried every few milliseconds until the row is free or their time is over. All other orders go on in the
journal's batches.
"""

from collections import deque
from collections.abc import Collection
from copy import copy
from typing import Final, NamedTuple, Protocol

from ..database.retries import TRANSACTION_TIMEOUT_SECONDS
from ..errors import Overloaded, Unavailable
from ..ledger.commands import Command
from ..ledger.outcomes import Outcome
from ..ledger.references import Reference

RETRY_SECONDS: Final = 0.02
# Every 20th retry waits for the lock. One that never waits never gets a row for which other batches queue.
TRIES_PER_WAIT: Final = 20
WAIT_SECONDS: Final = TRANSACTION_TIMEOUT_SECONDS
# More are refused: they take memory, and time from orders that can be decided.
BLOCKED_LIMIT: Final = 1_000


class Answer(Protocol):
    """What gets a command's outcome or an error: a future, or what does the same for less.

    It may be done before, because nobody waits for it any more.
    """

    def done(self) -> bool: ...
    def set_result(self, outcome: Outcome, /) -> None: ...
    def set_exception(self, error: Exception, /) -> None: ...


class Submitted(NamedTuple):
    """A command, what gets its outcome, and the event loop's time when it was submitted."""

    command: Command
    outcome: Answer
    submitted_at: float

    def fail_if_late(self, now: float) -> bool:
        """Refuse the order if it has waited too long for a locked row; return whether it was refused."""
        late = now - self.submitted_at > WAIT_SECONDS
        if late:
            self.fail(Unavailable("Another transaction holds a row that this needs. Send it again in a moment."))
        return late

    def fail(self, error: Exception) -> None:
        # The future of a cancelled handler is cancelled.
        if not self.outcome.done():
            self.outcome.set_exception(error)


class BlockedOrders:
    """The orders that wait for a locked row, and references to the accounts whose rows are locked."""

    def __init__(self) -> None:
        self._orders: deque[Submitted] = deque()
        self._locked: set[Reference] = set()
        self._next_try = 0.0
        self._tries = 0

    def __len__(self) -> int:
        return len(self._orders)

    def concerns(self, touched: Collection[Reference]) -> bool:
        """Whether a row was locked when it was last tried, of those that an order wants."""
        return not self._locked.isdisjoint(touched)

    def add(self, orders: Collection[Submitted]) -> None:
        weight = sum(order.command.weight for order in self._orders)
        for order in orders:
            if weight < BLOCKED_LIMIT:
                self._orders.append(order)
                weight += order.command.weight
            else:
                order.fail(Overloaded("Too many orders wait for the same account. Send the same order again."))

    def learn(self, free: Collection[Reference], locked: Collection[Reference]) -> None:
        """Note which rows were free just now, and which were locked."""
        self._locked.difference_update(free)
        self._locked.update(locked)

    @property
    def waits_for_locks(self) -> bool:
        """Whether this retry waits for the locks, as one in TRIES_PER_WAIT does."""
        return self._tries % TRIES_PER_WAIT == 0

    def take_due(self, now: float, limit: int) -> list[Submitted]:
        """Return the orders to retry now, if it is time; refuse those that have waited too long."""
        if now < self._next_try:
            return []
        self._next_try = now + RETRY_SECONDS
        self._orders = deque(order for order in self._orders if not order.fail_if_late(now))
        if not self._orders:
            self._locked.clear()
            self._tries = 0
            return []
        self._tries += 1
        due: list[Submitted] = []
        while self._orders and limit > 0:
            due.append(self._orders.popleft())
            limit -= due[-1].command.weight
        return due

    def fail_all(self, error: Exception) -> None:
        while self._orders:
            self._orders.popleft().fail(copy(error))
        self._locked.clear()
