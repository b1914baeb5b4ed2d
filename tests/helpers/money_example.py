"""A history of the money bank and the tables that it leaves. Tests of the checker plant faults in them."""

from datetime import datetime, timedelta
from typing import Any

from .money_checker import MOVING, check_money
from .money_history import ORDER_TYPES, History, Sent, SentBulk, Setting
from .money_tables import AccountRow, ChangeRow, EntryRow, HoldRow, OrderRow, Tables

START = datetime(2026, 3, 1, 12)
OUTSIDE = "outside CNY"


class Example:
    """Orders between the accounts A and B, one each second. C is closed."""

    def __init__(self) -> None:
        self.history = History()
        accounts = [AccountRow(id_, "CNY", 0, 0, 0, "none", "open", 0) for id_ in (OUTSIDE, "A", "B", "C")]
        accounts[0].floor = None
        self.history.opened += ["A", "B", "C"]
        self.tables = Tables(accounts, [], [], [], [], [], [], START)
        self._clock = 0
        self._send_orders()
        self._send_bulk("done", "posted", "posted")
        self._send_bulk("declined", "bulk_declined", "insufficient_funds")
        self.history.sent.append(Sent("transfer", "refused", {}, "CNY", outcomes={"refused"}))
        self.set("B", "frozen", "credits")
        self.send("transfer", "frozen", "A", "B", 1, outcome="account_frozen")
        self.set("B", "frozen", "none")
        self.send("withdraw", "withdraw", "A", OUTSIDE, 1)
        self.set("C", "status", "closed")
        self.send("transfer", "closed", "A", "C", 1, outcome="account_closed")

    def _send_orders(self) -> None:
        self.send("recharge", "recharge", OUTSIDE, "A", 1000)
        self.send("transfer", "transfer", "A", "B", 300)
        self.send("refund", "refund", "B", "A", 100, "transfer")
        self.row("orders", "transfer").refunded = 100
        self.send("hold", "hold", "A", "B", 200, seconds=3600)
        self.send("capture", "capture", "A", "B", 50, "hold")
        hold = self.row("holds", "hold")
        hold.captured, hold.remaining = 50, 150
        self.row("accounts", "A").held = 150
        self.send("hold", "short", "A", OUTSIDE, 100, seconds=1)
        short = self.row("holds", "short")
        short.status, short.remaining = "expired", 0
        self.tables.told.append(("short", "hold_expired"))
        self.send("capture", "late", "A", OUTSIDE, 100, "short", outcome="hold_expired")
        self.send("transfer", "too-much", "B", "A", 9999, outcome="insufficient_funds")

    def _send_bulk(self, bulk_id: str, *outcomes: str) -> None:
        orders = [Sent("transfer", f"{bulk_id}.{n}", {}, "CNY", "A", "B", 10) for n in range(len(outcomes))]
        for sent, outcome in zip(orders, outcomes, strict=True):
            self._write(sent, outcome, bulk_id)
        self.history.sent.append(SentBulk(bulk_id, True, orders))
        self.tables.bulk_ids.append(bulk_id)

    def row(self, table: str, key: str) -> Any:
        """Return the first row of the table with this order id or account id."""
        rows = getattr(self.tables, table)
        return next(
            row for row in rows if key in (getattr(row, "order_id", None), getattr(row, "account_id", None))
        )

    def sent(self, order_id: str) -> Sent:
        return next(sent for sent in self.history.orders if sent.order_id == order_id)

    def faults(self) -> list[str]:
        return check_money(self.history, self.tables)

    def send(
        self,
        kind: str,
        order_id: str,
        payer: str,
        payee: str,
        amount: int,
        target: str | None = None,
        *,
        seconds: int = 0,
        outcome: str = "posted",
    ) -> None:
        """Have an order sent, answered and written, with its entries or its hold."""
        sent = Sent(kind, order_id, {}, "CNY", payer, payee, amount, target, seconds)
        self._write(sent, outcome, None)
        self.history.sent.append(sent)

    def set(self, account_id: str, name: str, value: str) -> None:
        self.history.settings.append(Setting(account_id, name, value, self._tick(), self._tick()))
        self.tables.changes.append(ChangeRow(account_id, name, value))
        setattr(self.row("accounts", account_id), name, value)

    def _write(self, sent: Sent, outcome: str, bulk_id: str | None) -> None:
        sent.outcomes, sent.began, sent.ended = {outcome}, self._tick(), self._tick()
        self.tables.read_at += timedelta(seconds=1)
        now, amount = self.tables.read_at, sent.amount or 0
        status, reason = ("posted", None) if outcome == "posted" else ("declined", outcome)
        row = OrderRow(
            sent.order_id, ORDER_TYPES[sent.kind], sent.payer, sent.payee, amount, status, reason, 0,
            sent.target, bulk_id, None, None, now,
        )  # fmt: skip
        self.tables.orders.append(row)
        if status == "posted" and row.order_type in MOVING:
            self._move(row)
        if status == "posted" and sent.kind == "hold":
            end = now + timedelta(seconds=sent.seconds)
            self.tables.holds.append(HoldRow(sent.order_id, sent.payer, sent.payee, amount, 0, "held", end))

    def _move(self, row: OrderRow) -> None:
        for account_id, amount in ((row.payer, -row.amount), (row.payee, row.amount)):
            account = self.row("accounts", account_id)
            account.balance += amount
            account.last_entry += 1
            self.tables.entries.append(
                EntryRow(account_id, account.last_entry, row.order_id, amount, account.balance)
            )

    def _tick(self) -> int:
        self._clock += 1
        return self._clock
