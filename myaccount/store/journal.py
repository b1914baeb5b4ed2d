"""The journal writer: takes every order that waits into one transaction.

The database's cost is paid once a batch, and a hot account costs one row lock a batch. While a batch is at the
database the next one gathers by itself, and then for a few milliseconds more where there were many.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from typing import Final, Self

from ..ledger.changes import RECHARGE, TRANSFER, settlement
from ..ledger.commands import OUTSIDE_WORLD, Command, Recharge
from ..ledger.decide import DECLINED, POSTED, Order, Outcome, decide
from ..ledger.errors import BalanceTooLarge, InsufficientFunds, Overloaded, Unavailable
from ..metrics import BATCH_COMMANDS, count_orders
from ..model.tables import EXTERNAL_ACCOUNT
from .batches import BatchConnection
from .database import Database, utc_now
from .events import event_body

BATCH_LIMIT: Final = 256
# A client alone never waits for this: it is kept only after a batch of several.
GATHERING_SECONDS: Final = 0.005
REMEMBERED_USERS_LIMIT: Final = 100_000

# A command, its future, and when it came by the event loop's clock.
_Waiting = tuple[Command, "asyncio.Future[Outcome]", float]


class Journal:
    """Settles commands in the order in which they were submitted; `async with` starts and ends its writer.

    `announce` is told the id of each event that was committed. At the end the writer settles what was accepted
    before it stops. `waiting_limit` and `waiting_seconds` bound the commands that wait, by number and by the age
    of the oldest: beyond either, more are refused at once.
    """

    def __init__(
        self,
        database: Database,
        announce: Callable[[int], None],
        *,
        waiting_limit: int = 10_000,
        waiting_seconds: float = 2.0,
    ) -> None:
        self._database = database
        self._announce = announce
        self._waiting_limit = waiting_limit
        self._waiting_seconds = waiting_seconds
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._enough = 1
        self._closing = False
        # User id to account key: it never changes, so remembering it is safe.
        self._first_accounts: dict[str, int] = {OUTSIDE_WORLD: EXTERNAL_ACCOUNT}

    async def __aenter__(self) -> Self:
        self._writer = asyncio.create_task(self._write(), name="journal writer")
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
        settled: asyncio.Future[Outcome] = loop.create_future()
        self._waiting.append((command, settled, loop.time()))
        if len(self._waiting) >= self._enough:
            self._arrived.set()
        return await settled

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def oldest_seconds(self) -> float:
        """How long the first of those that wait has waited."""
        return asyncio.get_running_loop().time() - self._waiting[0][2] if self._waiting else 0.0

    @property
    def full(self) -> bool:
        """Whether more commands are refused."""
        return len(self._waiting) >= self._waiting_limit or self.oldest_seconds > self._waiting_seconds

    async def _write(self) -> None:
        settled = 0
        while self._waiting or not self._closing:
            await self._wait_for(1, None)
            # As many as the last time, since those who had their answers are about to ask again: else the first
            # to come would leave alone, and the rest wait behind it.
            await self._wait_for(settled, GATHERING_SECONDS)
            batch = [self._waiting.popleft() for _ in range(min(BATCH_LIMIT, len(self._waiting)))]
            if batch:
                await self._settle(batch)
            settled = len(batch)

    async def _wait_for(self, count: int, timeout_seconds: float | None) -> None:
        """Return once so many commands wait, or the time is over, or the journal is closing."""
        if len(self._waiting) >= count or self._closing:
            return
        self._enough = count
        self._arrived.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._arrived.wait()

    async def _settle(self, batch: list[_Waiting]) -> None:
        """Give every future of the batch its outcome or its error; never raise."""
        BATCH_COMMANDS.observe(len(batch))
        try:
            outcomes = await self._post([command for command, *_ in batch])
        except (Overloaded, Unavailable) as error:
            # Those that came meanwhile would fare no better: a database that is away has had its time.
            for _, settled, _ in [*batch, *self._waiting]:
                _fail(settled, copy(error))
            self._waiting.clear()
        except Exception as error:
            if len(batch) > 1:
                # A fault that one order caused must not refuse the others: each gets its own transaction.
                for waiting in batch:
                    await self._settle([waiting])
            else:
                _fail(batch[0][1], error)
        else:
            count_orders(_counted_as(c, outcome) for (c, *_), outcome in zip(batch, outcomes, strict=True))
            for (_, settled, _), outcome in zip(batch, outcomes, strict=True):
                # A handler that was cancelled has cancelled its future.
                if not settled.done():
                    settled.set_result(outcome)

    async def _post(self, commands: Sequence[Command]) -> list[Outcome]:
        async def work(batch: BatchConnection) -> tuple[list[Outcome], int | None]:
            keys = await self._find_keys(batch, commands)
            locked, earlier_orders = await batch.begin(
                set(keys.values()), {command.order_id for command in commands}
            )
            accounts = {party: locked[key] for party, key in keys.items()}
            decision = decide(commands, accounts, earlier_orders)
            event = _event(decision.orders, keys)
            event_id = await batch.commit(decision.orders, decision.balances, event, utc_now())
            return decision.outcomes, event_id

        outcomes, event_id = await self._database.batch(work)
        if event_id is not None:
            self._announce(event_id)
        return outcomes

    async def _find_keys(self, batch: BatchConnection, commands: Sequence[Command]) -> dict[str, int]:
        """Return the account key of each party that has an account."""
        parties = {command.payer for command in commands} | {command.payee for command in commands}
        if len(self._first_accounts) > REMEMBERED_USERS_LIMIT:
            self._first_accounts = {OUTSIDE_WORLD: EXTERNAL_ACCOUNT}
        unknown = parties.difference(self._first_accounts)
        if unknown:
            self._first_accounts |= await batch.find_first_accounts(unknown)
        return {party: self._first_accounts[party] for party in parties if party in self._first_accounts}


def _event(orders: Sequence[Order], keys: Mapping[str, int]) -> str:
    """Return what the batch's event tells; `keys` has the account key of each party."""
    parties = {key: party for party, key in keys.items()}
    return event_body(settlement(o, parties[o.from_account], parties[o.to_account]) for o in orders)


def _counted_as(command: Command, outcome: Outcome) -> tuple[str, str]:
    """Return the order's type and what became of it, as the metrics name them."""
    order_type = RECHARGE if command.order_type == Recharge.order_type else TRANSFER
    if outcome.replayed:
        return order_type, "replayed"
    if isinstance(outcome.error, InsufficientFunds | BalanceTooLarge):
        return order_type, DECLINED
    return order_type, "refused" if outcome.error else POSTED


def _fail(settled: "asyncio.Future[Outcome]", error: Exception) -> None:
    if not settled.done():
        settled.set_exception(error)
