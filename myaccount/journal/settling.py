"""Settles a batch: posts its orders in one transaction, and gives each order its outcome or its error.

If a batch fails as a whole, its orders are settled one by one: the fault of one must not refuse the others.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from ..database.error_kinds import RowLocked, TooLarge
from ..errors import Overloaded, Unavailable
from ..ledger.changes import ORDER_NAMES
from ..ledger.commands import Command
from ..ledger.outcomes import Outcome
from ..ledger.records import DECLINED, POSTED
from ..ledger.refusals import Decline
from ..observability.metrics import BATCH_COMMANDS, count_orders
from .blocked import BlockedOrders, Submitted
from .posting import Poster

BATCH_LIMIT: Final = 256


class Settler:
    """Orders that want a locked row go to `blocked`. `fail_all` refuses every order that has no outcome yet."""

    def __init__(self, poster: Poster, blocked: BlockedOrders, fail_all: Callable[[Exception], None]) -> None:
        self._poster = poster
        self._blocked = blocked
        self._fail_all = fail_all

    async def settle(self, batch: Sequence[Submitted], *, wait: bool) -> None:
        """Settle the batch; `wait` for locked rows for as long as batches of other processes usually take."""
        BATCH_COMMANDS.observe(len(batch))
        try:
            posted = await self._poster.post([order.command for order in batch], wait=wait)
        except (RowLocked, TooLarge) as error:
            await self._settle_each(batch, error, wait=wait)
        except (Overloaded, Unavailable) as error:
            # All retries failed: the orders that wait for the next batch would only wait for the same error.
            self._fail_all(error)
        except Exception as error:
            # Whatever one order caused must not refuse the others.
            await self._settle_each(batch, error, wait=wait)
        else:
            self._answer(batch, posted.outcomes)
            if self._blocked or posted.blocked:
                touched = {ref for order in batch for ref in self._poster.touched(order.command)}
                self._blocked.learn(touched.difference(posted.blocked), posted.blocked)
            self._blocked.add(
                [order for order, outcome in zip(batch, posted.outcomes, strict=True) if outcome is None]
            )

    async def _settle_each(self, batch: Sequence[Submitted], error: Exception, *, wait: bool) -> None:
        """Settle each order in its own transaction; a single order fails with the error."""
        if len(batch) == 1:
            batch[0].fail(error)
            return
        for order in batch:
            now = asyncio.get_running_loop().time()
            # An order is done already if an earlier one found the database unavailable.
            if not order.outcome.done() and not order.fail_if_late(now):
                await self.settle([order], wait=wait)

    def _answer(self, batch: Sequence[Submitted], outcomes: Sequence[Outcome | None]) -> None:
        labels: list[tuple[str, str]] = []
        for (command, answer, _), outcome in zip(batch, outcomes, strict=True):
            if outcome is not None:
                labels += _labels(command, outcome)
                # The future of a cancelled handler is cancelled.
                if not answer.done():
                    answer.set_result(outcome)
        count_orders(labels)


def _labels(command: Command, outcome: Outcome) -> list[tuple[str, str]]:
    """Return the metric's labels for each order of a command: the order's type, and its outcome."""
    orders = command.parts
    parts = outcome.parts or [outcome] * len(orders)
    return [(ORDER_NAMES[order.order_type], _result(part)) for order, part in zip(orders, parts, strict=True)]


def _result(outcome: Outcome) -> str:
    if outcome.replayed:
        return "replayed"
    if isinstance(outcome.error, Decline):
        return DECLINED
    return "refused" if outcome.error else POSTED
