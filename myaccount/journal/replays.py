"""Finds orders that are sent again, before a batch locks anything: they need no more than their outcome."""

from collections.abc import Sequence
from typing import NamedTuple

from ..database.times import utc_now
from ..ledger.commands import Command
from ..ledger.decide import decide
from ..ledger.order_commands import Hold, Recharge, Transfer, Withdraw
from ..ledger.outcomes import Outcome
from ..ledger.records import Account
from ..ledger.state import Known
from .batches import AccountRow, BatchConnection
from .locating import Locator


class Replays(NamedTuple):
    """The outcome of each command that was found as sent, and None for the others.

    `all_found` means that nothing tells of any other one being sent before.
    """

    outcomes: list[Outcome | None]
    all_found: bool


async def find_replays(batch: BatchConnection, locator: Locator, commands: Sequence[Command]) -> Replays:
    """Find the orders that are committed with the same content, without a lock: that never changes.

    Only orders that name their parties themselves are found. An order that is committed just now may be missed:
    it must be a duplicate key, or looked up under the locks, when its command is posted.
    """
    sought = {
        place: command
        for place, command in enumerate(commands)
        if isinstance(command, Transfer | Recharge | Withdraw | Hold)
    }
    committed = await batch.find_committed({command.order_id for command in sought.values()})
    orders = {order.order_id: order for order, *_ in committed}
    again = {place: command for place, command in sought.items() if command.order_id in orders}
    outcomes: list[Outcome | None] = [None] * len(commands)
    if again:
        rows = {row.key: row for _, *pair in committed for row in pair}
        places = await locator.locate(batch, again.values())
        known = Known(
            # As with locked accounts, each must be the one that is meant (promise 10).
            keys={party: row.key for party, row in places.parties.items() if rows.get(row.key) == row},
            accounts={row.key: _account(row) for row in rows.values()},
            orders=orders,
            # Each order is known, so neither balances nor the time decide anything.
            now=utc_now(),
        )
        decided, _ = decide(again.values(), known)
        for place, outcome in zip(again, decided, strict=True):
            # Anything else, such as other content, is left to the locks.
            if outcome.replayed:
                outcomes[place] = outcome
    return Replays(outcomes, len(sought) == len(commands) and all(outcomes[place] for place in again))


def _account(row: AccountRow) -> Account:
    """Return what never changes of the account."""
    return Account(row.key, account_id=row.account_id, user_id=row.user_id, currency=row.currency)
