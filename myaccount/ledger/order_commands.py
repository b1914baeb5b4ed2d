"""The commands of orders.

An order moves money, or reserves it. Its fields are those that the client sent; None means not sent. What is sent
with a used order id is compared with them.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, Final, Self

from .makers import Maker
from .money import Amount
from .references import AccountsOf, Party, Reference

DEFAULT_HOLD: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class _Order:
    # How many orders a command counts as.
    weight: ClassVar[int] = 1

    order_id: str
    # Of the books of somebody else.
    reference: str | None = field(default=None, kw_only=True)
    note: str | None = field(default=None, kw_only=True)
    # The bulk that the order came in. It is no part of the order's content.
    bulk_id: str | None = field(default=None, kw_only=True)
    # Nor is who sends it. None in an open service.
    maker: Maker | None = field(default=None, kw_only=True, compare=False)

    @property
    def target(self) -> str | None:
        """The id of the earlier order that this one is about."""
        return None

    @property
    def uses_outside(self) -> bool:
        """Whether one side of it is the outside world."""
        return False

    @property
    def parts(self) -> tuple[Self, ...]:
        """The orders that the command consists of."""
        return (self,)


@dataclass(frozen=True, slots=True)
class Recharge(_Order):
    """Move the amount from the outside world to the payee."""

    order_type: ClassVar[str] = "01"

    payee: Party
    amount: Amount
    currency: str | None = field(default=None, kw_only=True)

    @property
    def uses_outside(self) -> bool:
        return True

    @property
    def references(self) -> tuple[Reference, ...]:
        return (self.payee,)


@dataclass(frozen=True, slots=True)
class Transfer(_Order):
    """Move the amount from the payer to the payee."""

    order_type: ClassVar[str] = "02"

    payer: Party
    payee: Party
    amount: Amount
    currency: str | None = field(default=None, kw_only=True)

    @property
    def references(self) -> tuple[Reference, ...]:
        return (self.payer, self.payee)


@dataclass(frozen=True, slots=True)
class Withdraw(_Order):
    """Move the amount from the payer to the outside world."""

    order_type: ClassVar[str] = "03"

    payer: Party
    amount: Amount
    currency: str | None = field(default=None, kw_only=True)

    @property
    def uses_outside(self) -> bool:
        return True

    @property
    def references(self) -> tuple[Reference, ...]:
        return (self.payer,)


@dataclass(frozen=True, slots=True)
class Refund(_Order):
    """Move the amount back from the payee of an order to its payer; without an amount, all that is left of it."""

    order_type: ClassVar[str] = "04"

    original_order_id: str
    amount: Amount | None = None

    @property
    def target(self) -> str:
        return self.original_order_id

    @property
    def references(self) -> tuple[Reference, ...]:
        return (AccountsOf(self.original_order_id),)


@dataclass(frozen=True, slots=True)
class Hold(_Order):
    """Reserve the amount of the payer's balance for the payee; without a payee, for the outside world."""

    order_type: ClassVar[str] = "05"

    payer: Party
    payee: Party | None
    amount: Amount
    expires_in: timedelta | None = None
    currency: str | None = field(default=None, kw_only=True)

    @property
    def uses_outside(self) -> bool:
        return self.payee is None

    @property
    def references(self) -> tuple[Reference, ...]:
        return (self.payer,) if self.payee is None else (self.payer, self.payee)


@dataclass(frozen=True, slots=True)
class _AboutHold(_Order):
    hold_order_id: str

    @property
    def target(self) -> str:
        return self.hold_order_id

    @property
    def references(self) -> tuple[Reference, ...]:
        return (AccountsOf(self.hold_order_id),)


@dataclass(frozen=True, slots=True)
class Capture(_AboutHold):
    """Move the amount of a hold to its payee; without an amount, all that is left.

    `final` releases the rest. None means only if there is no amount.
    """

    order_type: ClassVar[str] = "06"

    amount: Amount | None = None
    final: bool | None = None


@dataclass(frozen=True, slots=True)
class Release(_AboutHold):
    """End a hold: what is left of it is available again."""

    order_type: ClassVar[str] = "07"


@dataclass(frozen=True, slots=True)
class Extend(_AboutHold):
    """Let a hold end this long from now."""

    order_type: ClassVar[str] = "08"

    expires_in: timedelta


OrderCommand = Recharge | Transfer | Withdraw | Refund | Hold | Capture | Release | Extend


@dataclass(frozen=True, slots=True)
class NoOrder:
    """A command that consists of no orders."""

    weight: ClassVar[int] = 1
    parts: ClassVar[tuple[OrderCommand, ...]] = ()
    uses_outside: ClassVar[bool] = False
