"""What the service says about a server that refuses writes, without a server."""

from types import SimpleNamespace
from typing import Any

import pymysql
import pytest
from sqlalchemy.exc import OperationalError

from myaccount.database.writability import find_refusal

REASONS = {
    1290: "it is read only",
    1792: "it is read only",
    1836: "it is read only",
    1665: "its binlog_format is STATEMENT",
    1044: "its user may not write",
    1142: "its user may not write",
    1143: "its user may not write",
    # Any other error keeps the server's own text.
    1114: "words of the server",
}


def _connection(number: int, *, invalidated: bool) -> Any:
    async def refuse(statement: str) -> None:
        error = pymysql.err.OperationalError(number, "words of the server")
        raise OperationalError(statement, (), error, connection_invalidated=invalidated)

    return SimpleNamespace(dialect=SimpleNamespace(name="mysql"), exec_driver_sql=refuse)


@pytest.mark.parametrize(("number", "reason"), REASONS.items())
async def test_the_reason_of_a_refusal_comes_from_the_error_s_number(number: int, reason: str) -> None:
    refusal = await find_refusal(_connection(number, invalidated=False))
    assert refusal is not None
    assert refusal.startswith(reason)


async def test_a_read_only_error_is_a_reason_although_it_closes_its_connection() -> None:
    refusal = await find_refusal(_connection(1290, invalidated=True))
    assert refusal is not None
    assert refusal.startswith("it is read only")
    # A lost connection tells nothing about writes.
    with pytest.raises(OperationalError):
        await find_refusal(_connection(2013, invalidated=True))
