"""Pages as replies have them. One that was read before is not read again while its inbox is as it was.

Apps poll inboxes, and mostly nothing is new. To see that takes the database a tenth of what reading a page does.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Final, NamedTuple

from ..database.coalescing import Coalescer
from ..database.database import Database
from ..database.pipeline import is_sqlite, select_rows
from ..database.statements import Bound, placeholders
from .catch_up import CatchUp
from .marks import users_behind
from .page_queries import AskedPage, Page, find_pages
from .page_statements import COUNTED_AT_ONCE, Inbox, InboxCounter, count_inboxes, read_counters

# What a process remembers of pages, at most.
KNOWN_BYTES: Final = 16 * 2**20
# About what it takes to remember a page besides its text, and what each counter of its inbox adds.
ENTRY_BYTES: Final = 1024
COUNTER_BYTES: Final = 160

# A server that took over after a failover may lack what a page showed, and may have others as unread while the
# counters are the same. So its number is in the state, and the message's time: ids may be given out again.
_NEWEST: Final = (
    "(SELECT JSON_ARRAY(id, created_at{server}) FROM message WHERE reader_id = user.user_id"
    " ORDER BY id DESC LIMIT 1)"
)

# Writes a page as a reply has it, in a language.
Write = Callable[[AskedPage, Page, str], bytes]


class InboxState(NamedTuple):
    """An inbox with the same state has the same messages, of which the same are unread.

    No message is changed or removed, and none that was read becomes unread again: so one number tells which they
    are. `newest` is the reader's newest message, of any inbox, and the server that has it.
    """

    counters: tuple[InboxCounter, ...]
    newest: str | None


class WantedPage(NamedTuple):
    """A page in a language. If it `is_caught_up`, its inbox has the messages that it lacked when it was wanted."""

    page: AskedPage
    language: str
    is_caught_up: bool = False


class KnownPages:
    """The last pages that were read, each with the state of its inbox before it was read."""

    def __init__(self) -> None:
        self._texts: dict[tuple[AskedPage, str], tuple[InboxState, bytes]] = {}
        self._bytes = 0

    def find(self, wanted: WantedPage, state: InboxState) -> bytes | None:
        """Return the page if it was read in this state of its inbox."""
        known = self._texts.get(wanted[:2])
        return known[1] if known is not None and known[0] == state else None

    def remember(self, wanted: WantedPage, state: InboxState, text: bytes) -> None:
        self._forget(wanted[:2])
        self._texts[wanted[:2]] = state, text
        self._bytes += _size(state, text)
        while self._bytes > KNOWN_BYTES:
            self._forget(next(iter(self._texts)))

    def _forget(self, key: tuple[AskedPage, str]) -> None:
        if known := self._texts.pop(key, None):
            self._bytes -= _size(*known)


def _size(state: InboxState, text: bytes) -> int:
    return len(text) + ENTRY_BYTES + COUNTER_BYTES * len(state.counters)


class PageQueries:
    """The coalesced query of pages, as `write` writes them."""

    def __init__(self, database: Database, catch_up: CatchUp, write: Write) -> None:
        self._database = database
        self._catch_up = catch_up
        self._write = write
        self._known = KnownPages()
        self._pages = Coalescer(self._find)

    async def fetch(self, page: AskedPage, language: str) -> bytes:
        """Return the page, with the messages about all entries and declines that were committed before this call.

        Raises UserNotFound, TeamNotFound, NotAMember, Overloaded and Unavailable.
        """
        wanted = WantedPage(page, language)
        text = await self._pages.fetch(wanted)
        if text is None:
            await self._catch_up.inbox(page.filter.reader_id)
            text = await self._pages.fetch(wanted._replace(is_caught_up=True))
            assert text is not None  # noqa: S101 - only inboxes that are behind have none
        return text

    async def close(self) -> None:
        """Wait for the running query."""
        await self._pages.close()

    async def _find(self, asked: Collection[WantedPage]) -> dict[WantedPage, bytes | Exception]:
        """Return the pages, and the errors of those that their readers may not see; none of inboxes behind."""
        inboxes = {wanted.page.filter.inbox for wanted in asked}
        # A team's messages are written at once.
        readers = {w.page.filter.reader_id for w in asked if not (w.is_caught_up or w.page.filter.team_id)}
        behind, states = await self._states(inboxes, readers)
        found: dict[WantedPage, bytes | Exception] = {}
        unknown: dict[AskedPage, list[WantedPage]] = {}
        for wanted in asked:
            reader_id, team_id = inbox = wanted.page.filter.inbox
            if reader_id in behind and not (team_id or wanted.is_caught_up):
                continue
            if text := self._known.find(wanted, states[inbox]):
                found[wanted] = text
            else:
                unknown.setdefault(wanted.page, []).append(wanted)
        if unknown:
            pages = await self._database.read(partial(find_pages, asked=unknown))
            for page, written in pages.items():
                for wanted in unknown[page]:
                    found[wanted] = self._written(wanted, written, states[page.filter.inbox])
                    # To write a page takes a while, in which others may go on.
                    await asyncio.sleep(0)
        return found

    def _written(self, wanted: WantedPage, page: Page | Exception, state: InboxState) -> bytes | Exception:
        if isinstance(page, Exception):
            return page
        text = self._write(wanted.page, page, wanted.language)
        # Readers may always see the messages written to them. Who may see an empty page can change, so it is
        # checked each time.
        if page.messages:
            self._known.remember(wanted, state, text)
        return text

    async def _states(
        self, inboxes: Collection[Inbox], readers: Collection[str]
    ) -> tuple[set[str], Mapping[Inbox, InboxState]]:
        """Return those of the readers whose inboxes are behind, and the state of each inbox.

        Each statement sees more than the one before it: what was not behind is in the counters.
        """
        who = users_behind(self._database, readers)
        counting = count_inboxes(self._database, inboxes)
        newest = self._newest({inbox.reader_id for inbox in inboxes})
        answers = await self._database.query(*who, *counting, *newest)
        behind = {user_id for answer in answers[: len(who)] for (user_id,) in answer}
        counters = read_counters(answers[len(who) : -len(newest)])
        newest_of = {user_id: str(message) for answer in answers[-len(newest) :] for user_id, message in answer}
        return behind, {
            inbox: InboxState(tuple(sorted(counters.get(inbox, ()))), newest_of.get(inbox.reader_id))
            for inbox in inboxes
        }

    def _newest(self, reader_ids: Collection[str]) -> list[Bound]:
        server = "" if is_sqlite(self._database) else ", @@GLOBAL.server_id"
        query = select_rows(self._database, f"user_id, {_NEWEST.format(server=server)}")
        ids = list(reader_ids)
        parts = [ids[start : start + COUNTED_AT_ONCE] for start in range(0, len(ids), COUNTED_AT_ONCE)]
        return [(f"{query} FROM user WHERE user_id IN ({placeholders(part)})", part) for part in parts]
