"""What clients ask for, in the imperative, checked as far as that goes without looking at an account."""

from dataclasses import dataclass
from typing import ClassVar, Final

# The party that stands for everything outside the ledger: where a recharge comes from. No user id is empty.
OUTSIDE_WORLD: Final = ""


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """Make a user and the user's first account, with nothing in it."""

    user_id: str
    user_name: str
    sex: str
    card_num: str
    account_id: str
    account_type: str
    # Whose members are told of what the account's money does.
    team_id: str | None = None


@dataclass(frozen=True, slots=True)
class Recharge:
    """Take `amount` (smallest unit) from the outside world and give it to the user."""

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
    """Take `amount` (smallest unit) from one user and give it to another."""

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


# What moves money: everything the journal takes.
Command = Recharge | Transfer
