"""The kinds of fields: which values each takes, and what the browser's pages check before they send one."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from ..ledger.money import parse_amount
from .body import JsonNumber
from .characters import check_id, check_name, check_text

TEXT_LIMIT: Final = 45
# Nearly all ids; the others are looked at character by character.
_PLAIN_ID: Final = re.compile(rf"[!-~]{{1,{TEXT_LIMIT}}}")


class PageRule(NamedTuple):
    """What a page's input says of a field: HTML's pattern and keyboard, and the reason that it shows."""

    pattern: str
    keyboard: str
    explanation: str
    length: int = TEXT_LIMIT


class Kind(NamedTuple):
    """What a field must be. A form has text only; a JSON object may have a value of `json_type` as well.

    `parse` returns the field's value, or raises ValueError saying what it must be; so does a value of any other
    type, in the words of `must_be`. Without a `rule` no page asks for the field.
    """

    parse: Callable[[Any], Any]
    json_type: type = str
    must_be: str = "must be text"
    rule: PageRule | None = None


def text(limit: int = TEXT_LIMIT, *, lines: bool = False) -> Kind:
    """Take 1 to `limit` characters of text, on one line unless it may have several."""

    def parse(value: str) -> str:
        if len(value) > limit:
            raise ValueError(f"must be at most {limit} characters long")
        # Without a look at each character for nearly all names.
        if not value.isascii() or not value.isprintable() or not value or value.isspace():
            if lines:
                check_text(value, lines=True)
            else:
                check_name(value)
        return value

    # The pages' patterns take the same characters as characters.py.
    return Kind(parse, rule=PageRule(r".*[^\s\p{M}\p{Cf}\p{DI}\u2800].*", "text", "必填 Required", limit))


def whole(least: int, most: int) -> Kind:
    """Take a whole number in digits."""

    def parse(value: str) -> int:
        if re.fullmatch("[0-9]{1,19}", value) and least <= int(value) <= most:
            return int(value)
        raise ValueError(f"must be a whole number from {least} to {most}")

    return Kind(parse, JsonNumber, "must be a whole number")


def one_of(known: Sequence[str]) -> Kind:
    """Take one of the known words."""

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


# 1 to 45 characters that can be seen, with no white space among them; they are compared exactly.
IDENTIFIER: Final = Kind(
    _identifier,
    rule=PageRule(
        r"[^\s\p{C}\p{DI}\u2800]+", "text", "不能有空白或不可见字符 No white space or invisible characters"
    ),
)
# Several, with white space between them, or a JSON array; each once.
IDENTIFIERS: Final = Kind(_identifiers, list, "must be ids: an array, or with white space between them")
FLAG: Final = Kind(_flag, bool, "must be true or false")
AMOUNT: Final = Kind(
    parse_amount,
    JsonNumber,
    rule=PageRule(r"[0-9]{1,12}(\.[0-9]{1,2})?", "decimal", "数字，最多两位小数 Digits, at most two decimals"),
)
