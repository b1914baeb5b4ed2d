"""How an order names an account. The account itself is looked up later.

A user id alone, as text, means the account that the user opened first.
"""

from dataclasses import dataclass
from typing import Final

# The party that stands for everything outside the ledger: the payer of a recharge. No user id is empty.
OUTSIDE_WORLD: Final = ""


# No named tuples: AccountId("CNY") would be equal to OutsideOf("CNY"), and a client could name the outside world.
@dataclass(frozen=True, slots=True)
class UserCurrency:
    """The account in this currency that the user opened first."""

    user_id: str
    currency: str


@dataclass(frozen=True, slots=True)
class AccountId:
    """The account with this id."""

    account_id: str


@dataclass(frozen=True, slots=True)
class OutsideOf:
    """The account that stands for everything outside the ledger in this currency."""

    currency: str


@dataclass(frozen=True, slots=True)
class AccountsOf:
    """Both accounts of an order that was posted or declined before."""

    order_id: str


@dataclass(frozen=True, slots=True)
class OrdersOf:
    """The orders of a bulk, which are decided in their order."""

    bulk_id: str


@dataclass(frozen=True, slots=True)
class UserRow:
    """The user, to whom an account is added."""

    user_id: str


# What all openings wait for while another program has locked the whole table. No user id is empty.
EVERY_USER: Final = UserRow("")


@dataclass(frozen=True, slots=True)
class TeamRow:
    """The team, which is to watch an account."""

    team_id: str


# How a client names an account.
Party = str | UserCurrency | AccountId
# All that a batch looks up, and all that a command may have to wait for.
Reference = Party | OutsideOf | AccountsOf | OrdersOf | UserRow | TeamRow
