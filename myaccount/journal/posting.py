"""Posts a batch of commands in one transaction: open and lock accounts, read orders, decide, write, commit."""

import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, NamedTuple, TypeVar

from ..database.database import Database, DriverConnection
from ..database.error_kinds import ErrorKind, kind_of
from ..ledger.account_commands import Opening
from ..ledger.changes import Change
from ..ledger.commands import Command
from ..ledger.decide import decide
from ..ledger.outcomes import Outcome
from ..ledger.references import OrdersOf, Reference
from ..ledger.refusals import Decline
from ..ledger.state import State
from ..outbox.events import event_bodies
from .batches import BatchConnection
from .books import BookReader
from .locating import Locator
from .mysql_batch import MysqlBatch
from .replays import find_replays
from .round_trips import ROW_BYTES
from .sqlite_batch import SqliteBatch

Result = TypeVar("Result")

# Gets the id of each committed event.
Announce = Callable[[int], None]
# Gets the users whose inboxes get messages from what was committed.
Publish = Callable[[Collection[str]], None]

# Orders that are sent again come in groups: after a failure of the network, or of a program that sends them.
LOOK_UP_SECONDS: Final = 1.0


class Posted(NamedTuple):
    """The outcome of each command, and the references that could not be decided about.

    The outcome is None if the command was not decided, since it has one of those references.
    """

    outcomes: list[Outcome | None]
    blocked: Collection[Reference]


class _Decision(NamedTuple):
    """What was decided in a transaction: what to write, and whether an order was refused."""

    posted: Posted
    opened: Sequence[Change]
    state: State
    refused: bool

    async def commit(self, batch: BatchConnection, readers: set[str]) -> "_Committed":
        """Write it; add to `readers`, before that, the users whose inboxes get messages from new rows."""
        if self.state.new_entries or self.state.new_declines:
            changed = self.state.changed_accounts.values()
            readers.update(account.user_id for account in changed if account.user_id)
        # An account is opened before an order pays it.
        changes = [*self.opened, *self.state.changes]
        bodies = event_bodies(changes, batch.limit_bytes - ROW_BYTES)
        return _Committed(self.posted, await batch.commit(self.state, bodies))


class _Committed(NamedTuple):
    """What was committed, and the ids of its events."""

    posted: Posted
    event_ids: list[int]


async def run_batch(
    database: Database, work: Callable[[BatchConnection], Awaitable[Result]], *, beside_orders: bool = False
) -> Result:
    """Return what `work` returns of a batch's connection; the rest is as for `Database.write_on_driver`."""
    batch_class = SqliteBatch if database.embedded else MysqlBatch

    async def work_on(connection: DriverConnection) -> Result:
        return await work(batch_class(connection))

    return await database.write_on_driver(work_on, beside_orders=beside_orders)


class Poster:
    """Posts batches; `announce` and `publish` get what was committed. `callback_types` is as for the journal."""

    def __init__(
        self, database: Database, announce: Announce, publish: Publish, *, callback_types: Collection[str]
    ) -> None:
        self._database = database
        self._announce = announce
        self._publish = publish
        self._locator = Locator()
        self._reader = BookReader(self._locator, callback_types=callback_types)
        # Until when replays are sought first, and until when orders are looked up before they are decided, by the
        # monotonic clock.
        self._replays_until = 0.0
        self._look_up_until = 0.0

    async def post(self, commands: Sequence[Command], *, wait: bool = True) -> Posted:
        """Decide and commit the commands; `wait` for locked rows as long as other processes' batches usually take.

        Raises Unavailable and Overloaded as `Database.write_on_driver` does, TooLarge if the batch must be
        divided, and RowLocked if another row than an account's is locked.
        """

        readers: set[str] = set()

        async def work(batch: BatchConnection) -> _Committed:
            if time.monotonic() > self._replays_until:
                return await self._post(batch, commands, readers, wait=wait, all_new=True)
            return await self._post_others(batch, commands, readers, wait=wait)

        try:
            posted, event_ids = await run_batch(self._database, work)
        finally:
            # A commit without an answer may be one, and the batch that is decided again then has nothing new.
            if readers:
                self._publish(readers)
        for event_id in event_ids:
            self._announce(event_id)
        return posted

    async def _post_others(
        self, batch: BatchConnection, commands: Sequence[Command], readers: set[str], *, wait: bool
    ) -> "_Committed":
        """Find replays, and post the other commands."""
        replays = await find_replays(batch, self._locator, commands)
        others = [command for command, found in zip(commands, replays.outcomes, strict=True) if found is None]
        if len(others) < len(commands):
            self._replays_until = time.monotonic() + LOOK_UP_SECONDS
        if not others:
            await batch.rollback()
            return _Committed(Posted(replays.outcomes, ()), [])
        committed = await self._post(batch, others, readers, wait=wait, all_new=replays.all_found)
        outcomes = iter(committed.posted.outcomes)
        every = [next(outcomes) if found is None else found for found in replays.outcomes]
        return _Committed(Posted(every, committed.posted.blocked), committed.event_ids)

    async def _post(
        self, batch: BatchConnection, commands: Sequence[Command], readers: set[str], *, wait: bool, all_new: bool
    ) -> "_Committed":
        """Post the commands: at first, if `all_new`, as if none had been sent before."""
        if all_new and time.monotonic() > self._look_up_until:
            try:
                if committed := await self._post_new(batch, commands, readers, wait=wait):
                    return committed
                self._look_up_until = time.monotonic() + LOOK_UP_SECONDS
            except Exception as error:
                if kind_of(error) is not ErrorKind.DUPLICATE:
                    raise
                self._replays_until = time.monotonic() + LOOK_UP_SECONDS
            await batch.rollback()
        decision = await self._decide(batch, commands, wait=wait, look_up=True)
        return await decision.commit(batch, readers)

    async def _post_new(
        self, batch: BatchConnection, commands: Sequence[Command], readers: set[str], *, wait: bool
    ) -> "_Committed | None":
        """Post the commands as if none had been sent before; return None if any of them may have been.

        Nearly all orders are new, and looking up each one costs the database a fifth of its work. The insert of an
        order or a bulk that is not new raises the database's error of a duplicate key. One that is refused inserts
        nothing, so it must be looked up.
        """
        decision = await self._decide(batch, commands, wait=wait, look_up=False)
        return None if decision.refused else await decision.commit(batch, readers)

    async def _decide(
        self, batch: BatchConnection, commands: Sequence[Command], *, wait: bool, look_up: bool
    ) -> "_Decision":
        """Open accounts, read what the other commands are about, and decide those that are not blocked."""
        books = await self._reader.read(batch, commands, wait=wait, look_up=look_up)
        free = self._free(commands, books.blocked)
        others = [c for c, is_free in zip(commands, free, strict=True) if is_free and not isinstance(c, Opening)]
        decided, state = decide(others, books.known)
        refused = any(outcome.error and not isinstance(outcome.error, Decline) for outcome in decided)
        opened, outcomes = iter(books.opened.outcomes), iter(decided)
        every = [
            next(opened) if isinstance(command, Opening) else next(outcomes) if is_free else None
            for command, is_free in zip(commands, free, strict=True)
        ]
        return _Decision(Posted(every, books.blocked), books.opened.changes, state, refused)

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
