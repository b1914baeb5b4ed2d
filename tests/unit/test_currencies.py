"""The table of currencies is ISO 4217's."""

from datetime import date

import iso4217

from myaccount.ledger.currencies import CURRENCIES

# The date of the maintenance agency's table that our own follows. A later one needs a look at both: accounts in a
# currency that is no longer in use keep it.
PUBLISHED = date(2026, 1, 1)


def test_the_currencies_are_those_of_iso_4217_with_their_decimals() -> None:
    assert iso4217.__published__ == PUBLISHED
    # Gold, the drawing right and the like have no smallest unit.
    published = {
        code: int(str(entry["CcyMnrUnts"]))
        for code, entry in iso4217.raw_table.items()
        if code is not None and entry["CcyMnrUnts"] != "N.A."
    }
    assert {code: currency.decimals for code, currency in CURRENCIES.items()} == published
    assert all(code == currency.code for code, currency in CURRENCIES.items())


def test_the_contracts_examples() -> None:
    decimals = {code: CURRENCIES[code].decimals for code in ("JPY", "CNY", "KWD", "CLF")}
    assert decimals == {"JPY": 0, "CNY": 2, "KWD": 3, "CLF": 4}
    assert not {"", "XAU", "XXX", "XTS", "cny", "RMB"} & CURRENCIES.keys()
