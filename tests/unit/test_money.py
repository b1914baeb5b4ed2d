"""Amounts are exact (promise 6)."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myaccount.ledger.currencies import CNY, CURRENCIES, Currency
from myaccount.ledger.money import MAX_AMOUNT, MAX_CNY_AMOUNT, Amount, format_amount, largest_amount, parse_amount

YEN, DINAR, UNIT = CURRENCIES["JPY"], CURRENCIES["KWD"], CURRENCIES["CLF"]
currencies = st.sampled_from([CNY, YEN, DINAR, UNIT])


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1", Amount(1)),
        ("0.01", Amount(1, 2)),
        ("1.50", Amount(150, 2)),
        ("007", Amount(7)),
        ("0.0001", Amount(1, 4)),
        ("999999999999999", Amount(MAX_AMOUNT)),
    ],
)
def test_an_amount_is_read_as_it_was_written(text: str, amount: Amount) -> None:
    assert parse_amount(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0.00",
        "0.00001",
        "1.",
        ".1",
        " 1",
        "1\n",
        "+1",
        "-1",
        "1000000000000000",
        "１２",
        "1e2",
        "1_000",
        "NaN",
    ],
)
def test_the_error_for_other_text_says_what_is_valid(text: str) -> None:
    with pytest.raises(ValueError, match="must be an amount above zero: digits, and a point"):
        parse_amount(text)


@pytest.mark.parametrize(
    ("text", "currency", "units"),
    [
        ("100", YEN, 100),
        ("1.00", CNY, 100),
        ("0.1", CNY, 10),
        ("1", DINAR, 1000),
        ("1.5", DINAR, 1500),
        ("0.0001", UNIT, 1),
        ("999999999999.99", CNY, MAX_CNY_AMOUNT),
        ("999999999999999", YEN, MAX_AMOUNT),
        ("999999999999.999", DINAR, MAX_AMOUNT),
    ],
)
def test_an_amount_is_so_many_smallest_units(text: str, currency: Currency, units: int) -> None:
    assert parse_amount(text).units(currency) == units


@pytest.mark.parametrize(
    ("text", "currency", "valid"),
    [
        ("1.5", YEN, r"at most 999999999999999 JPY: digits, without a point"),
        ("1.0", YEN, r"without a point"),
        ("1.005", CNY, r"at most 999999999999\.99 CNY: digits, and a point with at most 2 decimals"),
        ("1.000", CNY, r"at most 2 decimals"),
        ("1000000000000", CNY, r"at most 999999999999\.99 CNY"),
        ("1000000000000.0", CNY, r"at most 999999999999\.99 CNY"),
        ("1000000000000", DINAR, r"at most 999999999999\.999 KWD.* at most 3 decimals"),
        ("1.0001", DINAR, r"at most 3 decimals"),
        ("100000000000", UNIT, r"at most 99999999999\.9999 CLF"),
    ],
)
def test_an_amount_that_the_currency_has_not_says_what_is_valid(text: str, currency: Currency, valid: str) -> None:
    with pytest.raises(ValueError, match=valid):
        parse_amount(text).units(currency)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (100, YEN, "100"),
        (-1, YEN, "-1"),
        (1000, DINAR, "1.000"),
        (-5, DINAR, "-0.005"),
        (0, CNY, "0.00"),
        (-50, CNY, "-0.50"),
    ],
)
def test_an_amount_is_written_with_the_currencys_decimals(amount: int, currency: Currency, text: str) -> None:
    assert format_amount(amount, currency) == text


@pytest.mark.parametrize(
    ("spellings", "text"),
    [
        (("1", "1.0", "1.00", "01"), "1"),
        (("0.50", "0.5"), "0.5"),
        (("100", "100.00"), "100"),
        (("10.01",), "10.01"),
    ],
)
def test_spellings_of_one_amount_have_one_text(spellings: tuple[str, ...], text: str) -> None:
    assert {parse_amount(spelling).text for spelling in spellings} == {text}


@given(currencies, st.data())
def test_a_formatted_amount_is_parsed_to_the_same_amount(currency: Currency, data: st.DataObject) -> None:
    amount = data.draw(st.integers(1, largest_amount(currency)))
    assert parse_amount(format_amount(amount, currency)).units(currency) == amount
    assert Decimal(format_amount(amount, currency)) == Decimal(amount).scaleb(-currency.decimals)


@given(st.text(alphabet="0123456789.-+eE_ \n１", max_size=20), currencies)
def test_a_parsed_amount_is_exactly_that_of_the_text(text: str, currency: Currency) -> None:
    try:
        amount = parse_amount(text)
    except ValueError:
        return
    assert Decimal(text) == Decimal(amount.digits).scaleb(-amount.decimals) == Decimal(amount.text) > 0
    try:
        units = amount.units(currency)
    except ValueError:
        assert amount.decimals > currency.decimals or Decimal(text).scaleb(currency.decimals) > largest_amount(
            currency
        )
        return
    assert Decimal(text).scaleb(currency.decimals) == units <= largest_amount(currency)
