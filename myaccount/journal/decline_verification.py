"""Verifies declines: they are numbered without gaps, and each is of an order that was declined for its account."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from .amount_texts import amount_text

_NUMBERS: Final = text("""\
SELECT account.account_id, account.last_decline, numbered.*
FROM account LEFT JOIN (
    SELECT account, COUNT(*) AS declines, COUNT(DISTINCT order_id) AS orders,
        MIN(number) AS first_number, MAX(number) AS last_number
    FROM decline GROUP BY account
) AS numbered ON numbered.account = account.id
WHERE account.last_decline <> COALESCE(numbered.last_number, 0) OR numbered.first_number <> 1
    OR numbered.last_number <> numbered.declines OR numbered.orders <> numbered.declines""")
# A decline is the payer's or, if that is the outside world, the payee's. The opening is entry 0.
_FAULTY: Final = text("""\
SELECT * FROM (
    SELECT account.account_id, account.currency, decline.number, decline.order_id, decline.entry, decline.balance,
        COALESCE(latest.balance, CASE WHEN decline.entry = 0 THEN 0 END) AS expected,
        COALESCE(made.status = 'declined' AND decline.account =
            CASE WHEN payer.user_id IS NULL THEN made.to_account ELSE made.from_account END, 0) AS fits
    FROM decline
    LEFT JOIN account ON account.id = decline.account
    LEFT JOIN `order` AS made ON made.order_id = decline.order_id
    LEFT JOIN account AS payer ON payer.id = made.from_account
    LEFT JOIN entry AS latest ON latest.account = decline.account AND latest.number = decline.entry
) AS known
WHERE fits = 0 OR expected IS NULL OR balance <> expected""")


async def decline_differences(connection: AsyncConnection) -> AsyncIterator[str]:
    """Give a sentence for each difference of a decline. What an earlier version declined has none."""
    async for row in await connection.stream(_NUMBERS):
        for difference in _of_numbers(row):
            yield f"Account {row.account_id}: {difference}."
    async for row in await connection.stream(_FAULTY):
        name = f"Account {row.account_id}: its decline {row.number}"
        if not row.fits:
            yield f"{name} is of order {row.order_id!r}, which was not declined for it."
        elif row.expected is None:
            yield f"{name} came after entry {row.entry}, which is missing."
        else:
            balance, expected = (amount_text(part, row.currency) for part in (row.balance, row.expected))
            yield f"{name} has the balance {balance}, but it was {expected} after entry {row.entry}."


def _of_numbers(row: Row[Any]) -> Iterator[str]:
    declines, last_number = row.declines or 0, row.last_number or 0
    if row.last_decline != last_number:
        yield f"its last decline has the number {last_number}, not {row.last_decline}"
    if declines and (row.first_number, last_number) != (1, declines):
        yield f"its {declines} declines have numbers from {row.first_number} to {last_number}"
    if declines and row.orders != declines:
        yield f"its {declines} declines are of {row.orders} orders"
