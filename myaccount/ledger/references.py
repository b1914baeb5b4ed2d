"""How an order names an account. The account itself is looked up later.

A user id alone, as text, means the account that the user opened first.
"""

from typing import Final, NamedTuple

# The party that stands for everything outside the ledger: the payer of a recharge. No user id is empty.
OUTSIDE_WORLD: Final = ""


class UserCurrency(NamedTuple):
    """The account in this currency that the user opened first."""

    user_id: str
    currency: str


class AccountId(NamedTuple):
    """The account with this id."""

    account_id: str


class OutsideOf(NamedTuple):
    """The account that stands for everything outside the ledger in this currency."""

    currency: str


class AccountsOf(NamedTuple):
    """Both accounts of an order that was posted or declined before."""

    order_id: str


# How a client names an account.
Party = str | UserCurrency | AccountId
# All that a batch looks up.
Reference = Party | OutsideOf | AccountsOf
