"""The tables of both READMEs and the definitions of the operations agree: neither changes alone."""

import re
from typing import Any

import pytest

from myaccount import routes
from myaccount.controller.operation import REQUIRED, Operation

from ..helpers.services import CHECKOUT

OPERATIONS = {operation.path: operation for operation in routes.OPERATIONS}
READMES = ("README.rst", "README.zh-CN.rst")


def _rows(readme: str) -> dict[str, str]:
    """Return the fields' text of each operation in the README's tables: a row may go on in indented lines."""
    rows: dict[str, str] = {}
    path = None
    for line in (CHECKOUT / readme).read_text("utf-8").splitlines():
        if row := re.match(r"``(/[a-z/]+)``(?: \*)?  +(\S.*?)(?:  +|$)", line):
            path = row[1]
            assert path not in rows, f"{path} has two rows"
            rows[path] = row[2]
        elif path is not None and line.startswith("  "):
            rows[path] += " " + line.split("  " * 2)[-1].strip()
        else:
            path = None
    return rows


def _written(fields: str) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """Return the required fields, the optional ones, and the pairs of which one is sent."""
    required, _, optional = fields.partition("[")
    assert not optional or optional.endswith("]"), fields
    return re.findall(r"\w+", required), re.findall(r"\w+", optional), re.findall(r"(\w+) \| (\w+)", fields)


def _defined(operation: Operation[Any]) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    fields = operation.fields.items()
    return (
        [name for name, field in fields if field.default is REQUIRED],
        [name for name, field in fields if field.default is not REQUIRED],
        list(operation.either),
    )


@pytest.mark.parametrize("readme", READMES)
def test_the_readme_has_a_row_for_each_operation(readme: str) -> None:
    assert _rows(readme).keys() == OPERATIONS.keys()


@pytest.mark.parametrize("readme", READMES)
@pytest.mark.parametrize("path", OPERATIONS)
def test_a_row_has_the_fields_in_their_order_and_the_optional_ones_in_brackets(readme: str, path: str) -> None:
    assert _written(_rows(readme)[path]) == _defined(OPERATIONS[path])
