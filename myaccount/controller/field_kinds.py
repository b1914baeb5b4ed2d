"""The kinds of fields: which values each accepts, and what the pages check before they send one."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from ..ledger.currencies import CURRENCIES
from ..ledger.money import Amount, parse_amount
from ..ledger.references import AccountId
from .body import JsonNumber
from .characters import check_id, check_name, check_text

TEXT_LIMIT: Final = 45
# Nearly all ids match this. The others are checked character by character, which is slower.
_PLAIN_ID: Final = re.compile(rf"[!-~]{{1,{TEXT_LIMIT}}}")
# Visible ASCII but for %, & and +: what a form may send without escapes, and means as it stands.
UNESCAPED: Final = "[!-$'-*,-~]"
_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{5,8}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})")
_ZERO: Final = re.compile(r"0(?:\.0{1,4})?")


class PageRule(NamedTuple):
    """A field's attributes in a form: HTML's pattern, the keyboard, and the text that explains the pattern."""

    pattern: str
    keyboard: str
    explanation: str
    length: int = TEXT_LIMIT


class Kind(NamedTuple):
    """A kind of field. A form sends text; JSON may send text or a value of `json_type`.

    `parse` returns the field's value, or raises ValueError with what is wrong, such as "must not be empty". For a
    value of another type, `must_be` is the text of the error. A page offers the `choices`, or an input with the
    `rule`; a kind without either is on no page. `parse` returns what matches the pattern `plain` as it is.
    """

    parse: Callable[[Any], Any]
    json_type: type = str
    must_be: str = "must be text"
    rule: PageRule | None = None
    choices: Sequence[str] = ()
    plain: str = ""


def text(limit: int = TEXT_LIMIT, *, lines: bool = False) -> Kind:
    """Accept 1 to `limit` characters, in one line unless `lines` is true."""

    def parse(value: str) -> str:
        if len(value) > limit:
            raise ValueError(f"must be at most {limit} characters long")
        # Printable ASCII, as in nearly all names, needs no check of each character.
        if not value.isascii() or not value.isprintable() or not value or value.isspace():
            if lines:
                check_text(value, lines=True)
            else:
                check_name(value)
        return value

    # The pattern accepts the same characters as characters.py.
    return Kind(parse, rule=PageRule(r".*[^\s\p{M}\p{Cf}\p{DI}\u2800].*", "text", "必填 Required", limit))


def whole(least: int, most: int) -> Kind:
    """Accept a whole number in ASCII digits."""

    def parse(value: str) -> int:
        if re.fullmatch("[0-9]{1,19}", value) and least <= int(value) <= most:
            return int(value)
        raise ValueError(f"must be a whole number from {least} to {most}")

    return Kind(parse, JsonNumber, "must be a whole number")


def one_of(known: Sequence[str]) -> Kind:
    """Accept one of these values."""

    def parse(value: str) -> str:
        if value not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return value

    return Kind(parse, choices=known)


def _identifier(value: str) -> str:
    if not _PLAIN_ID.fullmatch(value):
        if len(value) > TEXT_LIMIT:
            raise ValueError(f"must be at most {TEXT_LIMIT} characters long")
        check_id(value)
    return value


def _identifiers(value: str | list[object]) -> list[str]:
    ids = value.split() if isinstance(value, str) else value
    return list(dict.fromkeys(_identifier(id_) if type(id_) is str else _refuse_item() for id_ in ids))


def _refuse_item() -> str:
    raise ValueError("must hold ids as text")


def _flag(value: str | bool) -> bool:
    if value not in ("true", "false", True, False):
        raise ValueError("must be true or false")
    return value in ("true", True)


def _currency(value: str) -> str:
    if value not in CURRENCIES:
        raise ValueError("must be the code of a currency in use, in capital letters, such as CNY (ISO 4217)")
    return value


def _floor(value: str) -> Amount | None:
    """Return how far below zero the balance may go, or None for a floor of zero."""
    if _ZERO.fullmatch(value):
        return None
    if value.startswith("-"):
        try:
            return parse_amount(value[1:])
        except ValueError:
            pass
    raise ValueError("must be 0, or a minus sign and an amount, such as -500.00")


def _moment(value: str) -> datetime:
    if _MOMENT.fullmatch(value):
        with suppress(ValueError, OverflowError):
            return datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None)
    raise ValueError("must be a time with Z or an offset, such as 2026-01-02T03:04:05Z (ISO 8601)")


_seconds: Final = whole(1, 31_536_000)


def _duration(value: str) -> timedelta:
    return timedelta(seconds=_seconds.parse(value))


# 1 to 45 visible characters without white space. Ids are compared exactly.
IDENTIFIER: Final = Kind(
    _identifier,
    rule=PageRule(
        r"[^\s\p{C}\p{DI}\u2800]+", "text", "不能有空白或不可见字符 No white space or invisible characters"
    ),
    plain=f"{UNESCAPED}{{1,{TEXT_LIMIT}}}",
)
# The id of an account that an order or a change is about.
ACCOUNT: Final = IDENTIFIER._replace(parse=lambda value: AccountId(_identifier(value)), plain="")
# A list of ids: text with white space between them, or a JSON array. Repeated ids count once.
IDENTIFIERS: Final = Kind(_identifiers, list, "must be ids: an array, or with white space between them")
FLAG: Final = Kind(_flag, bool, "must be true or false")
# Above zero. How many decimals are valid depends on the currency, and so on the account.
AMOUNT: Final = Kind(
    parse_amount,
    JsonNumber,
    "must be an amount",
    PageRule(
        r"[0-9]{1,15}(\.[0-9]{1,4})?",
        "decimal",
        "数字，小数位数不超过币种的小数位数 Digits, with at most the currency's decimals",
    ),
)
CURRENCY: Final = Kind(_currency)
FLOOR: Final = Kind(
    _floor,
    JsonNumber,
    "must be 0, or a minus sign and an amount",
    PageRule(
        r"0(\.0{1,4})?|-[0-9]{1,15}(\.[0-9]{1,4})?", "text", "0，或负号加金额 0, or a minus sign and an amount"
    ),
)
# In UTC.
MOMENT: Final = Kind(_moment)
# Whole seconds, up to a year.
DURATION: Final = Kind(
    _duration,
    JsonNumber,
    _seconds.must_be,
    PageRule("[0-9]{1,8}", "numeric", "1 至 31536000 秒 1 to 31536000 seconds"),
)
