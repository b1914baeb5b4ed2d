"""The statements that each request has the database run."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import event

from myaccount.appkeys import database_key
from myaccount.observability.log_setup import request_id

from ..conftest import Client


@contextmanager
def statements_by_request(client: Client) -> Iterator[Mapping[str, Sequence[str]]]:
    """Give the statements of the client's service from now on, in order, by the ids of the requests.

    Each is a round trip, and so is each end of a transaction. Those of batches are not seen.
    """
    database = client.server.app[database_key]  # type: ignore[attr-defined]
    found: dict[str, list[str]] = defaultdict(list)

    def note(connection: Any, cursor: Any, statement: str, *rest: object) -> None:
        found[request_id.get()].append(statement)

    def note_end(name: str, connection: Any) -> None:
        found[request_id.get()].append(name)

    listeners: dict[str, Callable[..., None]] = {
        "before_cursor_execute": note,
        "commit": partial(note_end, "COMMIT"),
        "rollback": partial(note_end, "ROLLBACK"),
    }
    engines = [engine.sync_engine for engine in (database._engine, database._probe_engine)]
    for engine in engines:
        for name, listener in listeners.items():
            event.listen(engine, name, listener)
    try:
        yield found
    finally:
        for engine in engines:
            for name, listener in listeners.items():
                event.remove(engine, name, listener)
