"""The service, which kills itself at a failpoint: failpoints.py POINT TIMES [listen] -c FILE.

POINT is one of POINTS (of a batch), of CATCH_UP_POINTS (of inboxes) or of LISTENER_POINTS. The process is killed
when it has reached the point that many TIMES. STOPPED stops the process instead (SIGSTOP), and BROKEN makes the
journal's writer fail.
"""

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

BEFORE_THE_INSERTS = "before the inserts"
BEFORE_COMMIT = "before COMMIT"
BEFORE_THE_REPLIES = "after COMMIT, before the replies"
POINTS = (BEFORE_THE_INSERTS, BEFORE_COMMIT, BEFORE_THE_REPLIES)
BEFORE_THE_MESSAGES = "counted, before the messages"
BEFORE_THE_MARKS = "messages written, before the marks"
BEFORE_THEIR_COMMIT = "marks set, before COMMIT"
AFTER_THEIR_COMMIT = "messages committed, before the reply"
CATCH_UP_POINTS = (BEFORE_THE_MESSAGES, BEFORE_THE_MARKS, BEFORE_THEIR_COMMIT, AFTER_THEIR_COMMIT)
TAKEN = "taken, before the dispatch"
DISPATCHED = "dispatched, before the acknowledgement"
SENT = "sent, before its row is deleted"
LISTENER_POINTS = (TAKEN, DISPATCHED, SENT)
STOPPED = "stopped before COMMIT"
BROKEN = "the writer fails"


def main() -> None:
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    from myaccount.cli import entry as cli
    from myaccount.database import embedded_file as embedded
    from myaccount.database.statements import Bound
    from myaccount.inbox import catch_up
    from myaccount.journal import settling
    from myaccount.journal.batches import BatchConnection
    from myaccount.journal.mysql_batch import MysqlBatch
    from myaccount.journal.sqlite_batch import SqliteBatch
    from myaccount.listener.redis_queue import RedisQueue
    from myaccount.listener.relay import Relay
    from myaccount.webhooks.endpoint import Endpoint

    # It may be the second process on an embedded file, as gunicorn's new worker is beside the old one in a reload.
    embedded.__dict__["lock"] = lambda descriptor: None

    point, left = sys.argv[1], int(sys.argv[2])

    def reached(here: str) -> None:
        nonlocal left
        if here == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGSTOP if point == STOPPED else signal.SIGKILL)

    original = BatchConnection.commit

    async def commit(self: BatchConnection, *decided: Any) -> list[int]:
        reached(BEFORE_THE_INSERTS)
        event_ids = await original(self, *decided)
        reached(BEFORE_THE_REPLIES)
        return event_ids

    def one_by_one(run: Callable[..., Awaitable[list[list[Any]]]]) -> Callable[..., Awaitable[list[list[Any]]]]:
        async def _run(self: BatchConnection, *statements: Bound) -> list[list[Any]]:
            found: list[list[Any]] = []
            for statement in statements:
                if statement[0] == "COMMIT":
                    reached(STOPPED if point == STOPPED else BEFORE_COMMIT)
                found += await run(self, statement)
            return found

        return _run

    BatchConnection.commit = commit  # type: ignore[method-assign, assignment]
    for batch in (MysqlBatch, SqliteBatch):
        batch._run = one_by_one(batch._run)  # type: ignore[method-assign, assignment]

    run_pipeline = catch_up.run_pipeline  # type: ignore[attr-defined]
    before = {"INSERT INTO message": BEFORE_THE_MESSAGES, "INSERT INTO inbox_mark": BEFORE_THE_MARKS}

    async def run_statements(connection: Any, *statements: Bound) -> list[list[Any]]:
        found: list[list[Any]] = []
        for statement in statements:
            beginning = statement[0].partition(" (")[0]
            reached(BEFORE_THEIR_COMMIT if beginning == "COMMIT" else before.get(beginning, ""))
            found += await run_pipeline(connection, statement)
            if beginning == "COMMIT":
                reached(AFTER_THEIR_COMMIT)
        return found

    vars(catch_up)["run_pipeline"] = run_statements

    def killing(owner: type, name: str, here: str) -> None:
        """Have the method reach the point before it does anything."""
        original = getattr(owner, name)

        async def method(*arguments: Any) -> Any:
            reached(here)
            return await original(*arguments)

        setattr(owner, name, method)

    def fail(*arguments: Any) -> None:
        raise ZeroDivisionError

    if point == BROKEN:
        vars(settling)["count_orders"] = fail
    killing(Relay, "_dispatch", TAKEN)
    killing(RedisQueue, "acknowledge", DISPATCHED)
    killing(Endpoint, "_settle", SENT)
    sys.argv[1:3] = []
    sys.exit(cli.main())


if __name__ == "__main__":
    main()
