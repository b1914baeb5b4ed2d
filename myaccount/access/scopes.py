"""What a caller may be allowed to do: the scopes of API keys, and the roles of operators."""

from typing import Final

from ..ledger.makers import MONEY_IN, MONEY_MOVE, MONEY_OUT

# Whole card numbers. Without it a reply shows their last four characters.
CARDS: Final = "cards"
# What API keys may have.
SCOPES: Final = (
    "accounts:read",
    "accounts:open",
    "accounts:manage",
    "orders:read",
    MONEY_IN,
    MONEY_MOVE,
    MONEY_OUT,
    "messages:read",
    "messages:write",
    "tokens",
    CARDS,
    "operate",
    "admin",
)
# What a user's token has: reading what is the user's own. A route that takes it must look whose it is.
OWN: Final = "own"

_READER: Final = frozenset(("accounts:read", "orders:read", "messages:read"))
_OPERATOR: Final = _READER | {
    "accounts:open",
    "accounts:manage",
    MONEY_IN,
    MONEY_MOVE,
    MONEY_OUT,
    "messages:write",
    "operate",
}
# No operator sees whole card numbers, or makes tokens of users.
ROLES: Final = {"reader": _READER, "operator": _OPERATOR, "admin": _OPERATOR | {"admin"}}
