"""What each route's fields must be, and the command they make."""

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, Final, Generic, NamedTuple, TypeVar

from aiohttp import web

from ..errors import InvalidRequest
from ..ledger.money import parse_amount
from .body import JsonNumber, read_fields, read_query, shown
from .characters import check_id, check_name, check_text

Made = TypeVar("Made")

TEXT_LIMIT: Final = 45
# Nearly all ids; the others are looked at character by character.
_PLAIN_ID: Final = re.compile(rf"[!-~]{{1,{TEXT_LIMIT}}}")


class Check(NamedTuple):
    """What a field must be. A form has text only; a JSON object may have a value of `json_type` as well.

    `parse` returns the field's value, or raises ValueError saying what it must be; so does a value of any other
    type, in the words of `must_be`.
    """

    parse: Callable[[Any], Any]
    json_type: type = str
    must_be: str = "must be text"


class Optional(NamedTuple):
    """A field that may be left out, and its value then."""

    check: Check
    default: Any = None


def text(limit: int = TEXT_LIMIT, *, lines: bool = False) -> Check:
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

    return Check(parse)


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


def whole(least: int, most: int) -> Check:
    """Take a whole number in digits."""

    def parse(value: str) -> int:
        if re.fullmatch("[0-9]{1,19}", value) and least <= int(value) <= most:
            return int(value)
        raise ValueError(f"must be a whole number from {least} to {most}")

    return Check(parse, JsonNumber, "must be a whole number")


def one_of(known: Sequence[str]) -> Check:
    """Accept one of the known words."""

    def parse(value: str) -> str:
        if value not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return value

    return Check(parse)


# 1 to 45 characters that can be seen, with no white space among them; they are compared exactly.
identifier: Final = Check(_identifier)
# Several, with white space between them, or a JSON array; each once.
identifiers: Final = Check(_identifiers, list, "must be ids: an array, or with white space between them")
flag: Final = Check(_flag, bool, "must be true or false")
amount: Final = Check(parse_amount, JsonNumber, "must be text")


class Form(Generic[Made]):
    """A route's fields, by their names on the wire, in the order of what they make."""

    def __init__(self, make: Callable[..., Made], /, **fields: Check | Optional) -> None:
        self._make = make
        self._checks = {
            name: field.check if isinstance(field, Optional) else field for name, field in fields.items()
        }
        self._defaults = {name: field.default for name, field in fields.items() if isinstance(field, Optional)}

    async def read(self, request: web.Request) -> Made:
        """Return what the request's fields make: those of its body or, if it is a GET, of its query.

        Raises InvalidRequest, naming the field at fault.
        """
        fields = await read_fields(request) if request.method == "POST" else read_query(request)
        if fields.keys() != self._checks.keys():
            self._see_that_they_fit(fields)
        return self._make(
            *[
                _checked(name, check, fields[name]) if name in fields else self._defaults[name]
                for name, check in self._checks.items()
            ]
        )

    def _see_that_they_fit(self, fields: dict[str, Any]) -> None:
        for name in fields:
            if name not in self._checks:
                field = shown(name)
                known = ", ".join(self._checks)
                raise InvalidRequest(
                    f"There is no field {field!r} here{self._nearest(field)} The fields are {known}.", field=field
                )
        for name in self._checks:
            if name not in fields and name not in self._defaults:
                raise InvalidRequest(f"The field {name} is missing.", field=name)

    def _nearest(self, name: str) -> str:
        known = {field.lower(): field for field in self._checks}
        found = get_close_matches(name.lower(), known, n=1)
        return f": did you mean {known[found[0]]}?" if found else "."


def _checked(name: str, check: Check, value: Any) -> Any:
    if type(value) is not str and type(value) is not check.json_type:
        raise InvalidRequest(f"The field {name} {check.must_be}.", field=name)
    try:
        return check.parse(value)
    except ValueError as error:
        raise InvalidRequest(f"The field {name} {error}.", field=name) from None
