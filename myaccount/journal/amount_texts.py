"""Amounts in the sentences of the verification."""

from ..ledger.currencies import CURRENCIES, Currency
from ..ledger.money import format_amount


def amount_text(amount: int, code: str | None) -> str:
    """Return the amount with its currency's decimals; in the smallest unit, if the currency is not known."""
    return format_amount(amount, CURRENCIES.get(code or "", Currency("", 0)))
