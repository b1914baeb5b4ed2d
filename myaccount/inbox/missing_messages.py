"""Which messages about entries and declines inboxes lack, in the order in which they are to be written."""

from collections import deque
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import groupby, islice
from operator import attrgetter
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from .marks import AccountBehind
from .row_messages import RowMessage, RowRange, read_row_messages

# SQLite joins at most 500 queries to one.
BLOCKS_LIMIT: Final = 100


async def find_missing_messages(
    connection: AsyncConnection, behind: Sequence[AccountBehind], limit: int
) -> list[RowMessage]:
    """Return the next messages that the accounts' users lack: all, or at most `limit` and at least half as many.

    Those of one reader are in the order of their orders' times, and those of each account in that of its entries
    and declines. These are read in blocks, one of each account that needs it at a time, about 4 * `limit` at most.
    """
    readers = _first_readers(behind, limit)
    rows = {(each.account_key, each.of_declines): each for of_reader in readers for each in of_reader}
    found: list[RowMessage] = []
    while len(found) < max(1, limit // 2) and (low := [each for each in rows.values() if each.is_low]):
        for start in range(0, len(low), BLOCKS_LIMIT):
            blocks = [each.next_block() for each in low[start : start + BLOCKS_LIMIT]]
            for message in await read_row_messages(connection, blocks):
                rows[message.account.key, message.of_decline].waiting.append(message)
        for of_reader in readers:
            found += islice(_in_order(of_reader), limit - len(found))
    return found


class _Rows:
    """The entries, or the declines, that an account's user lacks messages about, and the messages that wait.

    These are about the rows that were read. They wait for their turn.
    """

    def __init__(self, unread: RowRange, block: int) -> None:
        self.account_key = unread.account.key
        self.of_declines = unread.of_declines
        self.waiting: deque[RowMessage] = deque()
        self._unread = unread
        self._block = block

    @property
    def has_more(self) -> bool:
        return self._unread.after < self._unread.last

    @property
    def is_low(self) -> bool:
        """Whether there is a next block, and less than half of the one before it is left."""
        return self.has_more and 4 * len(self.waiting) < self._block

    def next_block(self) -> RowRange:
        """Return the rows to read next. Each block is twice as large as the one before it, so there are few."""
        block = self._unread._replace(last=min(self._unread.last, self._unread.after + self._block))
        self._unread = self._unread._replace(after=block.last)
        self._block *= 2
        return block


def _first_readers(behind: Sequence[AccountBehind], limit: int) -> list[list[_Rows]]:
    """Return what the first readers lack, whose first blocks have `limit` rows together, or all readers."""
    readers = []
    count = 0
    for _, group in groupby(behind, key=attrgetter("user_id")):
        of_reader = [lacking for account in group for lacking in _lacking(account)]
        block = max(1, limit // len(of_reader))
        readers.append([_Rows(lacking, block) for lacking in of_reader])
        count += sum(min(block, lacking.last - lacking.after) for lacking in of_reader)
        if count >= limit:
            break
    return readers


def _lacking(account: AccountBehind) -> list[RowRange]:
    ranges = (
        RowRange(account, of_declines=False, after=account.mark.entry, last=account.last.entry),
        RowRange(account, of_declines=True, after=account.mark.decline, last=account.last.decline),
    )
    return [each for each in ranges if each.after < each.last]


def _in_order(of_reader: Sequence[_Rows]) -> Iterator[RowMessage]:
    """Yield and remove the messages of one reader by time, until one that may be the next is not read yet."""
    if any(rows.has_more and not rows.waiting for rows in of_reader):
        return
    by_key = {(rows.account_key, rows.of_declines): rows for rows in of_reader}
    accounts: dict[int, list[tuple[RowMessage, ...]]] = {}
    for rows in of_reader:
        accounts.setdefault(rows.account_key, []).append(tuple(rows.waiting))
    in_accounts = [merge(*waiting, key=attrgetter("position")) for waiting in accounts.values()]
    # This keeps each account's order, even if the clock was set back meanwhile.
    for message in merge(*in_accounts, key=attrgetter("message.created_at")):
        rows = by_key[message.account.key, message.of_decline]
        yield rows.waiting.popleft()
        if rows.has_more and not rows.waiting:
            return
