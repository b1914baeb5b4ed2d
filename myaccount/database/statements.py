"""SQL as text, for the statements that bypass SQLAlchemy Core (pipeline.py).

What a client wrote is a parameter, always.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final, TypeVar

Value = TypeVar("Value")

# A statement, with %s for each parameter (`?` for SQLite's own), and its parameters.
Bound = tuple[str, Sequence[object]]

# SQLite takes 32,766 parameters a statement.
ROWS_LIMIT: Final = 500
# Even fully escaped, this many characters fit the smallest supported `max_allowed_packet` (64 KiB).
ROWS_LIMIT_CHARACTERS: Final = 12_000


def insert_rows(insert: str, rows: Iterable[Bound], tail: str = "") -> list[Bound]:
    """Return the statements that insert the rows, each given as its text in VALUES with its parameters."""
    return [
        (
            f"{insert} VALUES {','.join(text for text, _ in part)} {tail}",
            [parameter for _, parameters in part for parameter in parameters],
        )
        for part in _parts(rows)
    ]


def _parts(rows: Iterable[Bound]) -> Iterator[list[Bound]]:
    """Divide the rows into those of one statement each."""
    part: list[Bound] = []
    size = 0
    for row in rows:
        characters = len(row[0]) + sum(len(str(parameter)) for parameter in row[1])
        if part and (len(part) == ROWS_LIMIT or size + characters > ROWS_LIMIT_CHARACTERS):
            yield part
            part, size = [], 0
        part.append(row)
        size += characters
    if part:
        yield part


def texts_that_fit(
    values: Sequence[Value], text_of: Callable[[Sequence[Value]], str], limit_bytes: int
) -> Iterator[str]:
    """Yield one text of all the values or, if that would be too long in a statement, those of their halves."""
    text = text_of(values)
    if len(values) == 1 or _fits(text, limit_bytes):
        yield text
    else:
        middle = len(values) // 2
        yield from texts_that_fit(values[:middle], text_of, limit_bytes)
        yield from texts_that_fit(values[middle:], text_of, limit_bytes)


def _fits(text: str, limit_bytes: int) -> bool:
    # Nearly always an upper bound is enough: two bytes for an escaped ASCII character, four for any other.
    return len(text) * (2 if text.isascii() else 4) <= limit_bytes or _escaped_bytes(text) <= limit_bytes


def _escaped_bytes(text: str) -> int:
    """Return the length of the text with a backslash before each quote and each backslash."""
    return len(text.encode()) + sum(map(text.count, "\"'\\"))


def limited(query: str, *, sqlite: bool) -> str:
    """Return a query with ORDER BY or LIMIT as a part of a UNION ALL.

    SQLite takes no parentheses there. MySQL and MariaDB take a derived table as well, at four times the cost.
    """
    return f"SELECT * FROM ({query})" if sqlite else f"({query})"  # noqa: S608 - of this program's own queries


def placeholders(parameters: Collection[object]) -> str:
    return ",".join(["%s"] * len(parameters))


def sql_literal(constant: str | None) -> str:
    """Quote a trusted constant as an SQL literal. Never client input."""
    return "NULL" if constant is None else f"'{constant}'"
