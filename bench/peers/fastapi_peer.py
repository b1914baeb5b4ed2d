"""What a user would write instead: FastAPI and SQLAlchemy, one transaction a request.

Written fairly: the same tables and guarantees (idempotent by order id, both accounts locked in key order, a
floor, double entry, an event), a pool of warm connections, no work that the guarantees do not need. The
environment variable PEER_DATABASE is SQLAlchemy's URL, and so chooses the driver.
"""

import os
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import FastAPI, Form, HTTPException
from sqlalchemy import Row, case, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from myaccount.ledger.changes import TRANSFER, Change
from myaccount.ledger.currencies import CNY
from myaccount.ledger.money import parse_amount
from myaccount.model.ledger import account, entry, order
from myaccount.outbox.events import insert_event

app = FastAPI()
engine = create_async_engine(
    os.environ["PEER_DATABASE"], isolation_level="READ COMMITTED", pool_size=20, max_overflow=0, pool_timeout=60
)

Id = Annotated[str, Form(min_length=1, max_length=45, pattern=r"^\S+$")]


@app.post("/transfer")
async def transfer(orderId: Id, fromuserId: Id, touserId: Id, amount: Annotated[str, Form()]) -> dict[str, int]:  # noqa: N803 - the wire's names
    moved = parse_amount(amount).units(CNY)
    async with engine.begin() as connection:
        earlier = (await connection.execute(select(order.c.status).where(order.c.order_id == orderId))).first()
        if earlier is not None:
            return {"result": int(earlier.status == "posted")}
        keys = await connection.scalars(select(account.c.id).where(account.c.user_id.in_([fromuserId, touserId])))
        # By primary key, and in its order: locked by user id, two transfers deadlock.
        rows = await connection.execute(
            select(account).where(account.c.id.in_(keys.all())).order_by(account.c.id).with_for_update()
        )
        accounts = {row.user_id: row for row in rows}
        if fromuserId not in accounts or touserId not in accounts:
            raise HTTPException(404)
        payer, payee = accounts[fromuserId], accounts[touserId]
        if payer.balance - payer.held - moved < payer.floor:
            raise HTTPException(409)
        if any(row.frozen != "none" or row.status != "open" for row in (payer, payee)):
            raise HTTPException(409)
        await post(connection, orderId, payer, payee, moved)
    return {"result": 1}


async def post(connection: AsyncConnection, order_id: str, payer: Row[Any], payee: Row[Any], moved: int) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    parties = {"from_account": payer.id, "to_account": payee.id}
    await connection.execute(
        insert(order).values(
            order_id=order_id, order_type="02", **parties, amount=moved, status="posted", created_at=now
        )
    )
    balances = {payer.id: payer.balance - moved, payee.id: payee.balance + moved}
    numbers = {payer.id: payer.last_entry + 1, payee.id: payee.last_entry + 1}
    await connection.execute(
        insert(entry).values(
            [
                (payer.id, numbers[payer.id], order_id, -moved, balances[payer.id]),
                (payee.id, numbers[payee.id], order_id, moved, balances[payee.id]),
            ]
        )
    )
    await connection.execute(
        update(account)
        .where(account.c.id.in_(balances))
        .values(
            balance=case(balances, value=account.c.id),
            last_entry=case(numbers, value=account.c.id),
        )
    )
    change = Change(
        TRANSFER,
        order_id,
        payer.user_id,
        payee.user_id,
        moved,
        balances[payer.id],
        balances[payee.id],
        from_entry=numbers[payer.id],
        to_entry=numbers[payee.id],
        from_account_id=payer.account_id,
        to_account_id=payee.account_id,
        order_name=TRANSFER,
        held=payer.held,
    )
    await insert_event(connection, [change], now)
