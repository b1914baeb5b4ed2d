"""Opens the accounts of a batch, before those of its orders are located: an order may follow its opening."""

from collections.abc import Collection
from typing import Final, NamedTuple

from ..ledger.account_commands import Opening
from ..ledger.changes import Change
from ..ledger.opening_rules import Register, decide_openings
from ..ledger.outcomes import Outcome
from ..ledger.references import EVERY_USER, AccountId, OutsideOf, Reference, UserCurrency
from .opening_batch import OpeningBatch
from .round_trips import TableLocked


class Opened(NamedTuple):
    """What became of a batch's openings: their outcomes, None of those that are blocked, and what to tell.

    `rows` had to be locked, and `blocked` cannot be decided about now. `new` names each account that is new.
    """

    outcomes: list[Outcome | None]
    changes: list[Change]
    rows: set[Reference]
    blocked: set[Reference]
    new: list[Reference]


NOTHING_OPENED: Final = Opened([], [], set(), set(), [])


async def open_accounts(
    batch: OpeningBatch, openings: Collection[Opening], *, wait_milliseconds: int | None
) -> Opened:
    """Decide the openings, and insert what is new in the batch's transaction. Raises StillLocked."""
    try:
        known = await batch.find_ids(openings, wait_milliseconds=wait_milliseconds)
    except TableLocked:
        # Orders do without that table, so they go on.
        await batch.rollback()
        made = {reference for command in openings for reference in command.made}
        return Opened([None] * len(openings), [], set(), {EVERY_USER, *made}, [])
    outcomes, register = decide_openings(openings, known)
    if register.new_accounts:
        await batch.insert_opened(register.new_users, register.new_currencies, register.new_accounts.values())
    rows = {row for command in openings for row in command.rows}
    return Opened(outcomes, register.changes, rows, register.blocked, _new(register))


def _new(register: Register) -> list[Reference]:
    """Return each way to name an account that is new."""
    names: list[Reference] = list(map(OutsideOf, register.new_currencies))
    for account_id, _, user_id, _, currency, _ in register.new_accounts.values():
        names += [AccountId(account_id), user_id or "", UserCurrency(user_id or "", currency)]
    return names
