"""Verifies promises 2 and 3, declines, and the marks of inboxes, over the whole database."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable

from ..database.database import Database
from .account_verification import Sides, account_differences, count_accounts, read_books
from .amount_texts import amount_text
from .decline_verification import decline_differences
from .hold_verification import hold_differences
from .mark_verification import mark_differences
from .order_verification import order_differences


async def verify_books(database: Database, progress: Callable[[int, int], None]) -> AsyncIterator[str]:
    """Give a sentence for each difference; nothing, if the books balance.

    One consistent read, while orders go on. It needs the memory of one page of accounts, however many there are.
    `progress` gets the number of accounts that are done, and of all.
    """
    totals: defaultdict[str, int] = defaultdict(int)
    sides = Sides()
    async with database.snapshot() as connection:
        count = await count_accounts(connection)
        done = after = 0
        while books := await read_books(connection, after):
            for book in books:
                totals[book.currency] += book.balance
                sides = Sides(*map(sum, zip(sides, book.sides, strict=True)))
                for difference in account_differences(book):
                    yield difference
            after = books[-1].id
            done += len(books)
            progress(done, count)
        async for difference in order_differences(connection, sides):
            yield difference
        async for difference in hold_differences(connection):
            yield difference
        async for difference in decline_differences(connection):
            yield difference
        async for difference in mark_differences(connection):
            yield difference
    for currency, total in totals.items():
        if total:
            yield f"All balances in {currency} add up to {amount_text(total, currency)}, not to zero."
