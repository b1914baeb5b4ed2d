"""What each request has the database do."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import aiomysql
import aiosqlite
import pytest
from sqlalchemy import Pool, event

from myaccount.database import freshness
from myaccount.observability.log_setup import request_id


@contextmanager
def statements_by_request() -> Iterator[Mapping[str, Sequence[str]]]:
    """Give what requests send to the database from now on, in order, by the ids of the requests.

    Each is a round trip of the driver: a statement or several, or the end of a transaction. Batches are not seen,
    nor what sets up a new connection: whether a request needs one depends on what else runs at the time.
    """
    found: dict[str, list[str]] = defaultdict(list)
    set_up = WeakSet[Any]()
    send: Any = aiomysql.Connection._execute_command
    call: Any = aiosqlite.Connection._execute

    def note(connection: Any, statement: str) -> None:
        if connection in set_up:
            found[request_id.get()].append(statement)

    async def noted_send(connection: Any, command: int, sql: str | bytes) -> Any:
        note(connection, sql if isinstance(sql, str) else sql.decode())
        return await send(connection, command, sql)

    async def noted_call(connection: Any, function: Any, *values: Any, **options: Any) -> Any:
        note(connection, f"{function.__name__} {' '.join(map(str, values))}")
        return await call(connection, function, *values, **options)

    def checked_out(connection: Any, record: object, proxy: object) -> None:
        set_up.add(connection.driver_connection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aiomysql.Connection, "_execute_command", noted_send)
        patch.setattr(aiosqlite.Connection, "_execute", noted_call)
        # The check of a connection, once a second, is no request's own.
        patch.setattr(freshness, "CHECKED_SECONDS", 3600)
        event.listen(Pool, "checkout", checked_out)
        try:
            yield found
        finally:
            event.remove(Pool, "checkout", checked_out)
