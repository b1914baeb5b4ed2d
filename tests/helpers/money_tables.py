"""The ledger's tables as the checker of the money bank reads them: accounts by their ids, amounts in units."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.database.times import server_time
from myaccount.model.inbox import message
from myaccount.model.ledger import account, account_change, bulk, entry, hold, order

# The messages about a hold that ended otherwise than by a capture, which has a message of its own.
HOLD_ENDS = ("hold_released", "hold_expired")


@dataclass
class AccountRow:
    account_id: str
    currency: str
    balance: int
    held: int
    floor: int | None
    frozen: str
    status: str
    last_entry: int


@dataclass
class OrderRow:
    order_id: str
    order_type: str
    payer: str
    payee: str
    amount: int
    status: str
    reason: str | None
    refunded: int
    target: str | None
    bulk_id: str | None
    note: str | None
    reference: str | None
    created_at: datetime


@dataclass
class EntryRow:
    account_id: str
    number: int
    order_id: str
    amount: int
    balance: int


@dataclass
class HoldRow:
    order_id: str
    payer: str
    payee: str
    remaining: int
    captured: int
    status: str
    expires_at: datetime


@dataclass
class ChangeRow:
    account_id: str
    setting: str
    value: str


@dataclass
class Tables:
    """All rows of a moment, in the order of their keys."""

    accounts: list[AccountRow]
    orders: list[OrderRow]
    entries: list[EntryRow]
    holds: list[HoldRow]
    changes: list[ChangeRow]
    bulk_ids: list[str]
    # The holds whose end was told to the payer, and the type of that message.
    told: list[tuple[str, str]]
    read_at: datetime


async def read_tables(connection: AsyncConnection) -> Tables:
    a, o, e, h, c = account.c, order.c, entry.c, hold.c, account_change.c
    keys = [a.id, a.account_id, a.currency, a.balance, a.held, a.floor, a.frozen, a.status, a.last_entry]
    accounts = (await connection.execute(select(*keys))).all()
    names = {row.id: row.account_id for row in accounts}
    orders = select(
        o.order_id, o.order_type, o.from_account, o.to_account, o.amount, o.status, o.reason, o.refunded,
        o.target_order_id, o.bulk_id, o.note, o.reference, o.created_at,
    ).order_by(o.id)  # fmt: skip
    entries = select(e.account, e.number, e.order_id, e.amount, e.balance).order_by(e.account, e.number)
    holds = select(h.order_id, h.payer, h.payee, h.remaining, h.captured, h.status, h.expires_at).order_by(h.id)
    changes = select(c.account, c.setting, c.value).order_by(c.id)
    ends = select(message.c.source_id, message.c.message_type).where(message.c.message_type.in_(HOLD_ENDS))
    return Tables(
        accounts=[AccountRow(*row[1:]) for row in accounts],
        orders=[
            OrderRow(id_, type_, names[payer], names[payee], *more)
            for id_, type_, payer, payee, *more in await connection.execute(orders)
        ],
        entries=[EntryRow(names[key], *more) for key, *more in await connection.execute(entries)],
        holds=[
            HoldRow(id_, names[payer], names[payee], *more)
            for id_, payer, payee, *more in await connection.execute(holds)
        ],
        changes=[ChangeRow(names[key], *more) for key, *more in await connection.execute(changes)],
        bulk_ids=list((await connection.execute(select(bulk.c.bulk_id))).scalars()),
        told=[(row.source_id, row.message_type) for row in await connection.execute(ends)],
        read_at=(await connection.execute(select(server_time()))).scalar_one(),
    )
