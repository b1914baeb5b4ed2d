"""Why the money rules refuse an order, and why they decline one.

What can never be different is refused: nothing is recorded, and the order id stays free. What depends on a state
that changes is declined: the order is recorded, and its outcome is final. `field` of these errors is the name of a
command's attribute, such as `payer`.
"""

from typing import Final

from ..errors import RequestError


class SameAccount(RequestError):
    """Payer and payee are one account."""

    code = "same_account"


class AccountNotFound(RequestError):
    """There is no such account."""

    code = "account_not_found"


class CurrencyMismatch(RequestError):
    """The currencies differ."""

    code = "currency_mismatch"


class NotRefundable(RequestError):
    """An order of this kind, or a declined one, cannot be refunded."""

    code = "not_refundable"


class NotAHold(RequestError):
    """The order is not a hold, or a declined one."""

    code = "not_a_hold"


class OrderMismatch(RequestError):
    """The order id was used before with other content."""

    code = "order_mismatch"


class AccountInUse(RequestError):
    """The account has a balance or a hold."""

    code = "account_in_use"


class LimitInUse(RequestError):
    """The available balance would be below the limit."""

    code = "limit_in_use"


class Decline(RequestError):
    """The order is recorded as declined."""


class InsufficientFunds(Decline):
    """The payer's balance does not cover the amount."""

    code = "insufficient_funds"


class BalanceTooLarge(Decline):
    """The balance would be larger than an account can hold."""

    code = "balance_too_large"


class AccountFrozen(Decline):
    """The account is frozen."""

    code = "account_frozen"


class AccountClosed(Decline):
    """The account is closed."""

    code = "account_closed"


class HoldExpired(Decline):
    """The hold has expired."""

    code = "hold_expired"


class HoldEnded(Decline):
    """The hold was captured or released."""

    code = "hold_ended"


class CaptureExceedsHold(Decline):
    """The amount is more than what is left of the hold."""

    code = "capture_exceeds_hold"


class RefundExceedsOrder(Decline):
    """The amount is more than what is left to refund."""

    code = "refund_exceeds_order"


class BulkDeclined(Decline):
    """Another order of the atomic bulk was declined."""

    code = "bulk_declined"


# A declined order's error is made from its row alone, so that a replay returns the same.
_DECLINES: Final[dict[str, tuple[type[Decline], str, str | None]]] = {
    kind.code: (kind, f"{detail} No money moved.", field)
    for kind, detail, field in (
        (InsufficientFunds, "The payer's available balance does not cover the amount.", "amount"),
        (BalanceTooLarge, "A balance would be more than an account can hold.", "amount"),
        (AccountFrozen, "The payer's or the payee's account is frozen.", None),
        (AccountClosed, "The payer's or the payee's account is closed.", None),
        (HoldExpired, "The hold has expired.", "hold_order_id"),
        (HoldEnded, "The hold was captured or released already.", "hold_order_id"),
        (CaptureExceedsHold, "The amount is more than what is left of the hold.", "amount"),
        (RefundExceedsOrder, "The amount is more than what is left of the order to refund.", "amount"),
        (BulkDeclined, "Another order of this atomic bulk was declined.", None),
    )
}


def decline_error(reason: str | None) -> Decline | None:
    """Return the error of an order that was declined for this reason, or None for an order that was not."""
    if reason is None:
        return None
    kind, detail, field = _DECLINES[reason]
    return kind(detail, field=field)
