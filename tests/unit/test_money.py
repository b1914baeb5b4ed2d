"""Amounts are exact (promise 6)."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myaccount.ledger.money import CNY, MAX_AMOUNT, Currency, format_amount, parse_amount

YEN = Currency("JPY", 0)
DINAR = Currency("KWD", 3)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("1", 100), ("0.01", 1), ("0.1", 10), ("1.50", 150), ("007", 700), ("999999999999.99", MAX_AMOUNT)],
)
def test_an_amount_is_read_in_the_smallest_unit(text: str, amount: int) -> None:
    assert parse_amount(text) == amount


@pytest.mark.parametrize(
    "text", ["", "0", "0.00", "0.001", "1.", ".1", " 1", "1\n", "1000000000000", "１２", "1e2"]
)
def test_the_error_for_other_text_says_what_is_valid(text: str) -> None:
    with pytest.raises(ValueError, match=r"at most 999999999999\.99.* at most 2 decimals"):
        parse_amount(text)


def test_the_currency_sets_the_number_of_decimals() -> None:
    assert parse_amount("12", YEN) == 12
    assert format_amount(-5, DINAR) == "-0.005"
    with pytest.raises(ValueError, match="at most 0 decimals"):
        parse_amount("1.5", YEN)


@given(st.integers(1, MAX_AMOUNT))
def test_a_formatted_amount_is_parsed_to_the_same_amount(amount: int) -> None:
    assert parse_amount(format_amount(amount)) == amount
    assert Decimal(format_amount(amount)) == Decimal(amount).scaleb(-CNY.decimals)


@given(st.text(alphabet="0123456789.-+eE_ \n１", max_size=20))
def test_a_parsed_amount_is_exactly_that_of_the_text(text: str) -> None:
    try:
        amount = parse_amount(text)
    except ValueError:
        return
    assert Decimal(text).scaleb(CNY.decimals) == amount > 0
