"""Which messages about entries inboxes lack, in the order in which they are to be written."""

from collections import deque
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import groupby, islice
from operator import attrgetter
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from .entry_messages import EntryMessage, read_entry_messages
from .marks import AccountBehind

# SQLite joins at most 500 queries to one.
RANGES_LIMIT: Final = 100


async def find_entry_messages(
    connection: AsyncConnection, behind: Sequence[AccountBehind], limit: int
) -> list[EntryMessage]:
    """Return the next messages about the accounts' entries: all, or at most `limit` and at least half as many.

    Those of one reader are in the order of their orders' times, and those of each account in that of its numbers.
    The entries are read in blocks, one of each account that needs it at a time, about 4 * `limit` at most.
    """
    readers = _first_readers(behind, limit)
    accounts = {account.key: account for accounts in readers for account in accounts}
    found: list[EntryMessage] = []
    while len(found) < max(1, limit // 2) and (low := [a for a in accounts.values() if a.is_low]):
        for start in range(0, len(low), RANGES_LIMIT):
            blocks = [account.next_block() for account in low[start : start + RANGES_LIMIT]]
            for message in await read_entry_messages(connection, blocks):
                accounts[message.account.key].waiting.append(message)
        for of_reader in readers:
            found += islice(_in_order(of_reader), limit - len(found))
    return found


class _Account:
    """An account that is behind, and the messages about its entries that were read and wait for their turn."""

    def __init__(self, behind: AccountBehind, block: int) -> None:
        self.key = behind.key
        self.waiting: deque[EntryMessage] = deque()
        self._unread = behind
        self._block = block

    @property
    def has_more(self) -> bool:
        return self._unread.mark < self._unread.last

    @property
    def is_low(self) -> bool:
        """Whether there is a next block, and less than half of the one before it is left."""
        return self.has_more and 4 * len(self.waiting) < self._block

    def next_block(self) -> AccountBehind:
        """Return the entries to read next. Each block is twice as large as the one before it, so there are few."""
        block = self._unread._replace(last=min(self._unread.last, self._unread.mark + self._block))
        self._unread = self._unread._replace(mark=block.last)
        self._block *= 2
        return block


def _first_readers(behind: Sequence[AccountBehind], limit: int) -> list[list[_Account]]:
    """Return the accounts of the first readers whose first blocks have `limit` entries together, or of all."""
    readers = []
    count = 0
    for _, group in groupby(behind, key=attrgetter("user_id")):
        of_reader = list(group)
        block = max(1, limit // len(of_reader))
        readers.append([_Account(account, block) for account in of_reader])
        count += sum(min(block, account.last - account.mark) for account in of_reader)
        if count >= limit:
            break
    return readers


def _in_order(of_reader: Sequence[_Account]) -> Iterator[EntryMessage]:
    """Yield and remove the messages of one reader's accounts by time, until an account's next one is not read yet.

    That one may be earlier than those that are left.
    """
    if any(account.has_more and not account.waiting for account in of_reader):
        return
    accounts = {account.key: account for account in of_reader}
    # This keeps the order of each account's numbers, even if the clock was set back between them.
    for message in merge(*[tuple(a.waiting) for a in of_reader], key=attrgetter("message.created_at")):
        account = accounts[message.account.key]
        yield account.waiting.popleft()
        if account.has_more and not account.waiting:
            return
