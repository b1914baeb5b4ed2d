"""Verifies promises 2 and 3 over the whole database."""

from collections.abc import AsyncIterator, Callable

from ..database.database import Database
from ..ledger.money import format_amount
from .verification_queries import AccountBook, FaultyChain, count_accounts, read_books, read_faulty_chains


async def verify_books(database: Database, progress: Callable[[int, int], None]) -> AsyncIterator[str]:
    """Give a sentence for each difference; nothing, if the books balance.

    One consistent read, while orders go on. It needs the memory of one page of accounts, however many there are.
    `progress` gets the number of accounts that are done, and of all.
    """
    async with database.snapshot() as connection:
        count = await count_accounts(connection)
        done = after = total = 0
        while books := await read_books(connection, after):
            for book in books:
                total += book.balance
                for difference in _differences(book):
                    yield difference
            last = books[-1].id
            for chain in await read_faulty_chains(connection, after, last):
                for difference in _chain_differences(chain):
                    yield difference
            after = last
            done += len(books)
            progress(done, count)
    if total:
        yield f"All balances add up to {format_amount(total)}, not to zero."


def _differences(book: AccountBook) -> list[str]:
    found = []
    if book.balance != book.came_in - book.went_out:
        found.append(
            f"Account {book.account_id}: the balance is {format_amount(book.balance)}, "
            f"but its orders make it {format_amount(book.came_in - book.went_out)}."
        )
    if book.floor is not None and book.balance < book.floor:
        found.append(
            f"Account {book.account_id}: the balance {format_amount(book.balance)} "
            f"is below its floor {format_amount(book.floor)}."
        )
    return found


def _chain_differences(chain: FaultyChain) -> list[str]:
    found = []
    if chain.order_id is not None:
        found.append(
            f"Account {chain.account_id}: the balance after order {chain.order_id!r} is not the previous balance "
            "plus or minus its amount."
        )
    if chain.last_entry != chain.entries:
        found.append(
            f"Account {chain.account_id}: its last entry has the number {chain.last_entry}, "
            f"but it has {chain.entries} entries."
        )
    return found
