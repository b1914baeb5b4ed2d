"""Does the journal's orders again, one at a time, and compares: what was available, refunds, and holds.

Each batch locks its accounts before it takes the time and inserts its orders. So for any account, the orders' keys
are in the order in which they were decided.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from .money_history import ORDER_TYPES, History, Sent
from .money_tables import AccountRow, HoldRow, OrderRow, Tables

KINDS = {order_type: kind for kind, order_type in ORDER_TYPES.items()}


def check_replay(history: History, tables: Tables) -> Iterator[str]:
    sent = {order.order_id: order for order in history.orders}
    # What an order of a declined bulk saw is not in the tables.
    unseen = {order.order_id for bulk in history.bulks if bulk.atomic for order in bulk.orders}
    books = Books(tables.accounts)
    for row in tables.orders:
        if row.order_id in sent:
            books.end_expired_holds((row.payer, row.payee), row.created_at)
            if row.status == "posted":
                yield from books.post(row, sent[row.order_id])
            elif row.order_id not in unseen:
                yield from books.check_decline(row)
    yield from books.check_refunds(tables.orders)
    yield from books.check_holds(tables.holds, tables.read_at)
    yield from books.check_held(tables.accounts, tables.holds)


class Books:
    """Balances, holds and refunds, as the orders so far make them."""

    def __init__(self, accounts: Iterable[AccountRow]) -> None:
        self._floors = {account.account_id: account.floor for account in accounts}
        self._balances = dict.fromkeys(self._floors, 0)
        self._holds: dict[str, HoldRow] = {}
        # Of each payer; some of them may have ended.
        self._open: dict[str, list[HoldRow]] = {account_id: [] for account_id in self._floors}
        # What is left to refund of each order that moved money.
        self._refundable: dict[str, int] = {}

    def end_expired_holds(self, payers: Iterable[str], now: datetime) -> None:
        for payer in payers:
            self._open[payer] = [hold for hold in self._open[payer] if hold.status == "held"]
            for hold in self._open[payer]:
                if hold.expires_at <= now:
                    hold.status, hold.remaining = "expired", 0

    def post(self, row: OrderRow, sent: Sent) -> Iterator[str]:
        """Do what the order does; yield why it could not be done."""
        kind, hold = KINDS[row.order_type], self._holds.get(row.target or "")
        if kind in ("capture", "release", "extend") and (hold is None or hold.status != "held"):
            yield f"{row.order_id} was posted, but the hold had ended: {hold}"
            return
        match kind, hold:
            case "hold", _:
                expires_at = row.created_at + timedelta(seconds=sent.seconds)
                new = HoldRow(row.order_id, row.payer, row.payee, row.amount, 0, "held", expires_at)
                self._holds[row.order_id] = new
                self._open[row.payer].append(new)
            case "release", HoldRow():
                hold.status, hold.remaining = "released", 0
            case "extend", HoldRow():
                hold.expires_at = row.created_at + timedelta(seconds=sent.seconds)
            case "capture", HoldRow():
                if row.amount > hold.remaining:
                    yield f"{row.order_id} captured {row.amount}, but the hold had only {hold.remaining} left"
                self._capture(row, sent, hold)
            case "refund", _:
                left = self._refundable.get(row.target or "", 0)
                if row.amount > left:
                    yield f"{row.order_id} refunded {row.amount}, but only {left} was left"
                self._refundable[row.target or ""] = left - row.amount
        if kind not in ("hold", "release", "extend"):
            self._balances[row.payer] -= row.amount
            self._balances[row.payee] += row.amount
        if kind in ("recharge", "transfer", "withdraw", "capture"):
            self._refundable[row.order_id] = row.amount
        floor = self._floors[row.payer]
        if floor is not None and self._available(row.payer) < floor:
            yield f"{row.order_id} left {self._available(row.payer)} available to {row.payer}, below {floor}"

    def check_decline(self, row: OrderRow) -> Iterator[str]:
        """Yield why the order's reason to be declined does not hold."""
        hold, left = self._holds.get(row.target or ""), self._refundable.get(row.target or "", 0)
        floor = self._floors[row.payer]
        is_true = {
            "insufficient_funds": floor is not None and self._available(row.payer) - row.amount < floor,
            "refund_exceeds_order": row.amount > left,
            "hold_expired": hold is not None and hold.status == "expired",
            "hold_ended": hold is not None and hold.status in ("captured", "released"),
            "capture_exceeds_hold": hold is not None and hold.status == "held" and row.amount > hold.remaining,
        }
        if not is_true.get(row.reason or "", True):
            yield f"{row.order_id} was declined as {row.reason}, which was not so"

    def check_refunds(self, orders: Iterable[OrderRow]) -> Iterator[str]:
        for row in orders:
            refunded = row.amount - self._refundable.get(row.order_id, row.amount)
            if row.refunded != refunded:
                yield f"{row.order_id} has {row.refunded} refunded, and its refunds are {refunded}"

    def check_holds(self, rows: Iterable[HoldRow], now: datetime) -> Iterator[str]:
        self.end_expired_holds(self._floors, now)
        found = {row.order_id: row for row in rows}
        for hold in self._holds.values():
            row = found.pop(hold.order_id, None)
            if row != hold:
                yield f"The hold is {row}, and should be {hold}"
        yield from (f"The hold {order_id} has no order that was posted" for order_id in found)

    def check_held(self, accounts: Iterable[AccountRow], rows: Iterable[HoldRow]) -> Iterator[str]:
        rows = list(rows)
        for account in accounts:
            held = sum(row.remaining for row in rows if row.payer == account.account_id)
            if account.held != held:
                yield f"{account.account_id} has {account.held} held, and its holds have {held} left"

    def _capture(self, row: OrderRow, sent: Sent, hold: HoldRow) -> None:
        hold.captured += row.amount
        hold.remaining -= row.amount
        is_final = sent.fields.get("final", "true" if sent.amount is None else "false") == "true"
        if is_final or not hold.remaining:
            hold.status, hold.remaining = "captured", 0

    def _available(self, account_id: str) -> int:
        return self._balances[account_id] - sum(hold.remaining for hold in self._open[account_id])
