"""The statements of pages of inboxes. Each reads a small index range, or the ends of some large ones."""

from collections.abc import Collection, Iterable, Sequence
from itertools import product
from typing import Any, Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.pipeline import OfEngine, run_pipeline, select_rows
from ..database.statements import Bound, limited, placeholders

# So many messages are read and sorted in the time that one more end of a part takes.
SORTED_LIMIT: Final = 100
# How many inboxes one statement counts. With the longest ids, it fits a max_allowed_packet of 64 KiB.
COUNTED_AT_ONCE: Final = 100

# Or an engine may choose the index of the reader's ids, and read the messages of all teams.
_ID: Final = "id + 0"
# What ids are selected from, with its parameters, and the offset of the slice within it.
_Source = tuple[str, Sequence[object], int]


class Inbox(NamedTuple):
    """The messages to a reader: those of the reader's own account or, with a team's id, of that team."""

    reader_id: str
    team_id: str = ""


class InboxCounter(NamedTuple):
    """The numbers of messages in one part of an inbox: all, and those unread."""

    message_type: str
    own: bool
    total: int
    unread: int

    def count(self, unread: bool | None) -> int:
        return self.total if unread is None else self.unread if unread else self.total - self.unread


class MessageFilter(NamedTuple):
    """Selects messages of a reader; None selects any value."""

    reader_id: str
    team_id: str = ""
    own: bool | None = None
    message_type: str | None = None
    unread: bool | None = None

    @property
    def inbox(self) -> Inbox:
        return Inbox(self.reader_id, self.team_id)

    def selects(self, part: InboxCounter) -> bool:
        """Whether it selects messages of this part; `unread` is ignored."""
        return self.own in (None, part.own) and self.message_type in (None, part.message_type)


class Cursor(NamedTuple):
    """A position in an inbox: just after the message with this state and id.

    Unread messages come before read ones, each newest first.
    """

    unread: bool
    id: int


class Slice(NamedTuple):
    """Some of the messages that the filter selects: at most `limit`, from the offset or the cursor `before` on."""

    filter: MessageFilter
    before: Cursor | None
    offset: int
    limit: int


async def find_counters(
    connection: AsyncConnection, inboxes: Collection[Inbox], *before: Bound
) -> dict[Inbox, list[InboxCounter]]:
    """Return the counters of each inbox that has any. The statements `before` are sent with the query."""
    return read_counters(await run_pipeline(connection, *before, *count_inboxes(connection, inboxes)))


def count_inboxes(where: OfEngine, inboxes: Collection[Inbox]) -> list[Bound]:
    """Return the queries of the counters of inboxes."""
    query = select_rows(where, "reader_id, team_id, message_type, own, total, unread")
    asked = list(inboxes)
    parts = [asked[start : start + COUNTED_AT_ONCE] for start in range(0, len(asked), COUNTED_AT_ONCE)]
    return [_counting(query, part) for part in parts]


def read_counters(answers: Iterable[list[Any]]) -> dict[Inbox, list[InboxCounter]]:
    """Return what these queries found: the counters of each inbox that has any."""
    found: dict[Inbox, list[InboxCounter]] = {}
    for rows in answers:
        for reader_id, team_id, message_type, own, total, unread in rows:
            counter = InboxCounter(message_type, bool(own), total, unread)
            found.setdefault(Inbox(reader_id, team_id), []).append(counter)
    return found


def _counting(query: str, inboxes: Collection[Inbox]) -> Bound:
    readers: dict[str, list[str]] = {}
    for reader_id, team_id in inboxes:
        readers.setdefault(team_id, []).append(reader_id)
    conditions = [f"team_id = %s AND reader_id IN ({placeholders(ids)})" for ids in readers.values()]
    values = [value for team_id, ids in readers.items() for value in (team_id, *ids)]
    return f"{query} FROM folder WHERE {' OR '.join(conditions)}", values


def select_slice(number: int, slice_: Slice, counters: Sequence[InboxCounter], *, sqlite: bool) -> Bound:
    """Select the slice's ids, each with the number `n`, in any order, as a part of a UNION ALL.

    `counters` are all those of the inbox, and right.
    """
    messages, values, offset = _ends_of_parts(slice_, counters, sqlite=sqlite) or _whole(slice_)
    order = f"ORDER BY unread DESC, {_ID} DESC LIMIT {slice_.limit} OFFSET {offset}"
    return limited(f"SELECT {number} AS n, id FROM {messages} {order}", sqlite=sqlite), values


def _whole(slice_: Slice) -> _Source:
    """Select from all messages of the filter that are behind the cursor: one range of an index."""
    _, _, own, message_type, unread = slice_.filter
    conditions, values = ["reader_id = %s AND team_id = %s"], [*slice_.filter.inbox]
    if message_type is not None:
        conditions.append("message_type = %s")
        values.append(message_type)
    if own is not None:
        conditions.append(f"own = {own:d}")
    if unread is not None:
        conditions.append(f"unread = {unread:d}")
    if slice_.before is not None:
        older = f"{_ID} < {slice_.before.id}"
        conditions.append(f"(unread = 0 OR {older})" if slice_.before.unread else f"unread = 0 AND {older}")
    return f"message WHERE {' AND '.join(conditions)}", values, slice_.offset


def _ends_of_parts(slice_: Slice, counters: Sequence[InboxCounter], *, sqlite: bool) -> _Source | None:
    """Select from the newest messages of each part of the filter: the ends of as many ranges of an index.

    Return None if it costs less to read all messages, and if none is behind the cursor.
    """
    parts = [part for part in counters if slice_.filter.selects(part)]
    states, offset = _states(slice_, sum(part.unread for part in parts))
    ends = list(product(parts, states))
    read = sum(part.total for part in counters if slice_.filter.message_type in (None, part.message_type))
    if read <= SORTED_LIMIT * len(ends) or not ends:
        return None
    limit = offset + slice_.limit
    queries = [_end_of_part(slice_, part, unread, limit, sqlite=sqlite) for part, unread in ends]
    values = [value for _, some in queries for value in some]
    return f"({' UNION ALL '.join(text for text, _ in queries)}) AS ends", values, offset


def _states(slice_: Slice, unread_count: int) -> tuple[list[bool], int]:
    """Return which values of `unread` the slice covers, and its offset within them."""
    unread, before, offset = slice_.filter.unread, slice_.before, slice_.offset
    if unread is not None:
        states = [unread]
    elif before is None and offset >= unread_count:
        states, offset = [False], offset - unread_count
    elif before is None and offset + slice_.limit <= unread_count:
        states = [True]
    else:
        states = [True, False]
    return [state for state in states if before is None or state <= before.unread], offset


def _end_of_part(slice_: Slice, part: InboxCounter, unread: bool, limit: int, *, sqlite: bool) -> Bound:
    """Select the newest unread, or read, messages of one part: the end of one range of an index."""
    before = slice_.before
    place = f" AND id < {before.id}" if before is not None and before.unread == unread else ""
    query = (
        "SELECT id, unread FROM message WHERE reader_id = %s AND team_id = %s AND message_type = %s"
        f" AND own = {part.own:d} AND unread = {unread:d}{place} ORDER BY id DESC LIMIT {limit}"
    )
    return limited(query, sqlite=sqlite), [*slice_.filter.inbox, part.message_type]
