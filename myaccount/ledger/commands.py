"""Commands: what clients want done. Their fields are valid; accounts have not been looked at yet."""

from dataclasses import dataclass
from typing import ClassVar, Final

# The party that stands for everything outside the ledger; it is the payer of a recharge. No user id is empty.
OUTSIDE_WORLD: Final = ""


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


@dataclass(frozen=True, slots=True)
class Recharge:
    """Move `amount`, in the smallest unit, from the outside world to the user."""

    order_type: ClassVar[str] = "01"
    payer_field: ClassVar[str | None] = None
    payee_field: ClassVar[str | None] = "userId"

    order_id: str
    user_id: str
    amount: int

    @property
    def payer(self) -> str:
        return OUTSIDE_WORLD

    @property
    def payee(self) -> str:
        return self.user_id


@dataclass(frozen=True, slots=True)
class Transfer:
    """Move `amount`, in the smallest unit, from one user to another."""

    order_type: ClassVar[str] = "02"
    payer_field: ClassVar[str | None] = "fromuserId"
    payee_field: ClassVar[str | None] = "touserId"

    order_id: str
    from_user_id: str
    to_user_id: str
    amount: int

    @property
    def payer(self) -> str:
        return self.from_user_id

    @property
    def payee(self) -> str:
        return self.to_user_id


# The commands that move money, which the journal settles.
Command = Recharge | Transfer
