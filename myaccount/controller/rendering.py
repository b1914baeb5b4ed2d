"""Amounts and texts as replies have them."""

from json.encoder import encode_basestring

from ..ledger.currencies import CURRENCIES
from ..ledger.money import format_amount


def money_text(units: int, currency: str) -> str:
    """Return an amount in the currency's smallest unit as text, with the currency's decimals."""
    return format_amount(units, CURRENCIES[currency])


def quoted(text: str | None) -> str:
    """Return the text as JSON."""
    return "null" if text is None else encode_basestring(text)
