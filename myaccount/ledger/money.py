"""Amounts: integers in the currency's smallest unit inside, text outside, never a float (promise 6)."""

import re
from typing import Final, NamedTuple

from .currencies import CNY, Currency

# The wire contract's limit for one order, in the smallest unit of any currency.
MAX_AMOUNT: Final = 999_999_999_999_999
# 999,999,999,999.99: the demo's limit, which its clients know.
MAX_CNY_AMOUNT: Final = 99_999_999_999_999

# Both databases store balances as signed 64-bit integers.
MAX_BALANCE: Final = 2**63 - 1

# Decimal() and int() accept signs, exponents, underscores, other scripts' digits and a trailing newline. So the
# text is matched first. No currency has more than four decimals.
_AMOUNT: Final = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,4}))?")


class Amount(NamedTuple):
    """An amount as a client wrote it. Its smallest unit is known once the account and so the currency is."""

    digits: int
    decimals: int = 0

    def units(self, currency: Currency) -> int:
        """Return the amount in the currency's smallest unit, never rounded.

        Raises ValueError, which says what is valid, if it has too many decimals or is too large.
        """
        more = currency.decimals - self.decimals
        if more >= 0:
            units: int = self.digits * 10**more
            if units <= largest_amount(currency):
                return units
        raise ValueError(
            f"must be at most {format_amount(largest_amount(currency), currency)} {currency.code}: digits, "
            + (
                f"and a point with at most {currency.decimals} decimals"
                if currency.decimals
                else "without a point"
            )
        )

    @property
    def text(self) -> str:
        """The amount in one spelling: 1, 1.0 and 1.00 are the same amount."""
        whole, decimals = divmod(self.digits, 10**self.decimals)
        return f"{whole}.{decimals:0{self.decimals}}".rstrip("0").rstrip(".") if self.decimals else str(whole)


def parse_amount(text: str) -> Amount:
    """Return an amount above zero. Raises ValueError, which says what is valid, for any other text."""
    match = _AMOUNT.fullmatch(text)
    if match is not None:
        whole, decimals = match[1], match[2] or ""
        digits = int(whole + decimals)
        if digits:
            return Amount(digits, len(decimals))
    raise ValueError("must be an amount above zero: digits, and a point with at most the currency's decimals")


def largest_amount(currency: Currency) -> int:
    """Return the most that one order may move, in the smallest unit."""
    return MAX_CNY_AMOUNT if currency == CNY else MAX_AMOUNT


def format_amount(amount: int, currency: Currency = CNY) -> str:
    """Return the amount with exactly the currency's decimals, such as `-0.50` or, in yen, `100`."""
    decimals = currency.decimals
    if not decimals:
        return str(amount)
    text = str(amount).zfill(decimals + 1 + (amount < 0))
    return f"{text[:-decimals]}.{text[-decimals:]}"
