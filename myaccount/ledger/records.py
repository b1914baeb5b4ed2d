"""Accounts, orders and holds, as the database keeps them and as a batch changes them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple

from .account_commands import Frozen
from .makers import Doer

# The status of an order.
POSTED: Final = "posted"
DECLINED: Final = "declined"
# The status of a hold.
HELD: Final = "held"
CAPTURED: Final = "captured"
RELEASED: Final = "released"
EXPIRED: Final = "expired"
# The status of an account.
OPEN: Final = "open"
CLOSED: Final = "closed"


AccountSetting = Literal["frozen", "status", "floor"]
HoldStatus = Literal["held", "captured", "released", "expired"]


@dataclass(slots=True)
class Account:
    """An account. If `floor` is None, there is no lower limit of the balance: it is the outside world's."""

    id: int
    balance: int = 0
    floor: int | None = 0
    # The number of its last entry.
    last_entry: int = 0
    held: int = 0
    frozen: Frozen = "none"
    status: str = OPEN
    currency: str = "CNY"
    account_id: str = ""
    # None for the outside world.
    user_id: str | None = None
    # Whether a team watches it.
    watched: bool = False
    # The number of its last decline.
    last_decline: int = 0


class OpenedUser(NamedTuple):
    """A user as opened."""

    user_id: str
    user_name: str
    sex: str
    card_num: str
    created_at: datetime


class OpenedAccount(NamedTuple):
    """What an opening says of an account, which never changes. The user's first one has the user's time."""

    account_id: str
    account_type: str
    user_id: str | None
    team_id: str | None
    currency: str
    created_at: datetime


class Order(NamedTuple):
    """One row of the journal. A declined order moves nothing."""

    order_id: str
    order_type: str
    from_account: int
    to_account: int
    amount: int
    status: Literal["posted", "declined"] = "posted"
    reason: str | None = None
    # The id of its maker; None if an open service took it.
    made_by: str | None = None
    # None if the other columns tell the whole content.
    fingerprint: str | None = None
    # The order that a refund gives back, or the hold that a capture, a release or an extension is about.
    target: str | None = None
    bulk_id: str | None = None
    note: str | None = None
    reference: str | None = None
    # How much of it was given back.
    refunded: int = 0


class Entry(NamedTuple):
    """One side of an order that moved money: what it adds to the account, and the balance after it.

    The entries of an account are numbered from 1 without gaps.
    """

    account: int
    number: int
    order_id: str
    amount: int
    balance: int
    # How much of the payer's balance is held after it; None for nothing, and for the payee.
    held: int | None = None


class DeclineRow(NamedTuple):
    """A declined order of the payer's account or, if money comes from outside, of the payee's.

    The declines of an account are numbered from 1 without gaps. `entry` is its last entry by then, `balance` and
    `held` are what it had.
    """

    account: int
    number: int
    order_id: str
    entry: int
    balance: int
    # None for nothing.
    held: int | None = None


@dataclass(slots=True)
class HoldState:
    """What is left of a hold, and until when."""

    order_id: str
    payer: int
    payee: int
    remaining: int
    captured: int
    status: HoldStatus
    # UTC.
    expires_at: datetime


class Bulk(NamedTuple):
    """A bulk id that is taken, and for which content."""

    bulk_id: str
    fingerprint: str


class AccountChange(NamedTuple):
    """An entry of an account's log: what was set to which value, why, and by whom."""

    change_id: str
    account: int
    setting: AccountSetting
    value: str | int
    reason: str
    # The id of an API key, or an operator's name.
    made_by: str | None = None


class AuditRow(NamedTuple):
    """An entry of the audit log: who did what, about what."""

    doer: Doer
    what: str
    about_kind: str
    about: str
