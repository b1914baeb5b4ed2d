"""The one definition of each request: its path, fields, texts, examples, scope and errors.

Routes, validation and the forms of the pages are made from it.
"""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final, Generic, NamedTuple, TypeVar

from aiohttp import web

from ..errors import InvalidRequest, RequestError
from .body import read_fields, read_query, shown
from .field_kinds import Kind

Made = TypeVar("Made")

REQUIRED: Final = object()
BODY_LIMIT_BYTES: Final = 16 * 1024


class Field(NamedTuple):
    """A field of a request: its kind, labels, an example, and its default. Without a default it is required.

    The value of a `fresh` field should be new in each request, as an order id is: a page offers to generate one.
    """

    kind: Kind
    chinese: str
    english: str
    example: str = ""
    default: Any = REQUIRED
    fresh: bool = False


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

    `fields` has the fields by their names on the wire. `make` takes their values in this order. `scope` is what an
    API key needs for this operation. `errors` are its own errors. Every operation may also reply invalid_request,
    overloaded, unavailable, and the errors of HTTP. Longer bodies than `body_limit_bytes` are refused.
    """

    def __init__(
        self,
        path: str,
        make: Callable[..., Made],
        fields: Mapping[str, Field],
        texts: Texts,
        *,
        scope: str,
        errors: tuple[type[RequestError], ...] = (),
        body_limit_bytes: int = BODY_LIMIT_BYTES,
    ) -> None:
        self.path = path
        self.texts = texts
        self.scope = scope
        self.errors = errors
        self.fields = fields
        self.body_limit_bytes = body_limit_bytes
        self._make = make
        # Every request needs these, so they are computed once.
        self._kinds = {name: field.kind for name, field in fields.items()}
        self._defaults = {name: field.default for name, field in fields.items() if field.default is not REQUIRED}

    async def read(self, request: web.Request) -> Made:
        """Return what `make` makes of the fields: those of a POST's body, or of a GET's query.

        Raises InvalidRequest, naming the field at fault.
        """
        fields: dict[str, Any] = read_query(request)
        if request.method == "POST":
            for name in fields:
                raise InvalidRequest("Send the fields in the body, not in the address.", field=shown(name))
            fields = await read_fields(request, self.body_limit_bytes)
        if fields.keys() != self._kinds.keys():
            self._refuse_unknown_and_missing(fields)
        return self._make(
            *[
                _parsed(name, kind, fields[name]) if name in fields else self._defaults[name]
                for name, kind in self._kinds.items()
            ]
        )

    def _refuse_unknown_and_missing(self, fields: Mapping[str, Any]) -> None:
        for name in fields:
            if name not in self._kinds:
                if name.lstrip().startswith("{"):
                    raise InvalidRequest("This looks like JSON: send it with Content-Type: application/json.")
                field = shown(name)
                known = ", ".join(self._kinds)
                raise InvalidRequest(
                    f"There is no field {field!r} here{self._nearest(field)} The fields are {known}.", field=field
                )
        for name in self._kinds:
            if name not in fields and name not in self._defaults:
                raise InvalidRequest(f"The field {name} is missing.", field=name)

    def _nearest(self, name: str) -> str:
        known = {field.lower(): field for field in self._kinds}
        found = get_close_matches(name.lower(), known, n=1)
        return f": did you mean {known[found[0]]}?" if found else "."


def _parsed(name: str, kind: Kind, value: Any) -> Any:
    if type(value) is not str and type(value) is not kind.json_type:
        raise InvalidRequest(f"The field {name} {kind.must_be}.", field=name)
    try:
        return kind.parse(value)
    except ValueError as error:
        raise InvalidRequest(f"The field {name} {error}.", field=name) from None
