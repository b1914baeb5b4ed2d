"""The commands that open an account or change its settings."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal

from .makers import Doer
from .money import Amount
from .order_commands import NoOrder
from .references import AccountId, Reference, TeamRow, UserCurrency, UserRow

Frozen = Literal["none", "debits", "credits", "all"]


@dataclass(frozen=True, slots=True)
class _Opening(NoOrder):
    """`sent_at` becomes the time of the account. It is no part of the opening's content.

    If the answer of a commit is lost and the opening is decided again, it knows its own account by that time.
    """

    # None of an account that is there already.
    references: ClassVar[tuple[Reference, ...]] = ()

    sent_at: datetime = field(kw_only=True, compare=False)


@dataclass(frozen=True, slots=True)
class OpenAccount(_Opening):
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

    @property
    def made(self) -> set[Reference]:
        """What there is only once this is done, so that others wait for it."""
        user_id = self.user_id
        return {UserRow(user_id), user_id, UserCurrency(user_id, self.currency), AccountId(self.account_id)}

    @property
    def rows(self) -> set[Reference]:
        """The rows that must be locked for it."""
        return set() if self.team_id is None else {TeamRow(self.team_id)}


@dataclass(frozen=True, slots=True)
class AddAccount(_Opening):
    """Make a further account of a user."""

    user_id: str
    account_id: str
    account_type: str
    team_id: str | None = None
    currency: str = "CNY"

    @property
    def made(self) -> set[Reference]:
        """What there is only once this is done. Orders that name only the user mean an earlier account."""
        return {AccountId(self.account_id)}

    @property
    def rows(self) -> set[Reference]:
        """The rows that must be locked for it.

        One addition to a user at a time, so that the ids of the user's accounts are in the order of the commits:
        the account opened first is the one with the least id.
        """
        rows: set[Reference] = {UserRow(self.user_id)}
        return rows if self.team_id is None else {*rows, TeamRow(self.team_id)}


Opening = OpenAccount | AddAccount


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
