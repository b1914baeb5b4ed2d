"""Verifies orders: each that moved money has its two entries, and refunds add up."""

from collections.abc import AsyncIterator
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from .account_verification import Sides
from .amount_texts import amount_text

# Posted orders of the types 05, 07 and 08 move nothing.
_MOVED: Final = text(
    "SELECT COUNT(*), COALESCE(SUM(id), 0) FROM `order`"
    " WHERE status = 'posted' AND order_type NOT IN ('05', '07', '08')"
)
_MISSING: Final = text("""\
SELECT side.order_id, side.amount, account.account_id, account.currency
FROM (
    SELECT order_id, from_account AS account, -amount AS amount FROM `order`
    WHERE status = 'posted' AND order_type NOT IN ('05', '07', '08')
    UNION ALL
    SELECT order_id, to_account, amount FROM `order`
    WHERE status = 'posted' AND order_type NOT IN ('05', '07', '08')
) AS side LEFT JOIN account ON account.id = side.account
WHERE (side.order_id, side.account, side.amount) NOT IN (SELECT order_id, account, amount FROM entry)""")
_REPEATED: Final = text("""\
SELECT repeated.order_id, repeated.amount, repeated.entries, account.account_id, account.currency
FROM (
    SELECT order_id, account, amount, COUNT(*) AS entries FROM entry
    GROUP BY order_id, account, amount HAVING COUNT(*) > 1
) AS repeated JOIN account ON account.id = repeated.account""")
_REFUNDS: Final = text("""\
SELECT given.order_id, given.refunded, given.refunds, original.amount, account.currency
FROM (
    SELECT order_id, MIN(account) AS account, SUM(refunded) AS refunded, SUM(refund) AS refunds
    FROM (
        SELECT order_id, from_account AS account, refunded, 0 AS refund FROM `order` WHERE refunded <> 0
        UNION ALL
        SELECT target_order_id, to_account, 0, amount FROM `order` WHERE order_type = '04' AND status = 'posted'
    ) AS part GROUP BY order_id
) AS given
LEFT JOIN `order` AS original ON original.order_id = given.order_id
LEFT JOIN account ON account.id = given.account
WHERE given.refunded <> given.refunds OR original.amount < given.refunds""")


async def order_differences(connection: AsyncConnection, sides: Sides) -> AsyncIterator[str]:
    """Give a sentence for each difference between the orders and the entries that they made, of which `sides` are.

    The entries of the orders are looked for only if there are fewer or more than there should be, or of others.
    """
    count, keys = map(int, (await connection.execute(_MOVED)).one())
    if sides != (count, keys, count, keys):
        async for row in await connection.stream(_MISSING):
            amount = amount_text(row.amount, row.currency)
            yield f"Order {row.order_id!r}: its entry of {amount} in account {row.account_id} is missing."
        async for row in await connection.stream(_REPEATED):
            amount = amount_text(row.amount, row.currency)
            yield f"Account {row.account_id}: it has {row.entries} entries of {amount} for order {row.order_id!r}."
    async for row in await connection.stream(_REFUNDS):
        refunded, refunds = (amount_text(int(part), row.currency) for part in (row.refunded, row.refunds))
        if row.refunded != row.refunds:
            yield f"Order {row.order_id!r}: {refunded} is refunded, but its refunds add up to {refunds}."
        if row.amount is not None and row.amount < row.refunds:
            yield (
                f"Order {row.order_id!r}: its refunds of {refunds} are more than its amount "
                f"{amount_text(row.amount, row.currency)}."
            )
