"""The one definition of each request: its path, fields, texts, examples, scopes and errors.

Routes, validation and the forms of the pages are made from it.
"""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final, Generic, NamedTuple, NoReturn, TypeVar

from aiohttp import web

from ..errors import InvalidRequest, RequestError
from .body import form_fields, read_fields, read_query, shown
from .field_kinds import UNESCAPED, Kind

Made = TypeVar("Made")

REQUIRED: Final = object()
BODY_LIMIT_BYTES: Final = 16 * 1024


class Field(NamedTuple):
    """A field of a request: its kind, labels, an example, and its default. Without a default it is required.

    The value of a `fresh` field should be new in each request, as an order id is: a page offers to generate one.
    `argument` is the argument that its value becomes, unless that is the field's name in snake case.
    """

    kind: Kind
    chinese: str
    english: str
    example: str = ""
    default: Any = REQUIRED
    fresh: bool = False
    argument: str = ""


class Texts(NamedTuple):
    """An operation's name and purpose, and what a reply without rows means."""

    chinese: str
    english: str
    chinese_purpose: str
    english_purpose: str
    chinese_nothing: str = ""
    english_nothing: str = ""


class Operation(Generic[Made]):
    """A request that clients may send to `path`.

    `fields` has the fields by their names on the wire. `make` takes their values by name. Of each pair in `either`
    at most one field may be sent or, if they are required, exactly one. A caller needs one of the `scopes`; which
    one an order needs is known when it is decided. `errors` are its own errors. Every operation may also reply
    invalid_request, overloaded, unavailable, and the errors of HTTP and of access. Longer bodies than
    `body_limit_bytes` are refused, and forms if the operation is `json_only`.
    """

    def __init__(
        self,
        path: str,
        make: Callable[..., Made],
        fields: Mapping[str, Field],
        texts: Texts,
        *,
        scopes: tuple[str, ...],
        either: tuple[tuple[str, str], ...] = (),
        errors: tuple[type[RequestError], ...] = (),
        body_limit_bytes: int = BODY_LIMIT_BYTES,
        json_only: bool = False,
    ) -> None:
        self.path = path
        self.texts = texts
        self.scopes = scopes
        self.errors = errors
        self.fields = fields
        self.either = either
        self.body_limit_bytes = body_limit_bytes
        self.json_only = json_only
        self._make = make
        # Every request needs these, so they are computed once.
        self._arguments = {
            name: (field.argument or _snake_case(name), field.kind, field.kind.json_type)
            for name, field in fields.items()
        }
        self._defaults = {
            self._arguments[name][0]: field.default
            for name, field in fields.items()
            if field.default is not REQUIRED
        }
        paired = {name for pair in either for name in pair}
        self._required = {name for name, field in fields.items() if field.default is REQUIRED} - paired
        self._pairs = [(first, second, fields[first].default is REQUIRED) for first, second in either]
        # Nearly all forms have these fields, in this order and without escapes, so one match takes them apart.
        usual = [(name, *self._arguments[name][:2]) for name in fields if name in self._required | {*dict(either)}]
        self._usual = re.compile(
            "&".join(f"{name}=(?P<{argument}>{kind.plain or UNESCAPED + '*'})" for name, argument, kind in usual)
        )
        self._parsed = [(argument, kind.parse) for _, argument, kind in usual if not kind.plain]

    async def read(self, request: web.Request, **more: object) -> Made:
        """Return what `make` makes of the fields and of `more` arguments.

        A POST has its fields in the body, a GET in the query.

        Raises InvalidRequest, naming the field at fault.
        """
        fields: dict[str, Any] = read_query(request)
        if request.method == "POST":
            for name in fields:
                raise InvalidRequest("Send the fields in the body, not in the address.", field=shown(name))
            fields = await read_fields(request, self.body_limit_bytes, json_only=self.json_only)
        return self.parse(fields, **more)

    def parse(self, fields: Mapping[str, Any], **more: object) -> Made:
        """Return what `make` makes of the fields and of `more` arguments. Raises InvalidRequest as `read` does."""
        if not self._required <= fields.keys() <= self._arguments.keys():
            self._refuse_unknown_and_missing(fields)
        for first, second, required in self._pairs:
            if (first in fields) is (second in fields) and (required or first in fields):
                _refuse_pair(first, second, fields)
        values = {**self._defaults, **more}
        for name, value in fields.items():
            argument, kind, json_type = self._arguments[name]
            if type(value) is not str and type(value) is not json_type:
                raise InvalidRequest(f"The field {name} {kind.must_be}.", field=name)
            try:
                values[argument] = kind.parse(value)
            except ValueError as error:
                raise InvalidRequest(f"The field {name} {error}.", field=name) from None
        return self._make(**values)

    def parse_form(self, body: bytes, **more: object) -> Made:
        """Return what `parse` makes of a form's fields, in half the time if they are the usual ones."""
        # What is not ASCII matches nothing.
        usual = self._usual.fullmatch(body.decode("latin-1"))
        if usual is None:
            return self.parse(form_fields(body), **more)
        values = {**self._defaults, **more, **usual.groupdict()}
        try:
            for argument, parse in self._parsed:
                values[argument] = parse(values[argument])
        except ValueError:
            # Which field it is, the error says.
            return self.parse(form_fields(body), **more)
        return self._make(**values)

    def names_of(self, argument: str) -> list[str]:
        """Return the names on the wire of the fields whose value becomes this argument of `make`."""
        return [name for name, (known, _, _) in self._arguments.items() if known == argument]

    def _refuse_unknown_and_missing(self, fields: Mapping[str, Any]) -> None:
        for name in fields:
            if name not in self.fields:
                if name.lstrip().startswith("{"):
                    raise InvalidRequest("This looks like JSON: send it with Content-Type: application/json.")
                field = shown(name)
                known = ", ".join(self.fields)
                raise InvalidRequest(
                    f"There is no field {field!r} here{self._nearest(field)} The fields are {known}.", field=field
                )
        for name in self.fields:
            if name not in fields and name in self._required:
                raise InvalidRequest(f"The field {name} is missing.", field=name)

    def _nearest(self, name: str) -> str:
        known = {field.lower(): field for field in self.fields}
        found = get_close_matches(name.lower(), known, n=1)
        return f": did you mean {known[found[0]]}?" if found else "."


def _refuse_pair(first: str, second: str, fields: Mapping[str, Any]) -> NoReturn:
    if first in fields:
        raise InvalidRequest(f"Send {first} or {second}, not both.", field=second)
    raise InvalidRequest(f"Send {first} or {second}.", field=first)


def _snake_case(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name)
