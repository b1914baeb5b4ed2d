"""Reading pages of inboxes: many together, as of one moment."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.pipeline import is_sqlite, run_pipeline, select_rows, snapshot_statements
from ..database.statements import Bound
from .page_statements import Cursor, Inbox, InboxCounter, MessageFilter, Slice, find_counters, select_slice
from .queries import Message
from .readers import find_refusals

# Turning rows into messages holds up all other requests, with so many rows for some milliseconds.
ROWS_AT_ONCE: Final = 2000
# With the longest ids, a statement of so many characters fits a max_allowed_packet of 64 KiB.
CHARACTERS_AT_ONCE: Final = 24_000

_COLUMNS: Final = (
    "n, message.id, message_type, user_id, user_name, receiver_id, team_name, title, body, created_at, unread"
)

_Counters = Mapping[Inbox, Sequence[InboxCounter]]


class AskedPage(NamedTuple):
    """A page by its number, of all messages or of those behind a cursor: unread before read, then newest first."""

    filter: MessageFilter
    before: Cursor | None
    number: int
    size: int

    @property
    def slice(self) -> Slice:
        # One more than the page shows tells whether more follow.
        return Slice(self.filter, self.before, (self.number - 1) * self.size, self.size + 1)


class Page(NamedTuple):
    """Some messages; how many the filter selects, and how many of these are unread; whether more follow."""

    messages: list[Message]
    total: int
    unread: int
    more: bool


async def find_pages(
    connection: AsyncConnection, asked: Collection[AskedPage]
) -> dict[AskedPage, Page | Exception]:
    """Return the pages, and the error of each that its reader may not see: one of find_refusals."""
    # All as of one moment, so that the counters are right for the messages.
    moment = snapshot_statements(connection)
    counters = await find_counters(connection, {page.filter.inbox for page in asked}, *moment)
    found: dict[AskedPage, Page] = {}
    for page in asked:
        parts = _selected(page, counters)
        total = sum(part.count(page.filter.unread) for part in parts)
        unread = 0 if page.filter.unread is False else sum(part.unread for part in parts)
        found[page] = Page([], total, unread, more=False)
    wanted = [page for page in asked if page.slice.offset < found[page].total]
    slices = [(page.slice, counters[page.filter.inbox]) for page in wanted]
    for page, messages in zip(wanted, await _find_messages(connection, slices), strict=True):
        found[page] = found[page]._replace(messages=messages[: page.size], more=len(messages) > page.size)
    return {**found, **await _find_refusals(connection, asked, counters)}


async def _find_refusals(
    connection: AsyncConnection, asked: Collection[AskedPage], counters: _Counters
) -> dict[AskedPage, Exception]:
    """Return the errors of pages without messages. Who has any may read them."""
    empty = [page for page in asked if not _selected(page, counters)]
    if not empty:
        return {}
    refusals = await find_refusals(connection, {page.filter.inbox for page in empty}, counters)
    return {page: refusals[page.filter.inbox] for page in empty if page.filter.inbox in refusals}


def _selected(page: AskedPage, counters: _Counters) -> list[InboxCounter]:
    """Return the counters of the parts that the page's filter selects."""
    return [part for part in counters.get(page.filter.inbox, ()) if page.filter.selects(part)]


async def _find_messages(
    connection: AsyncConnection, slices: Sequence[tuple[Slice, Sequence[InboxCounter]]]
) -> list[list[Message]]:
    """Return the messages of each slice, which is given with its inbox's counters."""
    found: list[list[Message]] = [[] for _ in slices]
    query, sqlite = select_rows(connection, _COLUMNS), is_sqlite(connection)
    selected = [
        (slice_.limit, select_slice(n, slice_, counters, sqlite=sqlite))
        for n, (slice_, counters) in enumerate(slices)
    ]
    for text, values in _statements(selected):
        statement = f"{query} FROM ({text}) AS slices JOIN message ON message.id = slices.id"
        ((*rows,),) = await run_pipeline(connection, (statement, values))
        for n, *row in rows:
            found[n].append(_message(slices[n][0].filter.inbox, *row))
    for messages in found:
        messages.sort(key=_newest_first)
    return found


def _newest_first(message: Message) -> tuple[bool, int]:
    return not message.unread, -message.id


def _statements(slices: Iterable[tuple[int, Bound]]) -> Iterator[Bound]:
    """Join the queries of slices, each with its limit, by as many as one statement may have."""
    texts: list[str] = []
    values: list[object] = []
    rows = characters = 0
    for limit, (text, parameters) in slices:
        size = len(text) + sum(len(str(value)) for value in parameters)
        if texts and (rows + limit > ROWS_AT_ONCE or characters + size > CHARACTERS_AT_ONCE):
            yield " UNION ALL ".join(texts), values
            texts, values, rows, characters = [], [], 0, 0
        texts.append(text)
        values += parameters
        rows += limit
        characters += size
    if texts:
        yield " UNION ALL ".join(texts), values


def _message(
    inbox: Inbox,
    id_: int,
    message_type: str,
    user_id: str,
    user_name: str,
    receiver_id: str,
    team_name: str,
    title: str,
    body: str,
    created_at: str,
    unread: int,
) -> Message:
    return Message(
        id_,
        message_type,
        inbox.reader_id,
        user_id,
        user_name,
        receiver_id,
        inbox.team_id,
        team_name,
        title,
        body,
        datetime.fromisoformat(created_at),
        bool(unread),
    )
