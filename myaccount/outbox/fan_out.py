"""Fan-out: from committed events, the messages for inboxes and the deliveries for endpoints.

Inboxes get the messages about entries and declines from these (inbox/catch_up.py). Before another message about an
account, its user's inbox is caught up to the account's last entry and decline by then: so messages keep the
account's order, unless somebody reads the inbox between the commit and the fan-out, and so gets a later one first.
"""

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any, Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.pipeline import is_sqlite, run_pipeline
from ..inbox.catch_up import MESSAGES_LIMIT, covers, marks_of, messages_limit
from ..inbox.locks import lock_inboxes
from ..inbox.marks import AccountBehind, Position, accounts_behind_by_id, read_accounts_behind
from ..inbox.missing_messages import find_missing_messages
from ..inbox.recipients import accounts_told, messages_to_team, messages_to_users
from ..inbox.row_messages import RowMessage
from ..inbox.team_rows import Party, Team, find_parties, find_watching_teams
from ..inbox.writing import NewMessage, leave_out_written, write_messages
from ..ledger.changes import CATCH_UP_AFTER, CATCH_UP_CHANGES, DECLINE, Change
from ..webhooks.deliveries import insert_deliveries
from ..webhooks.payloads import request_bodies
from .earlier_events import add_accounts
from .events import Event, keep_changes, lock_events

# How many changes one transaction dispatches, unless a single event has more. In the embedded file, orders wait
# while it writes.
CHANGES_LIMIT: Final = 1024
EMBEDDED_CHANGES_LIMIT: Final = 256


class Dispatched(NamedTuple):
    """What one transaction dispatched.

    `messages` is their number, `readers` whose inboxes got them, `endpoints` those with new pending deliveries,
    and `unfinished` the ids of events that have changes left.
    """

    messages: int
    readers: set[str]
    endpoints: set[str]
    unfinished: list[int]


async def fan_out(
    connection: AsyncConnection,
    event_ids: Collection[int],
    subscriptions: Mapping[str, Collection[str]],
    now: datetime,
    *,
    look_up: bool = True,
) -> Dispatched:
    """Write the messages and deliveries of the events and delete the events, in one transaction.

    `subscriptions` has, by endpoint, the types of changes to send to it. Events that are dispatched already, or
    locked by another transaction, are skipped. Without `look_up`, a message that is written already is the
    database's error about a duplicate.
    """
    pending = await lock_events(connection, event_ids)
    limit = EMBEDDED_CHANGES_LIMIT if is_sqlite(connection) else CHANGES_LIMIT
    events = await add_accounts(connection, _within(limit, pending))
    accounts = {id_ for event in events for change in event.changes for id_ in accounts_told(change)}
    parties = await find_parties(connection, [id_ for id_ in accounts if id_ is not None])
    names = {party.user_id: party.user_name for party in parties.values()}
    teams = await find_watching_teams(connection, [id_ for id_, party in parties.items() if party.watched])
    about_changes: list[_ChangeMessages] = []
    count = 0
    deliveries: list[tuple[str, str]] = []
    left: dict[int, Sequence[Change]] = {}
    for id_, changes, created_at in events:
        before = len(about_changes)
        for change in changes:
            # An event that large teams watch is dispatched in several transactions.
            if count >= MESSAGES_LIMIT:
                break
            about_changes.append(_messages_about(change, created_at, names, teams))
            count += len(about_changes[-1].messages)
        taken = len(about_changes) - before
        deliveries += request_bodies(changes[:taken], created_at, subscriptions)
        left[id_] = changes[taken:]
    missing, is_all = await _find_missing(connection, about_changes, parties)
    messages = list(_in_order(about_changes if is_all else [], missing))
    if look_up and (missing or any(_may_be_written(change) for event in events for change in event.changes)):
        await run_pipeline(connection, *lock_inboxes(connection, {m.reader_id for m in messages}))
        messages = await leave_out_written(connection, messages)
    if not is_all:
        # An inbox that is far behind is caught up first, in transactions of its own.
        deliveries, left = [], {}
    await run_pipeline(
        connection,
        *insert_deliveries(deliveries, now),
        *[keep_changes(id_, changes) for id_, changes in left.items()],
        *write_messages(connection, messages),
        *marks_of(connection, missing),
        ("COMMIT", ()),
    )
    return Dispatched(
        len(messages),
        {m.reader_id for m in messages},
        {endpoint for endpoint, _ in deliveries},
        [event.id for event in pending if left.get(event.id, event.changes)],
    )


