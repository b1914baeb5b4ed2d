"""Settles a batch: posts its orders in one transaction, and gives each order its outcome or its error.

A batch that fails as a whole is divided, down to single orders, so that one order's fault does not refuse the
others.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from ..database.error_kinds import RowLocked, TooLarge
from ..errors import Overloaded, Unavailable
from ..ledger.changes import ORDER_NAMES
from ..ledger.outcomes import Outcome
from ..ledger.records import DECLINED, POSTED
from ..ledger.refusals import Decline
from ..observability.metrics import BATCH_COMMANDS, count_orders
from .blocked import BlockedOrders, Submitted
from .posting import Poster

_logger = logging.getLogger(__name__)

BATCH_LIMIT: Final = 256


class Settler:
    """Orders that want a locked row go to `blocked`. `fail_all` refuses every order that has no outcome yet."""

    def __init__(self, poster: Poster, blocked: BlockedOrders, fail_all: Callable[[Exception], None]) -> None:
        self._poster = poster
        self._blocked = blocked
        self._fail_all = fail_all
        # Less than BATCH_LIMIT after a batch that was too large for the database.
        self.batch_limit = BATCH_LIMIT

    async def settle(self, batch: Sequence[Submitted], *, wait: bool) -> None:
        """Settle the batch; `wait` for locked rows for as long as batches of other processes usually take."""
        BATCH_COMMANDS.observe(len(batch))
        try:
            posted = await self._poster.post([order.command for order in batch], wait=wait)
        except TooLarge as error:
            await self._settle_parts(batch, self._halve_limit(batch), error, wait=wait)
        except RowLocked as error:
            await self._settle_parts(batch, 1, error, wait=wait)
        except (Overloaded, Unavailable) as error:
            # All retries failed: the orders that wait for the next batch would only wait for the same error.
            self._fail_all(error)
        except Exception as error:
            # Whatever one order caused must not refuse the others.
            await self._settle_parts(batch, 1, error, wait=wait)
        else:
            self._answer(batch, posted.outcomes)
            if self._blocked or posted.blocked:
                touched = {ref for order in batch for ref in self._poster.touched(order.command)}
                self._blocked.learn(touched.difference(posted.blocked), posted.blocked)
            self._blocked.add(
                [order for order, outcome in zip(batch, posted.outcomes, strict=True) if outcome is None]
            )
            if len(batch) == self.batch_limit < BATCH_LIMIT:
                # Try larger batches again: another server, or shorter orders, may allow them.
                self.batch_limit += 1

    async def _settle_parts(self, batch: Sequence[Submitted], size: int, error: Exception, *, wait: bool) -> None:
        """Settle the batch in parts, each in its own transaction; a single order fails with the error."""
        if len(batch) == 1:
            batch[0].fail(error)
            return
        for start in range(0, len(batch), size):
            now = asyncio.get_running_loop().time()
            # An order is done already if an earlier part found the database unavailable.
            part = [
                order
                for order in batch[start : start + size]
                if not order.outcome.done() and not order.fail_if_late(now)
            ]
            if part:
                await self.settle(part, wait=wait)

    def _halve_limit(self, batch: Sequence[Submitted]) -> int:
        """Return half the number of commands. Half of their orders are the limit of batches from now on."""
        limit = (sum(order.weight for order in batch) + 1) // 2
        if limit < self.batch_limit and len(batch) > 1:
            self.batch_limit = limit
            _logger.warning(
                "A batch was too large for the database. Batches have at most %s orders from now on.", limit
            )
        return (len(batch) + 1) // 2

    def _answer(self, batch: Sequence[Submitted], outcomes: Sequence[Outcome | None]) -> None:
        decided = [(order, outcome) for order, outcome in zip(batch, outcomes, strict=True) if outcome is not None]
        count_orders(label for order, outcome in decided for label in _labels(order, outcome))
        for order, outcome in decided:
            # The future of a cancelled handler is cancelled.
            if not order.outcome.done():
                order.outcome.set_result(outcome)


def _labels(submitted: Submitted, outcome: Outcome) -> list[tuple[str, str]]:
    """Return the metric's labels for each order of a command: the order's type, and its outcome."""
    orders = submitted.command.parts
    parts = outcome.parts or [outcome] * len(orders)
    return [(ORDER_NAMES[order.order_type], _result(part)) for order, part in zip(orders, parts, strict=True)]


def _result(outcome: Outcome) -> str:
    if outcome.replayed:
        return "replayed"
    if isinstance(outcome.error, Decline):
        return DECLINED
    return "refused" if outcome.error else POSTED
