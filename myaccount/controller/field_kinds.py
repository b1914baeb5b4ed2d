"""The kinds of fields: which values each accepts, and what the pages check before they send one."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from ..ledger.money import parse_amount
from .body import JsonNumber
from .characters import check_id, check_name, check_text

TEXT_LIMIT: Final = 45
# Nearly all ids match this. The others are checked character by character, which is slower.
_PLAIN_ID: Final = re.compile(rf"[!-~]{{1,{TEXT_LIMIT}}}")


class PageRule(NamedTuple):
    """A field's attributes in a form: HTML's pattern, the keyboard, and the text that explains the pattern."""

    pattern: str
    keyboard: str
    explanation: str
    length: int = TEXT_LIMIT


class Kind(NamedTuple):
    """A kind of field. A form sends text; JSON may send text or a value of `json_type`.

    `parse` returns the field's value, or raises ValueError with what is wrong, such as "must not be empty". For a
    value of another type, `must_be` is the text of the error. A kind without a `rule` has no input on any page.
    """

    parse: Callable[[Any], Any]
    json_type: type = str
    must_be: str = "must be text"
    rule: PageRule | None = None


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

    return Kind(parse)


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


# 1 to 45 visible characters without white space. Ids are compared exactly.
IDENTIFIER: Final = Kind(
    _identifier,
    rule=PageRule(
        r"[^\s\p{C}\p{DI}\u2800]+", "text", "不能有空白或不可见字符 No white space or invisible characters"
    ),
)
# A list of ids: text with white space between them, or a JSON array. Repeated ids count once.
IDENTIFIERS: Final = Kind(_identifiers, list, "must be ids: an array, or with white space between them")
FLAG: Final = Kind(_flag, bool, "must be true or false")
AMOUNT: Final = Kind(
    parse_amount,
    JsonNumber,
    rule=PageRule(r"[0-9]{1,12}(\.[0-9]{1,2})?", "decimal", "数字，最多两位小数 Digits, at most two decimals"),
)
