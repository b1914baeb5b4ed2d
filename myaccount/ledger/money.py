"""Amounts: integers in the currency's smallest unit inside, text outside, never a float (promise 6)."""

import re
from typing import Final, NamedTuple


class Currency(NamedTuple):
    """A currency: its ISO 4217 code, and the number of decimals of its smallest unit."""

    code: str
    decimals: int


CNY: Final = Currency("CNY", 2)

# 999,999,999,999.99, the wire contract's limit for one order.
MAX_AMOUNT: Final = 99_999_999_999_999

# Both databases store balances as signed 64-bit integers.
MAX_BALANCE: Final = 2**63 - 1

# Decimal() and int() accept signs, exponents, underscores, other scripts' digits and a trailing newline. So the
# text is matched first.
_AMOUNT: Final = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,2}))?")


def parse_amount(text: str, currency: Currency = CNY) -> int:
    """Return the amount in the currency's smallest unit: at least 1, at most `MAX_AMOUNT`, never rounded.

    Raises ValueError, which says what is valid, for any other text.
    """
    match = _AMOUNT.fullmatch(text)
    if match is not None:
        whole, decimals = match[1], match[2] or ""
        if len(decimals) <= currency.decimals:
            amount = int(whole + decimals.ljust(currency.decimals, "0"))
            if 0 < amount <= MAX_AMOUNT:
                return amount
    raise ValueError(
        f"must be an amount above zero and at most {format_amount(MAX_AMOUNT, currency)}: digits, "
        f"and a point with at most {currency.decimals} decimals"
    )


def format_amount(amount: int, currency: Currency = CNY) -> str:
    """Return the amount with exactly the currency's decimals, such as `-0.50`."""
    sign = "-" if amount < 0 else ""
    whole, decimals = divmod(abs(amount), 10**currency.decimals)
    return f"{sign}{whole}.{decimals:0{currency.decimals}}"
