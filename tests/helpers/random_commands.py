"""Random commands of every kind, as the HTTP edge makes them. Most of them can be done."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Any

from myaccount.ledger.account_commands import AddAccount, Close, Freeze, Limit, OpenAccount, Opening
from myaccount.ledger.commands import AtomicBulk, Command, NameBulk
from myaccount.ledger.makers import Maker
from myaccount.ledger.money import MAX_AMOUNT, Amount
from myaccount.ledger.order_commands import (
    Capture,
    Extend,
    Hold,
    OrderCommand,
    Recharge,
    Refund,
    Release,
    Transfer,
    Withdraw,
)
from myaccount.ledger.references import AccountId, Party, UserCurrency

# The account, user and currency of each account, in the order in which they are opened.
ACCOUNTS = [
    ("ann-1", "ann", "CNY"),
    ("ann-2", "ann", "CNY"),
    ("ann-yen", "ann", "JPY"),
    ("bob-yen", "bob", "JPY"),
    ("bob-1", "bob", "CNY"),
    ("cem-1", "cem", "CNY"),
    ("dee-dinar", "dee", "KWD"),
    ("dee-dinar-2", "dee", "KWD"),
]
OPENED_AT = datetime(2025, 1, 1)
OPENINGS: list[Opening] = [
    AddAccount(user_id, account_id, "01", None, currency, sent_at=OPENED_AT + timedelta(seconds=place))
    if user_id in {user for _, user, _ in ACCOUNTS[:place]}
    else OpenAccount(user_id, "N", "F", "6222", account_id, "01", None, currency, sent_at=OPENED_AT)
    for place, (account_id, user_id, currency) in enumerate(ACCOUNTS)
]
TEAMS = {"team"}
# Those that may be opened meanwhile.
USERS = ["eve", "fay", "gus"]
NEW_ACCOUNTS = [f"new-{number}" for number in range(12)]
ORDERS = [Recharge, Transfer, Transfer, Withdraw, Refund, Refund, Hold, Hold, Capture, Capture, Release, Extend]
WORDS: list[dict[str, Any]] = [{}, {}, {}, {"note": "rent"}, {"reference": "rent"}, {"note": "", "reference": "7"}]
# Most may make any order.
MAKERS = [None, None, None, *[Maker("k1", {"money:in", "money:move", "money:out"})] * 3,
          Maker("k2", {"money:move"}), Maker("k3", {"money:in", "money:out"}), Maker("k4", set())]  # fmt: skip

Bulk = AtomicBulk | NameBulk

_ticks = count(1)


def _now() -> datetime:
    """Return a time that no other command has."""
    return OPENED_AT + timedelta(days=1, microseconds=next(_ticks))


def with_fields(order: OrderCommand, values: Mapping[str, object]) -> OrderCommand:
    """Return the order with these fields changed."""
    changed: Any = order
    return replace(changed, **values)  # type: ignore[no-any-return]


class RandomCommands:
    """Draws commands from `random`. New ones may be about `recorded` orders, and most are about posted ones.

    Those orders, the `bulks` and the `openings`, may also be sent again.
    """

    def __init__(
        self,
        random: Random,
        recorded: Iterable[OrderCommand] = (),
        posted: Iterable[OrderCommand] = (),
        bulks: Iterable[Bulk] = (),
        openings: Iterable[Opening] = (),
    ) -> None:
        self.random = random
        self.earlier = list(recorded)
        self.posted = list(posted)
        self.sent: list[OrderCommand | Bulk | Opening] = [*self.earlier, *bulks, *openings]

    def batch(self, size: int) -> list[Command]:
        """Return commands as the journal decides a batch: its openings first."""
        commands = [self._again() if self._repeats() else self.command() for _ in range(size)]
        return sorted(commands, key=lambda command: not isinstance(command, Opening))

    def _repeats(self) -> bool:
        return bool(self.sent) and self.random.random() < 0.15

    def _again(self) -> OrderCommand | Bulk | Opening:
        """Return a command that was sent before, often one of this batch."""
        again = self.random.choice(self.random.choice([self.sent, self.sent[-4:]]))
        return replace(again, sent_at=_now()) if isinstance(again, OpenAccount | AddAccount) else again

    def command(self) -> Command:
        match self.random.randrange(22):
            case 3 | 4:
                return self.account_change()
            case 20 | 21:
                self.sent.append(self.opening())
                return self.sent[-1]
            case kind:
                self.sent.append(self.bulk() if kind < 3 else self.order())
                return self.sent[-1]

    def order(self, strange: float = 0.05) -> OrderCommand:
        """Return an order that is new, but for so many, and about one of the right kind, but for as many."""
        used = self.earlier and self.random.random() < strange
        order_id = self.random.choice(self.earlier).order_id if used else f"o{self.random.randrange(10**9)}"
        any_target = self.random.random() < strange
        order = with_fields(self._order(order_id, any_target=any_target), self.random.choice(WORDS))
        order = with_fields(order, {"maker": self.random.choice(MAKERS)})
        self.earlier.append(order)
        self.posted.append(order)
        return order

    def bulk(self) -> Bulk:
        """Return a bulk of orders whose ids differ. Its own id may be a used one."""
        bulk_id = f"b{self.random.randrange(100)}"
        if self.random.random() < 0.2:
            # Its orders are not sent with it.
            return NameBulk(bulk_id, (Release(bulk_id, self.random.choice("xyz")),))
        parts: dict[str, OrderCommand] = {}
        for _ in range(self.random.randint(1, 5)):
            order = with_fields(self.order(strange=0.01), {"bulk_id": bulk_id})
            parts.setdefault(order.order_id, order)
        return AtomicBulk(bulk_id, tuple(parts.values()))

    def account_change(self) -> Freeze | Limit | Close:
        change_id, account = f"c{self.random.randrange(10**9)}", self._account_id(None)
        match self.random.randrange(10):
            case 0:
                return Close(change_id, account, "fraud")
            case 1 | 2 | 3:
                return Limit(change_id, account, self.random.choice([None, self.amount()]), "vip")
        frozen = self.random.choice(["none", "none", "none", "debits", "credits", "all"])
        return Freeze(change_id, account, frozen, "court")  # type: ignore[arg-type]

    def opening(self) -> Opening:
        """Return an opening. Its user and its account may be taken, and its team may be missing."""
        account_id = self.random.choice([*NEW_ACCOUNTS, *NEW_ACCOUNTS, "ann-1"])
        team_id = self.random.choice([None, None, None, "team", "no team"])
        currency = self.random.choice(["CNY", "CNY", "JPY"])
        if self.random.random() < 0.5:
            user_id = self.random.choice([*USERS, "bob"])
            return AddAccount(user_id, account_id, "02", team_id, currency, sent_at=_now())
        user = (self.random.choice([*USERS, "ann"]), "N", "F", "6222")
        return OpenAccount(*user, account_id, "01", team_id, currency, sent_at=_now())

    def amount(self) -> Amount:
        match self.random.randrange(40):
            case 0:
                return Amount(MAX_AMOUNT + self.random.randrange(2))
            case 1:
                return Amount(99_999_999_999_999 + self.random.randrange(2), 2)
            case 2:
                return Amount(self.random.randint(1, 3000), 3)
            case 3 | 4 | 5 | 6:
                return Amount(self.random.randint(1, 3000), self.random.randint(1, 2))
        return Amount(self.random.randint(1, 20))

    def more(self, amount: Amount) -> Amount:
        """Return a multiple of it, so that there is something to spend."""
        return Amount(amount.digits * 4, amount.decimals)

    def _order(self, order_id: str, *, any_target: bool) -> OrderCommand:
        currency = self.random.choice([None, None, None, "CNY", "CNY", "JPY", "KWD"])
        amount, some = self.amount(), self.random.choice([None, self.amount()])
        seconds = self.random.choice([None, 1, 5, 60])
        life = None if seconds is None else timedelta(seconds=seconds)
        kind = self.random.choice(ORDERS)
        if kind is Recharge:
            return Recharge(order_id, self._party(currency), self.more(amount), currency=currency)
        if kind is Transfer:
            return Transfer(order_id, self._party(currency), self._party(currency), amount, currency=currency)
        if kind is Withdraw:
            return Withdraw(order_id, self._party(currency), amount, currency=currency)
        if kind is Hold:
            payee = self.random.choice([None, self._party(currency)])
            return Hold(order_id, self._party(currency), payee, amount, life, currency=currency)
        if kind is Refund:
            return Refund(order_id, self._target(Recharge, Transfer, Withdraw, Capture, any_kind=any_target), some)
        hold = self._target(Hold, any_kind=any_target)
        if kind is Capture:
            return Capture(order_id, hold, some, self.random.choice([None, None, None, True, False]))
        return Release(order_id, hold) if kind is Release else Extend(order_id, hold, life or timedelta(seconds=9))

    def _target(self, *kinds: type[OrderCommand], any_kind: bool) -> str:
        orders = self.earlier if any_kind else self.posted
        fit = [order.order_id for order in orders if any_kind or isinstance(order, kinds)]
        return self.random.choice(fit[-6:] or ["none"])

    def _party(self, currency: str | None) -> Party:
        if self.random.random() < 0.4:
            return self._account_id(currency or "CNY")
        # Nobody opened an account for zoe.
        user = (
            "zoe"
            if self.random.random() < 0.03
            else self.random.choice(["ann", "ann", "ann", "cem", "cem", "cem", "bob", "bob", "dee", "dee", *USERS])
        )
        return user if currency is None else UserCurrency(user, currency)

    def _account_id(self, currency: str | None) -> AccountId:
        if self.random.random() < 0.03:
            return AccountId("nobodys")
        if self.random.random() < 0.05:
            return AccountId(self.random.choice(NEW_ACCOUNTS))
        fits = [account_id for account_id, _, its in ACCOUNTS if its == currency]
        if not fits or self.random.random() < 0.1:
            fits = [account_id for account_id, _, _ in ACCOUNTS]
        return AccountId(self.random.choice(fits))
