"""Amounts and texts as replies have them."""

from ..ledger.currencies import CURRENCIES
from ..ledger.money import format_amount
from ..replies import json_text


def money_text(units: int, currency: str) -> str:
    """Return an amount in the currency's smallest unit as text, with the currency's decimals."""
    return format_amount(units, CURRENCIES[currency])


def quoted(text: str | None) -> str:
    """Return the text as JSON."""
    return "null" if text is None else json_text(text)
