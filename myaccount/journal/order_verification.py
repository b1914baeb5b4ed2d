"""Verifies orders: each that moved money has its two entries, and refunds add up."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from .account_verification import ORDER_KEY, Sides
from .amount_texts import amount_text

# Posted orders of the types 05, 07 and 08 move nothing.
_MOVED: Final = "status = 'posted' AND order_type NOT IN ('05', '07', '08')"
_COUNT: Final = text(f"SELECT COUNT(*), COALESCE(SUM(id), 0) FROM `order` WHERE {_MOVED}")
# One pass over the orders and one over the entries, which find their orders by the unique index. The hint lets a
# server sort: the indexed table in which it would group is slow once it exceeds the memory. SQLite sorts anyway.
_UNEVEN: Final = text(f"""\
SELECT made.order_id, made.amount, uneven.debits, uneven.credits,
    payer.account_id AS payer, payee.account_id AS payee, payee.currency
FROM (
    SELECT /*! SQL_BIG_RESULT */ order_key, SUM(debit) AS debits, SUM(credit) AS credits
    FROM (
        SELECT id AS order_key, 0 AS debit, 0 AS credit FROM `order` WHERE {_MOVED}
        UNION ALL
        SELECT {ORDER_KEY},
            CASE WHEN entry.amount < 0 THEN 1 ELSE 0 END, CASE WHEN entry.amount > 0 THEN 1 ELSE 0 END
        FROM entry LEFT JOIN `order` AS made_by ON made_by.order_id = entry.order_id
    ) AS side GROUP BY order_key HAVING SUM(debit) <> 1 OR SUM(credit) <> 1
) AS uneven
JOIN `order` AS made ON made.id = uneven.order_key
LEFT JOIN account AS payer ON payer.id = made.from_account
LEFT JOIN account AS payee ON payee.id = made.to_account""")
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
    count, keys = map(int, (await connection.execute(_COUNT)).one())
    if sides != (count, keys, count, keys):
        async for row in await connection.stream(_UNEVEN):
            for difference in _uneven(row):
                yield difference
    async for row in await connection.stream(_REFUNDS):
        refunded, refunds = (amount_text(int(part), row.currency) for part in (row.refunded, row.refunds))
        if row.refunded != row.refunds:
            yield f"Order {row.order_id!r}: {refunded} is refunded, but its refunds add up to {refunds}."
        if row.amount is not None and row.amount < row.refunds:
            yield (
                f"Order {row.order_id!r}: its refunds of {refunds} are more than its amount "
                f"{amount_text(row.amount, row.currency)}."
            )


def _uneven(row: Row[Any]) -> Iterator[str]:
    """Give a sentence for each side of the order that has no entry in its account, or several."""
    for entries, amount, account_id in (
        (row.debits, -row.amount, row.payer),
        (row.credits, row.amount, row.payee),
    ):
        moved = amount_text(amount, row.currency)
        if not entries:
            yield f"Order {row.order_id!r}: its entry of {moved} in account {account_id} is missing."
        elif entries > 1:
            yield f"Account {account_id}: it has {entries} entries of {moved} for order {row.order_id!r}."
