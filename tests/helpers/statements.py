"""What each request has the database do."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import aiomysql
import aiosqlite
import pytest

from myaccount.database import freshness
from myaccount.observability.log_setup import request_id


@contextmanager
def statements_by_request() -> Iterator[Mapping[str, Sequence[str]]]:
    """Give what requests send to the database from now on, in order, by the ids of the requests.

    Each is a round trip of the driver: a statement or several, or the end of a transaction. Batches are not seen.
    """
    found: dict[str, list[str]] = defaultdict(list)
    send: Any = aiomysql.Connection._execute_command
    call: Any = aiosqlite.Connection._execute

    async def noted_send(connection: Any, command: int, sql: str | bytes) -> Any:
        found[request_id.get()].append(sql if isinstance(sql, str) else sql.decode())
        return await send(connection, command, sql)

    async def noted_call(connection: Any, function: Any, *values: Any, **options: Any) -> Any:
        found[request_id.get()].append(f"{function.__name__} {' '.join(map(str, values))}")
        return await call(connection, function, *values, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aiomysql.Connection, "_execute_command", noted_send)
        patch.setattr(aiosqlite.Connection, "_execute", noted_call)
        # The check of a connection, once a second, is no request's own.
        patch.setattr(freshness, "CHECKED_SECONDS", 3600)
        yield found
