"""Posts a batch of commands in one transaction: lock accounts, read earlier orders, decide, write, commit."""

import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from itertools import compress
from typing import Final, NamedTuple, TypeVar

from ..database.database import Database, DriverConnection
from ..ledger.changes import Change
from ..ledger.commands import AccountCommand, AtomicBulk, Command, NameBulk
from ..ledger.decide import decide
from ..ledger.outcomes import Outcome
from ..ledger.references import AccountsOf, OrdersOf, Reference
from ..ledger.state import Known
from ..outbox.events import event_body
from .batches import BatchConnection, Locked
from .locating import Locator, Places
from .lock_wait import LockWait
from .mysql_batch import MysqlBatch
from .sqlite_batch import SqliteBatch

Result = TypeVar("Result")

# A larger batch has several events, so that none is too large for a packet of the database's.
EVENT_CHANGES_LIMIT: Final = 256


class Books(NamedTuple):
    """What a batch needs to know, and the references that cannot be decided about now."""

    known: Known
    blocked: set[Reference]


class Posted(NamedTuple):
    """The outcome of each command, and the references that could not be decided about.

    The outcome is None if the command was not decided, since it has one of those references.
    """

    outcomes: list[Outcome | None]
    blocked: Collection[Reference]


async def run_batch(database: Database, work: Callable[[BatchConnection], Awaitable[Result]]) -> Result:
    """Return what `work` returns of a batch's connection, with the retries of `Database.write_on_driver`."""
    batch_class = SqliteBatch if database.embedded else MysqlBatch

    async def work_on(connection: DriverConnection) -> Result:
        return await work(batch_class(connection))

    return await database.write_on_driver(work_on)


class Poster:
    """Posts batches; `announce` gets the id of each committed event."""

    def __init__(self, database: Database, announce: Callable[[int], None]) -> None:
        self._database = database
        self._announce = announce
        self._locator = Locator()
        self._lock_wait = LockWait()

    async def post(self, commands: Sequence[Command], *, wait: bool = True) -> Posted:
        """Decide and commit the commands; `wait` for locked rows as long as other processes' batches usually take.

        Raises Unavailable and Overloaded as `Database.write_on_driver` does, TooLarge if the batch must be
        divided, and RowLocked if another row than an account's is locked.
        """

        async def work(batch: BatchConnection) -> tuple[Posted, list[int]]:
            books = await self._read(batch, commands, wait=wait)
            free = self._free(commands, books.blocked)
            decided, state = decide(compress(commands, free), books.known)
            event_ids = await batch.commit(state, _event_bodies(state.changes))
            outcomes = iter(decided)
            return Posted([next(outcomes) if is_free else None for is_free in free], books.blocked), event_ids

        posted, event_ids = await run_batch(self._database, work)
        for event_id in event_ids:
            self._announce(event_id)
        return posted

    def _free(self, commands: Sequence[Command], blocked: set[Reference]) -> list[bool]:
        """Return whether each command can be decided now. A bulk's orders after a blocked one are blocked too."""
        if not blocked:
            return [True] * len(commands)
        free = []
        for command in commands:
            touched = self.touched(command)
            free.append(touched.isdisjoint(blocked))
            if not free[-1]:
                blocked.update(reference for reference in touched if isinstance(reference, OrdersOf))
        return free

    def touched(self, command: Command) -> set[Reference]:
        """Return whose rows the command wants, as far as that is known."""
        return self._locator.touched(command)

    async def _read(self, batch: BatchConnection, commands: Collection[Command], *, wait: bool) -> Books:
        """Lock the accounts, and read all that the commands are about."""
        orders = [order for command in commands for order in command.parts]
        targets = {order.target for order in orders if order.target is not None}
        places, locked, blocked = await self._lock(
            batch, commands, targets, targets.union(order.order_id for order in orders), wait=wait
        )
        accounts = locked.accounts
        payers = [account.id for account in accounts.values() if account.held]
        holds, more_expired = await batch.find_holds(targets, payers, locked.now)
        if more_expired:
            # Not all of their money is available yet, so their orders wait for the next transactions.
            blocked |= places.references_to(payers)
        change_ids = {command.change_id for command in commands if isinstance(command, AccountCommand)}
        bulk_ids = {command.bulk_id for command in commands if isinstance(command, AtomicBulk | NameBulk)}
        known = Known(
            keys={reference: row.key for reference, row in places.parties.items()},
            accounts=accounts,
            users=places.users,
            orders=locked.orders,
            holds=holds,
            bulks=await batch.find_bulks(bulk_ids) if bulk_ids else {},
            made_changes=await batch.find_account_changes(change_ids) if change_ids else (),
            now=locked.now,
        )
        return Books(known, blocked)

    async def _lock(
        self,
        batch: BatchConnection,
        commands: Collection[Command],
        target_ids: Collection[str],
        order_ids: Collection[str],
        *,
        wait: bool,
    ) -> tuple[Places, Locked, set[Reference]]:
        """Lock the accounts, and check that each is the one that is meant (promise 10).

        Return also what is blocked: references to accounts whose rows another transaction holds.
        """
        targets = {AccountsOf(order_id) for order_id in target_ids}
        while True:
            places = await self._locator.locate(batch, commands)
            began = time.monotonic()
            locked = await batch.begin(
                places.keys, order_ids, wait_milliseconds=self._lock_wait.milliseconds if wait else None
            )
            blocked = {ref for ref, row in places.parties.items() if not row.is_it(locked.accounts.get(row.key))}
            if wait:
                got = places.parties.keys() - blocked
                self._lock_wait.note(time.monotonic() - began, got=got, locked=blocked)
            moved = bool(blocked) and await self._have_moved(batch, blocked, places)
            # An order that was committed since its accounts were looked up.
            new = {target for target in targets - places.targets.keys() if target.order_id in locked.orders}
            if not moved and not new:
                blocked |= {ref for ref, pair in places.targets.items() if not locked.accounts.keys() >= set(pair)}
                return places, locked, blocked
            await batch.rollback()

    async def _have_moved(self, batch: BatchConnection, references: Collection[Reference], places: Places) -> bool:
        """Whether any of these accounts has another key than remembered, so that its row was not locked."""
        current = await self._locator.look_again(batch, references)
        return any(current.get(reference) != places.parties[reference] for reference in references)


def _event_bodies(changes: Sequence[Change]) -> list[str]:
    return [
        event_body(changes[start : start + EVENT_CHANGES_LIMIT])
        for start in range(0, len(changes), EVENT_CHANGES_LIMIT)
    ]
