"""Verifies holds: each belongs to its order, its captures add up, and it is open or has ended."""

from collections.abc import AsyncIterator
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from .amount_texts import amount_text

_WITHOUT_HOLD: Final = text("""\
SELECT o.order_id FROM `order` AS o LEFT JOIN hold ON hold.order_id = o.order_id
WHERE o.order_type = '05' AND o.status = 'posted' AND hold.id IS NULL""")
_FAULTY: Final = text("""\
SELECT * FROM (
    SELECT hold.order_id, hold.status, hold.remaining, hold.captured, hold.due_at, o.amount, account.currency,
        COALESCE(o.order_type = '05' AND o.status = 'posted' AND o.from_account = hold.payer
            AND o.to_account = hold.payee, 0) AS fits,
        COALESCE(hold.due_at = hold.expires_at, 0) AS is_due
    FROM hold
    LEFT JOIN `order` AS o ON o.order_id = hold.order_id
    LEFT JOIN account ON account.id = hold.payer
) AS known
WHERE fits = 0 OR remaining + captured > amount
    OR (status = 'held' AND (remaining = 0 OR is_due = 0 OR remaining + captured < amount))
    OR (status <> 'held' AND (remaining <> 0 OR due_at IS NOT NULL))""")
_CAPTURES: Final = text("""\
SELECT taken.order_id, taken.captured, taken.captures, account.currency
FROM (
    SELECT order_id, MIN(account) AS account, SUM(captured) AS captured, SUM(capture) AS captures
    FROM (
        SELECT order_id, payer AS account, captured, 0 AS capture FROM hold WHERE captured <> 0
        UNION ALL
        SELECT target_order_id, from_account, 0, amount FROM `order` WHERE order_type = '06' AND status = 'posted'
    ) AS part GROUP BY order_id HAVING SUM(captured) <> SUM(capture)
) AS taken
LEFT JOIN account ON account.id = taken.account""")


async def hold_differences(connection: AsyncConnection) -> AsyncIterator[str]:
    """Give a sentence for each difference of a hold."""
    async for row in await connection.stream(_WITHOUT_HOLD):
        yield f"Order {row.order_id!r}: it is a posted hold, and the table of holds lacks it."
    async for row in await connection.stream(_FAULTY):
        for difference in _differences(row):
            yield f"Hold {row.order_id!r}: {difference}."
    async for row in await connection.stream(_CAPTURES):
        captured, captures = (amount_text(int(part), row.currency) for part in (row.captured, row.captures))
        yield f"Hold {row.order_id!r}: {captured} is captured, but its captures add up to {captures}."


def _differences(row: Row[Any]) -> list[str]:
    left, captured = amount_text(row.remaining, row.currency), amount_text(row.captured, row.currency)
    found = []
    if not row.fits:
        found.append("no posted hold has this order id and these accounts")
    elif row.remaining + row.captured > row.amount:
        amount = amount_text(row.amount, row.currency)
        found.append(f"{left} left and {captured} captured are more than its amount {amount}")
    elif row.status == "held" and row.remaining and row.remaining + row.captured < row.amount:
        amount = amount_text(row.amount, row.currency)
        found.append(f"it is open, and {left} left and {captured} captured are less than its amount {amount}")
    if row.status == "held" and not row.remaining:
        found.append("it is open, with nothing left")
    if row.status == "held" and not row.is_due:
        found.append("it is open, and not due when it expires")
    if row.status != "held" and row.remaining:
        found.append(f"it has ended, and {left} is left")
    if row.status != "held" and row.due_at is not None:
        found.append("it has ended, and is due")
    return found
