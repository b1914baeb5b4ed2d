"""Amounts and texts as replies have them."""

import json
from typing import Final

from ..ledger.currencies import CURRENCIES
from ..ledger.money import format_amount

_encode: Final = json.JSONEncoder(ensure_ascii=False).encode


def money_text(units: int, currency: str) -> str:
    """Return an amount in the currency's smallest unit as text, with the currency's decimals."""
    return format_amount(units, CURRENCIES[currency])


def quoted(text: str | None) -> str:
    """Return the text as JSON."""
    return "null" if text is None else _encode(text)
