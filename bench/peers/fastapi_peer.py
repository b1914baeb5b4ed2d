"""What a user would write instead: FastAPI and SQLAlchemy, one transaction a request.

Written fairly: the same tables and guarantees (idempotent by order id, both accounts locked in key order, a
floor, double entry, an event), a pool of warm connections, statements that are built once, no work that the
guarantees do not need. The environment variable PEER_DATABASE is SQLAlchemy's URL, and so chooses the driver.
"""

import os
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import FastAPI, Form, HTTPException
from sqlalchemy import Row, bindparam, case, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from myaccount.ledger.changes import TRANSFER, Change
from myaccount.ledger.currencies import CNY
from myaccount.ledger.money import parse_amount
from myaccount.model.ledger import account, entry, order
from myaccount.model.outbox import event
from myaccount.outbox.events import due_after, event_body

app = FastAPI()
engine = create_async_engine(
    os.environ["PEER_DATABASE"], isolation_level="READ COMMITTED", pool_size=20, max_overflow=0, pool_timeout=60
)

FIND_ORDER = select(order.c.status).where(order.c.order_id == bindparam("id"))
FIND_KEYS = select(account.c.id).where(account.c.user_id.in_(bindparam("user_ids", expanding=True)))
# By primary key, and in its order: locked by user id, two transfers deadlock.
LOCK_ACCOUNTS = (
    select(account).where(account.c.id.in_(bindparam("keys", expanding=True))).order_by(account.c.id)
).with_for_update()
INSERT_ORDER = insert(order)
INSERT_ENTRIES = insert(entry)
INSERT_EVENT = insert(event)
WRITE_BALANCES = (
    update(account)
    .where(account.c.id.in_([bindparam("payer"), bindparam("payee")]))
    .values(
        balance=case(
            (account.c.id == bindparam("payer"), bindparam("payer_balance")), else_=bindparam("payee_balance")
        ),
        last_entry=account.c.last_entry + 1,
    )
)

Id = Annotated[str, Form(min_length=1, max_length=45, pattern=r"^\S+$")]


@app.post("/transfer")
async def transfer(orderId: Id, fromuserId: Id, touserId: Id, amount: Annotated[str, Form()]) -> dict[str, int]:  # noqa: N803 - the wire's names
    moved = parse_amount(amount).units(CNY)
    async with engine.begin() as connection:
        earlier = (await connection.execute(FIND_ORDER, {"id": orderId})).first()
        if earlier is not None:
            return {"result": int(earlier.status == "posted")}
        keys = await connection.scalars(FIND_KEYS, {"user_ids": [fromuserId, touserId]})
        rows = await connection.execute(LOCK_ACCOUNTS, {"keys": keys.all()})
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
    change = Change(
        TRANSFER,
        order_id,
        payer.user_id,
        payee.user_id,
        moved,
        payer.balance - moved,
        payee.balance + moved,
        from_entry=payer.last_entry + 1,
        to_entry=payee.last_entry + 1,
        from_account_id=payer.account_id,
        to_account_id=payee.account_id,
        order_name=TRANSFER,
        held=payer.held,
    )
    await connection.execute(
        INSERT_ORDER,
        {
            "order_id": order_id,
            "order_type": "02",
            "from_account": payer.id,
            "to_account": payee.id,
            "amount": moved,
            "status": "posted",
            "created_at": now,
        },
    )
    # The drivers make one statement of this.
    await connection.execute(
        INSERT_ENTRIES,
        [
            {"account": key, "number": number, "order_id": order_id, "amount": amount, "balance": balance}
            for key, number, amount, balance in (
                (payer.id, change.from_entry, -moved, change.from_balance),
                (payee.id, change.to_entry, moved, change.to_balance),
            )
        ],
    )
    await connection.execute(
        WRITE_BALANCES,
        {
            "payer": payer.id,
            "payee": payee.id,
            "payer_balance": change.from_balance,
            "payee_balance": change.to_balance,
        },
    )
    row = {"body": event_body([change]), "attempts": 0, "due_at": due_after(now), "created_at": now}
    await connection.execute(INSERT_EVENT, row)
