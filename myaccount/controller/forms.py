"""What each route's fields must be, and the command they make."""

import re
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from aiohttp import web

from ..ledger.errors import InvalidRequest
from ..ledger.money import parse_amount
from .body import JsonNumber, read_fields, shown

Made = TypeVar("Made")
# Returns the field's value, or raises ValueError saying what it must be.
Check = Callable[[str], Any]

TEXT_LIMIT: Final = 45
_CONTROLS: Final = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
_CONTROL: Final = re.compile(f"[{_CONTROLS}]")
_IDENTIFIER: Final = re.compile(rf"[^\s{_CONTROLS}]{{1,{TEXT_LIMIT}}}")


def text(limit: int = TEXT_LIMIT) -> Check:
    """Take 1 to `limit` characters of text, on one line."""

    def check(value: str) -> str:
        if not value.strip():
            raise ValueError("must not be empty")
        if len(value) > limit:
            raise ValueError(f"must be at most {limit} characters long")
        if _CONTROL.search(value):
            raise ValueError("must not hold control characters")
        return value

    return check


_text: Final = text()


def identifier(value: str) -> str:
    """Take 1 to 45 characters with no white space among them; they are compared exactly."""
    if not _IDENTIFIER.fullmatch(value):
        # The same for all text, but for one thing.
        _text(value)
        raise ValueError("must not hold white space")
    return value


class Form(Generic[Made]):
    """A route's fields, by their names on the wire, in the order of what they make."""

    def __init__(self, make: Callable[..., Made], **checks: Check) -> None:
        self._make = make
        self._checks = checks

    async def read(self, request: web.Request) -> Made:
        """Return what the request's fields make. Raises InvalidRequest, naming the field at fault."""
        fields = await read_fields(request)
        if fields.keys() != self._checks.keys():
            raise self._misfit(fields)
        return self._make(*[_checked(name, check, fields[name]) for name, check in self._checks.items()])

    def _misfit(self, fields: dict[str, Any]) -> InvalidRequest:
        known = ", ".join(self._checks)
        for name in fields:
            if name not in self._checks:
                field = shown(name)
                return InvalidRequest(f"There is no field {field!r} here; there are {known}.", field=field)
        missing = next(name for name in self._checks if name not in fields)
        return InvalidRequest(f"The field {missing} is missing.", field=missing)


def _checked(name: str, check: Check, value: Any) -> Any:
    if not isinstance(value, str) or (isinstance(value, JsonNumber) and check is not parse_amount):
        raise InvalidRequest(f"The field {name} must be text.", field=name)
    try:
        return check(value)
    except ValueError as error:
        raise InvalidRequest(f"The field {name} {error}.", field=name) from None
