"""The books of the plain model: accounts, holds and orders, with amounts as decimal numbers."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import OrderCommand, Refund
from myaccount.ledger.references import AccountId, Party, UserCurrency

# Those of the contract's examples.
DECIMALS = {"JPY": 0, "CNY": 2, "KWD": 3, "CLF": 4}
NOTHING = Decimal(0)


class Refused(Exception):
    """The order or change is refused, for this code: nothing is recorded."""


@dataclass
class PlainAccount:
    """An account. That of the outside world has no user."""

    account_id: str
    user_id: str | None
    currency: str
    floor: Decimal = NOTHING
    frozen: str = "none"
    closed: bool = False
    # Each movement: the order's id, and what it added.
    entries: list[tuple[str, Decimal]] = field(default_factory=list)
    # Each change: what was set, and why.
    log: list[tuple[str, str]] = field(default_factory=list)

    @property
    def balance(self) -> Decimal:
        return sum((amount for _, amount in self.entries), NOTHING)


@dataclass
class PlainHold:
    """A hold. `ended` says how it ended, if an order ended it."""

    payer: PlainAccount
    amount: Decimal
    ends_at: datetime
    captured: Decimal = NOTHING
    ended: str | None = None

    def status(self, now: datetime) -> str:
        return self.ended or ("held" if now < self.ends_at else "expired")

    def left(self, now: datetime) -> Decimal:
        return self.amount - self.captured if self.status(now) == "held" else NOTHING


@dataclass
class PlainOrder:
    """A recorded order: what was sent, and what became of it."""

    command: OrderCommand
    payer: PlainAccount
    payee: PlainAccount
    amount: Decimal
    reason: str | None = None
    # Of a decline: how many entries its account had by then, and how much of the balance was held.
    entries: int = 0
    held: Decimal = NOTHING

    @property
    def told(self) -> PlainAccount:
        return self.payer if self.payer.user_id else self.payee


class PlainBooks:
    """All accounts, in the order in which they were opened, all holds, and all recorded orders."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.accounts: dict[str, PlainAccount] = {}
        self.outside: dict[str, PlainAccount] = {}
        self.orders: dict[str, PlainOrder] = {}
        self.holds: dict[str, PlainHold] = {}

    def open(self, account_id: str, user_id: str, currency: str) -> None:
        self.accounts[account_id] = PlainAccount(account_id, user_id, currency)
        self.outside.setdefault(currency, PlainAccount(f"outside {currency}", None, currency))

    def named(self, party: Party, currency: str | None) -> PlainAccount:
        """Return the account that a command names. Raises Refused."""
        if isinstance(party, AccountId):
            account = self.accounts.get(party.account_id)
            if account is None:
                raise Refused("account_not_found")
            if currency not in (None, account.currency):
                raise Refused("currency_mismatch")
            return account
        user_id, wanted = (party.user_id, party.currency) if isinstance(party, UserCurrency) else (party, None)
        owned = [account for account in self.accounts.values() if account.user_id == user_id]
        if not owned:
            raise Refused("user_not_found")
        owned = [account for account in owned if wanted in (None, account.currency)]
        if not owned:
            raise Refused("account_not_found")
        return owned[0]

    def recorded(self, order_id: str) -> PlainOrder:
        if order_id not in self.orders:
            raise Refused("order_not_found")
        return self.orders[order_id]

    def held(self, account: PlainAccount) -> Decimal:
        return sum((hold.left(self.now) for hold in self.holds.values() if hold.payer is account), NOTHING)

    def decline(self, order: PlainOrder, reason: str | None) -> None:
        order.reason, order.entries, order.held = reason, len(order.told.entries), self.held(order.told)

    def available(self, account: PlainAccount) -> Decimal:
        return account.balance - self.held(account) - account.floor

    def refunded(self, order_id: str) -> Decimal:
        return sum(
            (
                order.amount
                for order in self.orders.values()
                if isinstance(order.command, Refund)
                and order.command.original_order_id == order_id
                and order.reason is None
            ),
            NOTHING,
        )


def unit(currency: str) -> Decimal:
    """Return the currency's smallest unit."""
    return Decimal(1).scaleb(-DECIMALS[currency])


def largest_balance(currency: str) -> Decimal:
    """Return the most that the database can store."""
    return (2**63 - 1) * unit(currency)


def value(amount: Amount) -> Decimal:
    return Decimal(amount.digits).scaleb(-amount.decimals)


def checked(amount: Amount, currency: str) -> Decimal:
    """Return the amount. Raises Refused if the currency has no such amount, or if it is too large."""
    most = Decimal("999999999999.99") if currency == "CNY" else 999999999999999 * unit(currency)
    if amount.decimals > DECIMALS[currency] or value(amount) > most:
        raise Refused("invalid_request")
    return value(amount)
