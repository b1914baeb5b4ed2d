"""Why the money rules refuse an order."""

from ..errors import RequestError


class SameAccount(RequestError):
    """Payer and payee are one account."""

    code = "same_account"


class InsufficientFunds(RequestError):
    """The payer's balance does not cover the amount."""

    code = "insufficient_funds"


class BalanceTooLarge(RequestError):
    """The balance would be larger than an account can hold."""

    code = "balance_too_large"


class OrderMismatch(RequestError):
    """The order id was used before with other content."""

    code = "order_mismatch"
