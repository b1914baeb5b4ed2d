"""The fields of a change in JSON, as both messages and callbacks have them."""

from typing import Final

from .changes import (
    ACCOUNT_CLOSED,
    ACCOUNT_FROZEN,
    CAPTURE,
    DECLINE,
    HOLD,
    HOLD_ENDS,
    HOLD_EXTENDED,
    LIMIT_CHANGED,
    REFUND,
    Change,
)
from .currencies import CURRENCIES
from .money import format_amount

_SETTINGS: Final = {ACCOUNT_FROZEN: "frozen", ACCOUNT_CLOSED: "status", LIMIT_CHANGED: "floor"}
_OF_HOLDS: Final = frozenset((HOLD, CAPTURE, HOLD_EXTENDED, *HOLD_ENDS))


def account_fields(change: Change) -> dict[str, object]:
    """Return the fields of an account that was opened or added, or of a change of its settings."""
    fields: dict[str, object] = {
        "accountId": change.source_id,
        "currency": change.currency,
        "entry": change.to_entry or 0,
    }
    setting = _SETTINGS.get(change.change_type)
    if setting is not None:
        currency = CURRENCIES[change.currency]
        value = format_amount(change.value, currency) if isinstance(change.value, int) else change.value
        fields |= {
            "balance": format_amount(change.to_balance, currency),
            setting: value,
            "reason": change.reason,
        }
    return fields


def order_details(change: Change) -> dict[str, object]:
    """Return the fields of an order's change that a plain transfer does not have."""
    details: dict[str, object] = {}
    if change.change_type == DECLINE:
        details["reason"] = change.reason
        if change.order_name is not None:
            details["orderName"] = change.order_name
    if change.target is not None:
        details[_target_field(change)] = change.target
    if change.expires_at is not None:
        details["expiresAt"] = change.expires_at
    if change.note is not None:
        details["note"] = change.note
    if change.reference is not None:
        details["reference"] = change.reference
    return details


def held_amount(change: Change) -> dict[str, object]:
    """Return how much of the payer's balance is held. Without a hold, only changes of holds say so."""
    if change.held or change.change_type in _OF_HOLDS:
        return {"held": format_amount(change.held or 0, CURRENCIES[change.currency])}
    return {}


def _target_field(change: Change) -> str:
    if change.change_type in HOLD_ENDS:
        return "endedByOrderId"
    return "originalOrderId" if change.order_name == REFUND else "holdOrderId"
