"""What can be refused, each named for what happened.

`code` is stable and for programs; the docstring is the title that people read; `field` names the input
at fault, as it is called on the wire, where there is one.
"""

from typing import ClassVar


class LedgerError(Exception):
    """The request was refused."""

    code: ClassVar[str]

    def __init__(self, detail: str, *, field: str | None = None, cause: str = "") -> None:
        super().__init__(detail)
        self.field = field
        # For the log, never for a client: what the detail says, or more.
        self.cause = cause or detail

    @property
    def title(self) -> str:
        return (self.__doc__ or "").partition("\n")[0]


class InvalidRequest(LedgerError):
    """The request is not valid."""

    code = "invalid_request"


class SameAccount(LedgerError):
    """Payer and payee are one account."""

    code = "same_account"


class UserNotFound(LedgerError):
    """There is no such user."""

    code = "user_not_found"


class TeamNotFound(LedgerError):
    """There is no such team."""

    code = "team_not_found"


class NotAMember(LedgerError):
    """The user is not a member of the team."""

    code = "not_a_member"


class OrderNotFound(LedgerError):
    """There is no such order."""

    code = "order_not_found"


class UserExists(LedgerError):
    """The user id is taken."""

    code = "user_exists"


class OpenedBefore(UserExists):
    """The user was opened before with the same fields."""


class AccountExists(LedgerError):
    """The account id is taken."""

    code = "account_exists"


class InsufficientFunds(LedgerError):
    """The payer's balance does not cover the amount."""

    code = "insufficient_funds"


class BalanceTooLarge(LedgerError):
    """The balance would be larger than an account can hold."""

    code = "balance_too_large"


class OrderMismatch(LedgerError):
    """The order id was used before with other content."""

    code = "order_mismatch"


class Overloaded(LedgerError):
    """More orders are waiting than the service takes on."""

    code = "overloaded"


class Unavailable(LedgerError):
    """The database cannot be reached or does not answer."""

    code = "unavailable"
