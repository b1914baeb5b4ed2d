"""Commands: what clients want done. Their fields are valid; accounts have not been looked at yet."""

from dataclasses import dataclass
from typing import ClassVar

from .account_commands import AccountCommand, Opening
from .order_commands import NoOrder, OrderCommand
from .references import Reference


@dataclass(frozen=True, slots=True)
class AtomicBulk:
    """Decide all orders, in order, or none."""

    bulk_id: str
    orders: tuple[OrderCommand, ...]

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
class NameBulk(NoOrder):
    """Take the bulk id for these orders, which are then sent one by one."""

    bulk_id: str
    orders: tuple[OrderCommand, ...]
    references: ClassVar[tuple[Reference, ...]] = ()


# What changes accounts that are there.
MoneyCommand = OrderCommand | AccountCommand | AtomicBulk | NameBulk
# What the journal decides.
Command = MoneyCommand | Opening
