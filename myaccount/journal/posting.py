"""Posts a batch of commands in one transaction: lock accounts, read earlier orders, decide, write, commit."""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from itertools import compress
from typing import Final, NamedTuple, TypeVar

from ..database.database import Database, DriverConnection
from ..database.times import utc_now
from ..ledger.changes import settlements
from ..ledger.commands import OUTSIDE_WORLD, Command
from ..ledger.decide import Account, Order, Outcome, decide
from ..model.ledger import EXTERNAL_ACCOUNT
from ..outbox.events import event_body
from .batches import BatchConnection
from .lock_wait import LockWait
from .mysql_batch import MysqlBatch
from .sqlite_batch import SqliteBatch

Result = TypeVar("Result")

REMEMBERED_USERS_LIMIT: Final = 100_000
_OUTSIDE: Final = {OUTSIDE_WORLD: EXTERNAL_ACCOUNT}


class Locked(NamedTuple):
    """What a batch locked: keys and accounts by party, earlier orders by id, and the parties it could not lock."""

    keys: Mapping[str, int]
    accounts: Mapping[str, Account]
    orders: Mapping[str, Order]
    blocked: Collection[str]


class Posted(NamedTuple):
    """The outcome of each command, and the parties whose rows another transaction holds.

    The outcome is None if the command was not decided, since it wants one of those rows.
    """

    outcomes: list[Outcome | None]
    blocked: Collection[str]


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
        # A cache of account keys by user id. After a failover a key may be another user's, so the
        # locked row is checked before use.
        self._first_accounts = dict(_OUTSIDE)
        self._lock_wait = LockWait()

    async def post(self, commands: Sequence[Command], *, wait: bool = True) -> Posted:
        """Decide and commit the commands; `wait` for locked rows as long as other processes' batches usually take.

        Raises Unavailable and Overloaded as `Database.write_on_driver` does, TooLarge if the batch must be
        divided, and RowLocked if another row than an account's is locked.
        """
        parties = {party for command in commands for party in (command.payer, command.payee)}
        order_ids = {command.order_id for command in commands}

        async def work(batch: BatchConnection) -> tuple[Posted, int | None]:
            locked = await self._lock(batch, parties, order_ids, wait=wait)
            free = [_is_free(command, locked.blocked) for command in commands]
            decision = decide(list(compress(commands, free)), locked.accounts, locked.orders)
            parties_by_key = {key: party for party, key in locked.keys.items()}
            last_entries = {account.id: account.last_entry for account in locked.accounts.values()}
            changes = settlements(decision.orders, parties_by_key, last_entries)
            balances = {key: (balance, last_entries[key]) for key, balance in decision.balances.items()}
            event_id = await batch.commit(decision.orders, balances, event_body(changes), utc_now())
            decided = iter(decision.outcomes)
            outcomes = [next(decided) if is_free else None for is_free in free]
            return Posted(outcomes, locked.blocked), event_id

        posted, event_id = await run_batch(self._database, work)
        if event_id is not None:
            self._announce(event_id)
        return posted

    async def _lock(
        self, batch: BatchConnection, parties: Collection[str], order_ids: Collection[str], *, wait: bool
    ) -> Locked:
        """Lock the parties' accounts, and check that each is that party's own (promise 10)."""
        while True:
            keys = await self._find_keys(batch, parties)
            began = time.monotonic()
            accounts, orders = await batch.begin(
                keys, order_ids, wait_milliseconds=self._lock_wait.milliseconds if wait else None
            )
            missing = keys.keys() - accounts.keys()
            if wait:
                self._lock_wait.note(time.monotonic() - began, got=accounts, locked=missing)
            if not missing:
                return Locked(keys, accounts, orders, missing)
            current = _OUTSIDE | await batch.find_first_accounts(missing)
            stale = {party for party in missing if current.get(party) != keys[party]}
            if not stale:
                return Locked(keys, accounts, orders, missing)
            await batch.rollback()
            for party in stale:
                self._first_accounts.pop(party, None)

    async def _find_keys(self, batch: BatchConnection, parties: Collection[str]) -> dict[str, int]:
        """Return the account key of each party that has an account, from the cache or the database."""
        if len(self._first_accounts) > REMEMBERED_USERS_LIMIT:
            self._first_accounts = dict(_OUTSIDE)
        unknown = set(parties).difference(self._first_accounts)
        if unknown:
            self._first_accounts |= await batch.find_first_accounts(unknown)
        return {party: self._first_accounts[party] for party in parties if party in self._first_accounts}


def _is_free(command: Command, blocked: Collection[str]) -> bool:
    """Whether neither party's row is locked by another transaction."""
    return command.payer not in blocked and command.payee not in blocked
