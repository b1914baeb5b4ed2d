"""Who makes orders, as far as the money rules care, and who makes changes, as the audit log has it."""

from collections.abc import Set
from typing import Final, NamedTuple

# The scopes of orders.
MONEY_IN: Final = "money:in"
MONEY_MOVE: Final = "money:move"
MONEY_OUT: Final = "money:out"


class Maker(NamedTuple):
    """The sender of an order. `id` has only letters, digits, dots, hyphens and underscores."""

    id: str
    scopes: Set[str]


class Doer(NamedTuple):
    """The sender of a change. In an open service, where senders have no names, `id` is the address.

    Both are empty for what no request caused.
    """

    kind: str
    id: str
    address: str = ""
    request_id: str = "-"

    @property
    def made_by(self) -> str | None:
        """What a change tells of who made it, as an order does. None if that is nobody in particular."""
        return None if self.kind == "nobody" else self.id
