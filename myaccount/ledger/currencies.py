"""The currencies of ISO 4217 that are in use, with the number of decimals of their smallest units.

Source: the maintenance agency's list one, published on 2026-01-01. Codes without a smallest unit, such as gold's,
are left out. A test compares this table with the package iso4217.
"""

from typing import Final, NamedTuple


class Currency(NamedTuple):
    """A currency: its ISO 4217 code, and the number of decimals of its smallest unit."""

    code: str
    decimals: int


_CODES_BY_DECIMALS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE
        CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD
        HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK
        MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD
        RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH
        USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

CURRENCIES: Final = {
    code: Currency(code, decimals) for decimals, codes in _CODES_BY_DECIMALS.items() for code in codes.split()
}
CNY: Final = CURRENCIES["CNY"]