def _may_be_written(change: Change) -> bool:
    """Whether its messages come from the event, as an earlier version had it, and an inbox may have caught up."""
    return not change.inboxes_catch_up and change.change_type in CATCH_UP_CHANGES


class _ChangeMessages(NamedTuple):
    """The messages about a change that inboxes do not get by catching up, and up to where they catch up first.

    That is by account id.
    """

    messages: list[NewMessage]
    first: dict[str, Position]


def _messages_about(
    change: Change, created_at: datetime, names: Mapping[str, str], teams: Mapping[str, Team]
) -> _ChangeMessages:
    found = _ChangeMessages([], {})
    positions = _positions(change)
    if change.inboxes_catch_up:
        told = [id_ for id_ in accounts_told(change) if id_ in positions]
        found.first.update({id_: positions[id_] for id_ in told if _is_due(change, positions[id_])})
        if teams.keys().isdisjoint(positions):
            return found
    for account_id, message in messages_to_users(change, created_at, names):
        if not change.inboxes_catch_up:
            found.messages.append(message)
            found.first[account_id] = positions.get(account_id, Position(0, 0))
        if account_id in teams:
            found.messages.extend(messages_to_team(change, message, teams[account_id]))
    return found


def _positions(change: Change) -> dict[str, Position]:
    """Return where the change's accounts were after it, by their ids."""
    sides = (
        (change.from_account_id, change.from_entry, change.from_decline),
        (change.to_account_id, change.to_entry, change.to_decline),
    )
    return {id_: Position(entry or 0, decline) for id_, entry, decline in sides if id_}


def _is_due(change: Change, position: Position) -> bool:
    """Whether so many entries, or declines, of an account have gathered that its user's inbox catches up now."""
    number = position.decline if change.change_type == DECLINE else position.entry
    return number % CATCH_UP_AFTER == 0


async def _find_missing(
    connection: AsyncConnection, changes: Sequence[_ChangeMessages], parties: Mapping[str, Party]
) -> tuple[list[RowMessage], bool]:
    """Return the messages about entries and declines that come first, and whether these are all.

    If there are any, the inboxes of all readers are locked.
    """
    wanted: dict[str, Position] = {}
    for one in changes:
        for account_id, position in one.first.items():
            # Marks only grow, so nothing is behind those that were read before the locks.
            if account_id in parties and not position.is_within(parties[account_id].mark):
                wanted[account_id] = position.later(wanted.get(account_id, position))
    if not wanted:
        return [], True
    readers = {message.reader_id for one in changes for message in one.messages}
    locks = lock_inboxes(connection, readers.union(parties[account_id].user_id for account_id in wanted))
    # Only now no other transaction writes these messages.
    answers = await run_pipeline(connection, *locks, *accounts_behind_by_id(connection, wanted))
    behind = _up_to(wanted, answers[len(locks) :])
    missing = await find_missing_messages(connection, behind, messages_limit(connection))
    return missing, covers(missing, behind)


def _up_to(wanted: Mapping[str, Position], answers: Iterable[list[Any]]) -> list[AccountBehind]:
    """Return what was found of the accounts as if what is wanted were their last."""
    found = read_accounts_behind(answers)
    clipped = [a._replace(last=a.last.earlier(wanted[a.account_id]).later(a.mark)) for a in found]
    return [account for account in clipped if not account.last.is_within(account.mark)]


def _in_order(changes: Sequence[_ChangeMessages], missing: Sequence[RowMessage]) -> Iterator[NewMessage]:
    """Yield the messages about entries, declines and other changes, those about one account in its order."""
    waiting: defaultdict[str, deque[RowMessage]] = defaultdict(deque)
    for row in missing:
        waiting[row.account.account_id].append(row)
    for messages, first in changes:
        for account_id, position in first.items():
            while waiting[account_id] and waiting[account_id][0].position.is_within(position):
                yield waiting[account_id].popleft().message
        yield from messages
    yield from (row.message for account in waiting.values() for row in account)


def _within(limit: int, events: Sequence[Event]) -> list[Event]:
    """Return the first events, at least one, that have at most `limit` changes together."""
    sizes = accumulate(len(event.changes) for event in events)
    return [event for n, (event, size) in enumerate(zip(events, sizes, strict=True)) if not n or size <= limit]
