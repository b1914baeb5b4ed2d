"""What a user would write instead: FastAPI and SQLAlchemy, one transaction a request.

Written fairly: the same tables and guarantees (idempotent by order id, both accounts locked in key order, a
floor, double entry), a pool of warm connections, no work that the guarantees do not need. The environment
variable PEER_DATABASE is SQLAlchemy's URL, and so chooses the driver.
"""

import os
from datetime import UTC, datetime
from typing import Annotated

from fastapi import FastAPI, Form, HTTPException
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import create_async_engine

from myaccount.ledger.money import parse_amount
from myaccount.model.ledger import account, order

app = FastAPI()
engine = create_async_engine(
    os.environ["PEER_DATABASE"], isolation_level="READ COMMITTED", pool_size=20, max_overflow=0, pool_timeout=60
)

Id = Annotated[str, Form(min_length=1, max_length=45, pattern=r"^\S+$")]


@app.post("/transfer")
async def transfer(orderId: Id, fromuserId: Id, touserId: Id, amount: Annotated[str, Form()]) -> dict[str, int]:  # noqa: N803 - the wire's names
    moved = parse_amount(amount)
    async with engine.begin() as connection:
        earlier = (await connection.execute(select(order.c.status).where(order.c.order_id == orderId))).first()
        if earlier is not None:
            return {"result": int(earlier.status == "posted")}
        keys = await connection.scalars(select(account.c.id).where(account.c.user_id.in_([fromuserId, touserId])))
        # By primary key, and in its order: locked by user id, two transfers deadlock.
        rows = await connection.execute(
            select(account.c.id, account.c.user_id, account.c.balance, account.c.floor)
            .where(account.c.id.in_(keys.all()))
            .order_by(account.c.id)
            .with_for_update()
        )
        accounts = {row.user_id: row for row in rows}
        if fromuserId not in accounts or touserId not in accounts:
            raise HTTPException(404)
        payer, payee = accounts[fromuserId], accounts[touserId]
        if payer.balance - moved < payer.floor:
            raise HTTPException(409)
        await connection.execute(
            insert(order).values(
                order_id=orderId,
                order_type="02",
                from_account=payer.id,
                to_account=payee.id,
                amount=moved,
                from_balance=payer.balance - moved,
                to_balance=payee.balance + moved,
                status="posted",
                created_at=datetime.now(UTC).replace(tzinfo=None),
            )
        )
        for row, balance in ((payer, payer.balance - moved), (payee, payee.balance + moved)):
            await connection.execute(update(account).where(account.c.id == row.id).values(balance=balance))
    return {"result": 1}
