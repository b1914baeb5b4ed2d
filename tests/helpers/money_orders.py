"""Random orders of every kind."""

import random
from collections.abc import Callable, Sequence
from itertools import count, pairwise
from typing import Final

from .money_accounts import CLOSED, COLD, HOT, NOBODY, NOWHERE, TWINS, Account
from .money_forms import OrderForms
from .money_history import Sent, SentBulk

AMOUNTS: Final = (1, 50, 700, 1999)
# An order about another one is mostly about one of the newest, so that several clients come to the same one.
NEW: Final = 8
NEW_SHARE: Final = 0.7
TOO_MUCH: Final = 999_999_999


class RandomOrders(OrderForms):
    """Makes orders. `learn` gets those with a known outcome, so that others can be about them."""

    def __init__(self, source: random.Random) -> None:
        super().__init__(source)
        self._faulty_number = count()
        self._moved: list[Sent] = []
        self.holds: list[Sent] = []

    def learn(self, sent: Sent) -> None:
        if sent.outcome != "posted" or {sent.payer, sent.payee} & {twin.account_id for twin in TWINS}:
            return
        if sent.kind in ("recharge", "transfer", "withdraw", "capture"):
            self._moved.append(sent)
        if sent.kind == "hold":
            self.holds.append(sent)

    def order(self, order_id: str) -> Sent:
        makers: dict[Callable[[str], Sent], int] = {
            self._recharge: 10, self._transfer: 30, self._withdraw: 8, self._refund: 14, self._hold: 16,
            self._capture: 14, self._release: 4, self._extend: 4, self._faulty: 5,
        }  # fmt: skip
        (make,) = self._random.choices(list(makers), list(makers.values()))
        sent = make(order_id)
        if self._random.random() < 0.2:
            sent.fields |= {"note": "a note, 备注", "reference": f"ref {order_id}"}
        return sent

    def bulk(self, bulk_id: str) -> SentBulk:
        if self._random.random() < 0.3:
            orders = [self.order(f"{bulk_id}.{n}") for n in range(self._random.randint(2, 6))]
            return SentBulk(bulk_id, self._random.random() < 0.4, orders)
        make = self._random.choice((self._chain, self._chain, self._pass_between_twins, self._whole_hold))
        orders = make(bulk_id)
        if self._random.random() < 0.25:
            orders.append(self.withdraw(f"{bulk_id}.last", self._pick(), TOO_MUCH))
        return SentBulk(bulk_id, True, orders)

    def _chain(self, bulk_id: str) -> list[Sent]:
        """The amount goes from account to account, hot ones among them."""
        currency, amount = self._random.choice(("CNY", "JPY")), self._random.choice(AMOUNTS)
        first = self._pick(currency)
        others = [self._pick_other(first), *(self._pick(currency) for _ in range(4))]
        way = list(dict.fromkeys([first, *others]))
        return [
            self.transfer(f"{bulk_id}.{n}", payer, payee, amount) for n, (payer, payee) in enumerate(pairwise(way))
        ]

    def _pass_between_twins(self, bulk_id: str) -> list[Sent]:
        """The amount goes from one account of a user to the other, through one that everybody uses."""
        first, last = self._random.sample(TWINS, 2)
        between, amount = self._pick("CNY"), self._random.choice(AMOUNTS)
        return [
            self.transfer(f"{bulk_id}.0", first, between, amount),
            self.transfer(f"{bulk_id}.1", between, last, amount),
        ]

    def _whole_hold(self, bulk_id: str) -> list[Sent]:
        hold = self._hold(f"{bulk_id}.hold")
        capture = self.about(hold, "capture", f"{bulk_id}.capture", amount=1)
        refund = self.about(capture, "refund", f"{bulk_id}.refund", amount=1)
        return [hold, capture, refund, self.about(hold, "release", f"{bulk_id}.release")]

    def before_freeze(self, prefix: str, account: Account) -> list[Sent]:
        """Return a hold and a withdrawal of the account, for orders under the freeze to be about."""
        return [self.hold(f"{prefix}-hold", account, 1), self.withdraw(f"{prefix}-withdraw", account, 1)]

    def under_freeze(self, account: Account, hold: Sent, withdrawal: Sent) -> list[Sent]:
        """Return an order of each kind that wants the account."""
        start = next(sent for sent in self._moved if sent.payee == account.account_id)
        other = self._pick_other(account)
        prefix = f"{hold.order_id}-frozen"
        return [
            self.recharge(f"{prefix}-recharge", account, 1),
            self.withdraw(f"{prefix}-withdraw", account, 1),
            self.transfer(f"{prefix}-out", account, other, 1),
            self.transfer(f"{prefix}-in", other, account, 1),
            self.hold(f"{prefix}-hold", account, 1),
            self.capture(f"{prefix}-capture", hold),
            self.about(start, "refund", f"{prefix}-refund-out", amount=1),
            self.about(withdrawal, "refund", f"{prefix}-refund-in"),
        ]

    def _recharge(self, order_id: str) -> Sent:
        payee = CLOSED if self._random.random() < 0.2 else self._pick()
        return self.recharge(order_id, payee, self._random.choice(AMOUNTS))

    def _transfer(self, order_id: str) -> Sent:
        return self.transfer(order_id, *self._pick_two(), self._random.choice(AMOUNTS))

    def _withdraw(self, order_id: str) -> Sent:
        return self.withdraw(order_id, self._pick(), self._random.choice(AMOUNTS))

    def _hold(self, order_id: str) -> Sent:
        payer, payee = self._pick_two()
        amount, to = self._random.choice(AMOUNTS[1:]), self._random.choice((("to", payee), None))
        return self.lasting(self.move("hold", order_id, amount, payer.currency, ("from", payer), to))

    def _refund(self, order_id: str) -> Sent:
        return self.about(self._choose(self._moved), "refund", order_id, self._some_amount())

    def _capture(self, order_id: str) -> Sent:
        sent = self.about(self._choose(self.holds), "capture", order_id, self._some_amount())
        if final := self._random.choice(("", "", "true", "false")):
            sent.fields["final"] = final
        return sent

    def _release(self, order_id: str) -> Sent:
        return self.about(self._choose(self.holds), "release", order_id)

    def _extend(self, order_id: str) -> Sent:
        return self.lasting(self.about(self._choose(self.holds), "extend", order_id))

    def _faulty(self, order_id: str) -> Sent:
        """Return an order that can never be done, of each kind in turn."""
        cny, yen = self._pick("CNY"), self._pick("JPY")
        faulty = (
            self.transfer(order_id, cny, NOBODY, 1),
            self.transfer(order_id, cny, NOWHERE, 1),
            self.transfer(order_id, cny, cny, 1),
            self.transfer(order_id, cny, yen, 1),
            self.recharge(order_id, yen, 1),
            self.about(self._choose(self.holds), "refund", order_id),
            self.about(self._choose(self._moved), "capture", order_id),
            Sent("release", order_id, {"holdOrderId": "never"}, "CNY"),
        )
        sent = faulty[next(self._faulty_number) % len(faulty)]
        if sent.kind == "recharge":
            sent.fields["amount"] = "1.5"
        return sent

    def _some_amount(self) -> int | None:
        return self._random.choice((None, 1, 50, 400))

    def _choose(self, orders: Sequence[Sent]) -> Sent:
        return self._random.choice(orders[-NEW:] if self._random.random() < NEW_SHARE else orders)

    def _pick(self, currency: str | None = None) -> Account:
        accounts = self._random.choice((HOT, COLD))
        return self._random.choice([account for account in accounts if currency in (None, account.currency)])

    def _pick_two(self) -> tuple[Account, Account]:
        payer = self._pick()
        return payer, self._pick_other(payer)

    def _pick_other(self, account: Account) -> Account:
        while (other := self._pick(account.currency)) == account:
            pass
        return other
