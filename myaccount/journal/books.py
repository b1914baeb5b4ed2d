"""Locks and reads what a batch is about, and checks that each account is the one that is meant (promise 10)."""

import time
from collections.abc import Collection
from typing import NamedTuple

from ..ledger.account_commands import AccountCommand
from ..ledger.commands import AtomicBulk, Command, NameBulk
from ..ledger.references import AccountsOf, Reference
from ..ledger.state import Known
from .batches import BatchConnection, Locked
from .locating import Locator, Places
from .lock_wait import LockWait


class Books(NamedTuple):
    """What a batch needs to know, and the references that cannot be decided about now."""

    known: Known
    blocked: set[Reference]


class BookReader:
    """Reads for one batch after another, and remembers where accounts are and how long locks take."""

    def __init__(self) -> None:
        self._locator = Locator()
        self._lock_wait = LockWait()

    def touched(self, command: Command) -> set[Reference]:
        """Return whose rows the command wants, as far as that is known."""
        return self._locator.touched(command)

    async def read(
        self, batch: BatchConnection, commands: Collection[Command], *, wait: bool, look_up: bool
    ) -> Books:
        """Lock the accounts, and read all that the commands are about.

        Only with `look_up` are orders and bulks that were sent before found by their own ids.
        """
        orders = [order for command in commands for order in command.parts]
        targets = {order.target for order in orders if order.target is not None}
        order_ids = targets.union(order.order_id for order in orders) if look_up else targets
        places, locked, blocked = await self._lock(batch, commands, targets, order_ids, wait=wait)
        accounts = locked.accounts
        payers = [account.id for account in accounts.values() if account.held]
        holds, unfinished = await batch.find_holds(targets, payers, locked.now)
        if unfinished:
            # Not all of their money is available yet, so their orders wait for the next transactions.
            blocked |= places.references_to(unfinished)
        change_ids = {command.change_id for command in commands if isinstance(command, AccountCommand)}
        bulk_ids = {c.bulk_id for c in commands if look_up and isinstance(c, AtomicBulk | NameBulk)}
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
