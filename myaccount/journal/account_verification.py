"""Verifies accounts, page by page: the sums and the chain of their entries, and what is held."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ..model.ledger import account
from .amount_texts import amount_text

PAGE_LIMIT: Final = 500

# SQLite's sums overflow at 2**63, and an account's total turnover may pass that. So the upper and the lower bits
# of the amounts are summed separately.
LOWER_BITS: Final = 32

_PAGE_END: Final = text(
    "SELECT MAX(id) FROM (SELECT id FROM account WHERE id > :after ORDER BY id LIMIT :limit) AS page"
)
# The key of the order `made_by`, if it made the entry, or else NULL. Posted orders of the types 05, 07 and 08 move
# nothing. All others do: the 2018 demo's orders may have any other type.
ORDER_KEY: Final = """\
CASE WHEN made_by.status = 'posted' AND made_by.order_type NOT IN ('05', '07', '08') AND (
                (entry.amount = -made_by.amount AND entry.account = made_by.from_account)
                OR (entry.amount = made_by.amount AND entry.account = made_by.to_account)
            ) THEN made_by.id END"""
_PAGE: Final = text(f"""\
SELECT account.id, account.account_id, account.currency, account.balance, account.floor, account.held,
    account.last_entry, reserved.remaining AS reserved,
    made.entries, made.first_number, made.last_number,
    made.in_upper, made.in_lower, made.out_upper, made.out_lower,
    made.credits, made.credit_keys, made.debits, made.debit_keys,
    broken.order_id AS broken_order, stray.order_id AS stray_order, stray.amount AS stray_amount
FROM account
LEFT JOIN (
    SELECT payer, SUM(remaining) AS remaining FROM hold
    WHERE status = 'held' AND payer > :after AND payer <= :last GROUP BY payer
) AS reserved ON reserved.payer = account.id
LEFT JOIN (
    SELECT account, COUNT(*) AS entries, MIN(number) AS first_number, MAX(number) AS last_number,
        SUM(CASE WHEN amount > 0 THEN amount >> 32 ELSE 0 END) AS in_upper,
        SUM(CASE WHEN amount > 0 THEN amount & 4294967295 ELSE 0 END) AS in_lower,
        SUM(CASE WHEN amount < 0 THEN -amount >> 32 ELSE 0 END) AS out_upper,
        SUM(CASE WHEN amount < 0 THEN -amount & 4294967295 ELSE 0 END) AS out_lower,
        SUM(CASE WHEN amount > 0 AND order_key IS NOT NULL THEN 1 ELSE 0 END) AS credits,
        SUM(CASE WHEN amount > 0 THEN order_key ELSE 0 END) AS credit_keys,
        SUM(CASE WHEN amount < 0 AND order_key IS NOT NULL THEN 1 ELSE 0 END) AS debits,
        SUM(CASE WHEN amount < 0 THEN order_key ELSE 0 END) AS debit_keys,
        MIN(CASE WHEN balance - amount <> previous THEN number END) AS broken_number,
        MIN(CASE WHEN order_key IS NULL THEN number END) AS stray_number
    FROM (
        SELECT entry.account, entry.number, entry.amount, entry.balance,
            COALESCE(LAG(entry.balance) OVER (PARTITION BY entry.account ORDER BY entry.number), 0) AS previous,
            {ORDER_KEY} AS order_key
        FROM entry LEFT JOIN `order` AS made_by ON made_by.order_id = entry.order_id
        WHERE entry.account > :after AND entry.account <= :last
    ) AS link GROUP BY account
) AS made ON made.account = account.id
LEFT JOIN entry AS broken ON broken.account = account.id AND broken.number = made.broken_number
LEFT JOIN entry AS stray ON stray.account = account.id AND stray.number = made.stray_number
WHERE account.id > :after AND account.id <= :last ORDER BY account.id""")


class Sides(NamedTuple):
    """How many entries add to accounts, how many take from them, and the sums of their orders' keys.

    Each posted order that moved money has one of either side. So its number and key count once on each.
    """

    credits: int = 0
    credit_keys: int = 0
    debits: int = 0
    debit_keys: int = 0


class AccountBook(NamedTuple):
    """An account, and what its entries and holds say about it. Amounts are in the smallest unit."""

    id: int
    account_id: str
    currency: str
    balance: int
    floor: int | None
    held: int
    last_entry: int
    # What its open holds have left.
    reserved: int
    # How many entries it has, and the numbers of the first and the last of them.
    entries: int
    first_number: int
    last_number: int
    came_in: int
    went_out: int
    sides: Sides
    # The order of the first entry whose balance is not the previous one plus its amount.
    broken_order: str | None
    # The order and the amount of the first entry that is not one of those that a posted order makes.
    stray_order: str | None
    stray_amount: int | None


async def count_accounts(connection: AsyncConnection) -> int:
    return await connection.scalar(select(func.count()).select_from(account)) or 0


async def read_books(connection: AsyncConnection, after: int) -> list[AccountBook]:
    """Return the next accounts after a key, at most `PAGE_LIMIT`. The database reads all their entries."""
    last = await connection.scalar(_PAGE_END, {"after": after, "limit": PAGE_LIMIT})
    if last is None:
        return []
    return [_book(row) for row in await connection.execute(_PAGE, {"after": after, "last": last})]


def _book(row: Row[Any]) -> AccountBook:
    return AccountBook(
        row.id,
        row.account_id,
        row.currency,
        row.balance,
        row.floor,
        row.held,
        row.last_entry,
        _number(row.reserved),
        _number(row.entries),
        _number(row.first_number),
        _number(row.last_number),
        _whole(row.in_upper, row.in_lower),
        _whole(row.out_upper, row.out_lower),
        Sides(_number(row.credits), _number(row.credit_keys), _number(row.debits), _number(row.debit_keys)),
        row.broken_order,
        row.stray_order,
        row.stray_amount,
    )


def _whole(upper: Decimal | int | None, lower: Decimal | int | None) -> int:
    return (_number(upper) << LOWER_BITS) + _number(lower)


def _number(value: Decimal | int | None) -> int:
    """Return the number: MariaDB's sums are decimals, and all are NULL for an account without entries."""
    return int(value or 0)


def account_differences(book: AccountBook) -> Iterator[str]:
    """Give a sentence for each difference within the account."""

    def text_of(amount: int) -> str:
        return amount_text(amount, book.currency)

    name = f"Account {book.account_id}"
    from_entries = book.came_in - book.went_out
    if book.balance != from_entries:
        yield f"{name}: the balance is {text_of(book.balance)}, but its entries make it {text_of(from_entries)}."
    if book.held != book.reserved:
        yield f"{name}: {text_of(book.held)} is held, but its open holds have {text_of(book.reserved)} left."
    if book.floor is not None and book.balance - book.held < book.floor:
        less = f", less {text_of(book.held)} held," if book.held else ""
        yield f"{name}: the balance {text_of(book.balance)}{less} is below its floor {text_of(book.floor)}."
    if book.entries and (book.first_number, book.last_number) != (1, book.entries):
        yield f"{name}: its {book.entries} entries have numbers from {book.first_number} to {book.last_number}."
    if book.last_entry != book.last_number:
        yield f"{name}: its last entry has the number {book.last_number}, not {book.last_entry}."
    if book.broken_order is not None:
        yield (
            f"{name}: the balance after order {book.broken_order!r} is not the previous balance plus its amount."
        )
    if book.stray_order is not None:
        yield (
            f"{name}: it has an entry of {text_of(book.stray_amount or 0)} for order {book.stray_order!r}, "
            "which did not move that."
        )
