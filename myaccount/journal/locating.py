"""Finds the accounts that commands name, in a cache or in the database."""

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from ..ledger.account_commands import Opening
from ..ledger.commands import Command
from ..ledger.references import EVERY_USER, AccountId, AccountsOf, OrdersOf, OutsideOf, Reference, UserCurrency
from ..model.ledger import OUTSIDE_PREFIX
from .batches import AccountRow, BatchConnection

REMEMBERED_LIMIT: Final = 100_000


class Places(NamedTuple):
    """Where a batch's accounts are.

    `parties` has the account of each party that has one, and `targets` both account keys of each earlier order
    that a command is about. `users` are those of the users looked up who have any account.
    """

    parties: dict[Reference, AccountRow]
    targets: dict[AccountsOf, tuple[int, int]]
    users: Collection[str]

    @property
    def keys(self) -> set[int]:
        keys = {row.key for row in self.parties.values()}
        for pair in self.targets.values():
            keys.update(pair)
        return keys

    def references_to(self, keys: Collection[int]) -> set[Reference]:
        """Return the references to any of these accounts."""
        parties = {reference for reference, row in self.parties.items() if row.key in keys}
        return parties | {target for target, pair in self.targets.items() if not set(pair).isdisjoint(keys)}


class Locator:
    """Finds accounts, and remembers where they are.

    After a failover another account may have that key, so the locked row is checked before use (promise 10).
    """

    def __init__(self) -> None:
        self._remembered: dict[Reference, AccountRow] = {}

    async def locate(self, batch: BatchConnection, commands: Collection[Command]) -> Places:
        """Find the accounts of all that the commands refer to. What is not there is left out."""
        if len(self._remembered) > REMEMBERED_LIMIT:
            self._remembered.clear()
        wanted = {reference for command in commands for reference in command.references}
        targets = {reference for reference in wanted if type(reference) is AccountsOf}
        wanted -= targets
        places = await self._find(batch, wanted.difference(self._remembered), targets)
        outside = {
            reference for command in commands if command.uses_outside for reference in self._outside(command)
        }
        await self._find(batch, outside.difference(self._remembered), ())
        for reference in wanted | outside:
            if row := self._remembered.get(reference):
                places.parties[reference] = row
        return places

    def touched(self, command: Command) -> set[Reference]:
        """Return what the command refers to, with the outside world's accounts as far as they are known.

        An opening touches what it locks and what it makes.
        """
        if isinstance(command, Opening):
            return {EVERY_USER, *command.rows, *command.made}
        touched = {*command.references}
        if command.uses_outside:
            touched.update(self._outside(command))
        for order in command.parts:
            # The orders of a bulk that is not atomic wait for each other, so that they keep their order.
            if order.bulk_id is not None:
                touched.add(OrdersOf(order.bulk_id))
        return touched

    def forget(self, references: Iterable[Reference]) -> None:
        for reference in references:
            self._remembered.pop(reference, None)

    async def look_again(
        self, batch: BatchConnection, references: Collection[Reference]
    ) -> dict[Reference, AccountRow]:
        """Return where the accounts are now, past the cache."""
        wanted = {reference for reference in references if type(reference) is not AccountsOf}
        self.forget(wanted)
        await self._find(batch, wanted, ())
        return {reference: self._remembered[reference] for reference in wanted if reference in self._remembered}

    def _outside(self, command: Command) -> list[Reference]:
        rows = [self._remembered.get(reference) for reference in command.references]
        return [OutsideOf(row.currency) for row in rows if row is not None]

    async def _find(
        self, batch: BatchConnection, wanted: Collection[Reference], targets: Collection[AccountsOf]
    ) -> Places:
        """Look these up and remember them; return places with the targets and the users alone."""
        if not wanted and not targets:
            return Places({}, {}, ())
        users, ids = _divided(wanted)
        firsts, named, orders = await batch.find_accounts(users, ids, [target.order_id for target in targets])
        # The last to be remembered is the one that the user opened first.
        for row in sorted(firsts, reverse=True):
            self._remembered[UserCurrency(row.user_id or "", row.currency)] = row
            self._remembered[row.user_id or ""] = row
        for row in named:
            if row.user_id is None:
                self._remembered[OutsideOf(row.currency)] = row
            else:
                self._remembered[AccountId(row.account_id)] = row
        pairs = {AccountsOf(order_id): (payer, payee) for order_id, payer, payee in orders}
        return Places({}, pairs, {row.user_id or "" for row in firsts})


def _divided(references: Collection[Reference]) -> tuple[set[str], set[str]]:
    """Return the users whose accounts to look up, and the account ids."""
    users, ids = set(), set()
    for reference in references:
        match reference:
            case str(user_id) | UserCurrency(user_id, _):
                users.add(user_id)
            case AccountId(account_id):
                ids.add(account_id)
            case OutsideOf(currency):
                ids.add(OUTSIDE_PREFIX + currency)
    return users, ids
