"""Commands: what clients want done. Their fields are valid; accounts have not been looked at yet."""

from dataclasses import dataclass, field
from typing import ClassVar

from .account_commands import AccountCommand, Opening
from .fingerprints import bulk_fingerprint
from .order_commands import NoOrder, OrderCommand
from .references import Reference


@dataclass(frozen=True, slots=True)
class _Bulk:
    atomic: ClassVar[bool]

    bulk_id: str
    orders: tuple[OrderCommand, ...]
    # Made with the command: while it is decided, other batches wait for its accounts.
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", bulk_fingerprint(self.orders, atomic=self.atomic))


@dataclass(frozen=True, slots=True)
class AtomicBulk(_Bulk):
    """Decide all orders, in order, or none."""

    atomic = True

    @property
    def weight(self) -> int:
        return len(self.orders)

    @property
    def parts(self) -> tuple[OrderCommand, ...]:
        return self.orders

    @property
    def uses_outside(self) -> bool:
        return any(order.uses_outside for order in self.orders)

    @property
    def references(self) -> tuple[Reference, ...]:
        return tuple(reference for order in self.orders for reference in order.references)


@dataclass(frozen=True, slots=True)
class NameBulk(_Bulk, NoOrder):
    """Take the bulk id for these orders, which are then sent one by one."""

    atomic = False
    references: ClassVar[tuple[Reference, ...]] = ()


# What changes accounts that are there.
MoneyCommand = OrderCommand | AccountCommand | AtomicBulk | NameBulk
# What the journal decides.
Command = MoneyCommand | Opening
