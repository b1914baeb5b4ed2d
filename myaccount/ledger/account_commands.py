"""The commands that open an account or change its settings."""

from dataclasses import dataclass, field
from typing import Literal

from .makers import Doer
from .money import Amount
from .order_commands import NoOrder
from .references import AccountId, Reference

Frozen = Literal["none", "debits", "credits", "all"]


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """Make a user and the user's first account, with a balance of zero."""

    user_id: str
    user_name: str
    sex: str
    card_num: str
    account_id: str
    account_type: str
    # Its members get a message for each change of the account.
    team_id: str | None = None
    currency: str = "CNY"


@dataclass(frozen=True, slots=True)
class AddAccount:
    """Make a further account of a user."""

    user_id: str
    account_id: str
    account_type: str
    team_id: str | None = None
    currency: str = "CNY"


@dataclass(frozen=True, slots=True)
class _ChangeOfAccount(NoOrder):
    """`change_id` is the id of this change in the account's log."""

    change_id: str
    account: AccountId
    # For the audit log. It is no part of the change's content.
    doer: Doer | None = field(default=None, kw_only=True, compare=False)

    @property
    def references(self) -> tuple[Reference, ...]:
        return (self.account,)


@dataclass(frozen=True, slots=True)
class Freeze(_ChangeOfAccount):
    """Forbid the account's debits, credits or both."""

    frozen: Frozen
    reason: str


@dataclass(frozen=True, slots=True)
class Close(_ChangeOfAccount):
    """Close the account for ever."""

    reason: str


@dataclass(frozen=True, slots=True)
class Limit(_ChangeOfAccount):
    """Set the least balance: zero or, as a credit, this amount below zero."""

    credit: Amount | None
    reason: str


AccountCommand = Freeze | Close | Limit
