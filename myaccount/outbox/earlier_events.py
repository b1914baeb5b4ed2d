"""Events that an earlier version inserted: they name users, not accounts."""

from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from ..inbox.team_rows import find_first_accounts
from ..ledger.changes import ACCOUNT_OPENED, Change
from ..ledger.references import OUTSIDE_WORLD
from .events import Event


async def add_accounts(connection: AsyncConnection, events: Sequence[Event]) -> Sequence[Event]:
    """Return the events with the account ids that are missing in them.

    In the earlier version, each order was about the accounts that its users opened first.
    """
    users = {
        user
        for event in events
        for change in event.changes
        if _is_earlier(change)
        for user in (change.payer, change.payee)
    }
    if not users:
        return events
    accounts = await find_first_accounts(connection, users - {OUTSIDE_WORLD})
    return [event._replace(changes=[_complete(c, accounts) for c in event.changes]) for event in events]


def _is_earlier(change: Change) -> bool:
    return change.from_account_id is None and change.to_account_id is None


def _complete(change: Change, accounts: Mapping[str, str]) -> Change:
    if not _is_earlier(change):
        return change
    if change.change_type == ACCOUNT_OPENED:
        return change._replace(from_account_id=change.source_id, to_account_id=change.source_id)
    return change._replace(from_account_id=accounts.get(change.payer), to_account_id=accounts.get(change.payee))
