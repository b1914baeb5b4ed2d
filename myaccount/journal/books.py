"""Locks and reads what a batch is about, and checks that each account is the one that is meant (promise 10)."""

import time
from collections.abc import Collection
from typing import NamedTuple

from ..ledger.account_commands import AccountCommand, Opening
from ..ledger.commands import AtomicBulk, Command, NameBulk
from ..ledger.references import AccountsOf, Reference
from ..ledger.state import Known
from .batches import BatchConnection, Locked
from .locating import Locator, Places
from .lock_wait import LockWait
from .openings import NOTHING_OPENED, Opened, open_accounts
from .round_trips import StillLocked


class Books(NamedTuple):
    """What a batch needs to know, the references that cannot be decided about now, and what was opened before."""

    known: Known
    blocked: set[Reference]
    opened: Opened


class _Attempt(NamedTuple):
    """What a batch opened and locked, where its accounts are, and how long that took."""

    opened: Opened
    places: Places
    locked: Locked
    seconds: float


class BookReader:
    """Reads for one batch after another, and remembers how long locks take."""

    def __init__(self, locator: Locator, *, callback_types: Collection[str]) -> None:
        """`callback_types` are the types of changes that callbacks are sent for."""
        self._locator = locator
        self._callback_types = callback_types
        self._lock_wait = LockWait()

    async def read(
        self, batch: BatchConnection, commands: Collection[Command], *, wait: bool, look_up: bool
    ) -> Books:
        """Open accounts, lock those of all that the commands are about, and read the rest.

        Only with `look_up` are orders and bulks that were sent before found by their own ids.
        """
        orders = [order for command in commands for order in command.parts]
        targets = {order.target for order in orders if order.target is not None}
        order_ids = targets.union(order.order_id for order in orders) if look_up else targets
        places, locked, blocked, opened = await self._lock(batch, commands, targets, order_ids, wait=wait)
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
            callback_types=self._callback_types,
            now=locked.now,
        )
        return Books(known, blocked, opened)

    async def _lock(
        self,
        batch: BatchConnection,
        commands: Collection[Command],
        target_ids: Collection[str],
        order_ids: Collection[str],
        *,
        wait: bool,
    ) -> tuple[Places, Locked, set[Reference], Opened]:
        """Open accounts, lock all, and check that each is the one that is meant (promise 10).

        Return also what is blocked: references to rows that another transaction holds, and to what waits for them.
        """
        targets = {AccountsOf(order_id) for order_id in target_ids}
        while True:
            opened, places, locked, seconds = await self._attempt(batch, commands, order_ids, wait=wait)
            blocked = {ref for ref, row in places.parties.items() if not row.is_it(locked.accounts.get(row.key))}
            if wait:
                wanted, locked_rows = places.parties.keys() | opened.rows, blocked | opened.blocked
                self._lock_wait.note(seconds, got=wanted - locked_rows, locked=locked_rows)
            moved = bool(blocked) and await self._have_moved(batch, blocked, places)
            # An order that was committed since its accounts were looked up.
            new = {target for target in targets - places.targets.keys() if target.order_id in locked.orders}
            if not moved and not new:
                blocked |= {ref for ref, pair in places.targets.items() if not locked.accounts.keys() >= set(pair)}
                return places, locked, blocked | opened.blocked, opened
            await batch.rollback()

    async def _attempt(
        self, batch: BatchConnection, commands: Collection[Command], order_ids: Collection[str], *, wait: bool
    ) -> _Attempt:
        """Open and lock accounts; if a row stays locked for longer than is usual, again without it."""
        if wait:
            milliseconds = self._lock_wait.milliseconds
            try:
                return await self._attempt_within(batch, commands, order_ids, milliseconds)
            except StillLocked:
                # The transaction has the locks of the rows before that one.
                await batch.rollback()
            skipping = await self._attempt_within(batch, commands, order_ids, None)
            return skipping._replace(seconds=skipping.seconds + milliseconds / 1000)
        return await self._attempt_within(batch, commands, order_ids, None)

    async def _attempt_within(
        self,
        batch: BatchConnection,
        commands: Collection[Command],
        order_ids: Collection[str],
        wait_milliseconds: int | None,
    ) -> _Attempt:
        began, opened = time.monotonic(), NOTHING_OPENED
        if openings := [command for command in commands if isinstance(command, Opening)]:
            opened = await open_accounts(batch, openings, wait_milliseconds=wait_milliseconds)
            # An earlier attempt, which was rolled back, may have located them.
            self._locator.forget(opened.new)
        places = await self._locator.locate(batch, commands)
        locked = await batch.begin(places.keys, order_ids, wait_milliseconds=wait_milliseconds)
        return _Attempt(opened, places, locked, time.monotonic() - began)

    async def _have_moved(self, batch: BatchConnection, references: Collection[Reference], places: Places) -> bool:
        """Whether any of these accounts has another key than remembered, so that its row was not locked."""
        current = await self._locator.look_again(batch, references)
        return any(current.get(reference) != places.parties[reference] for reference in references)
