"""Ends expired holds that no order touches, many in one transaction."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database
from ..database.pipeline import is_sqlite, rows_at_once, run_pipeline
from ..database.statements import Bound
from ..ledger.decide import decide
from ..ledger.state import Known
from ..outbox.events import event_bodies
from .batches import BatchConnection
from .posting import run_batch
from .round_trips import ROW_BYTES

# One JSON value, which takes a fifth of the time of so many rows. Behind a hold, the database reads the index from
# there on: at its beginning are those that were ended just now, until it has purged them.
_FIND: Final = (
    "SELECT COUNT(*), {collect}(JSON_ARRAY(due_at, id, order_id, payer))"
    " FROM (SELECT due_at, id, order_id, payer FROM hold WHERE due_at <= {now} {behind}"
    " ORDER BY due_at, id LIMIT {limit}) AS expired"
)
_BEHIND: Final = "AND due_at >= %s AND (due_at > %s OR (due_at = %s AND id > %s))"
_ON_SQLITE: Final = {"collect": "json_group_array", "now": "strftime('%Y-%m-%d %H:%M:%f000', 'now')"}
_ON_MYSQL: Final = {"collect": "JSON_ARRAYAGG", "now": "UTC_TIMESTAMP(6)"}


class ExpiredHold(NamedTuple):
    """A hold that had expired when it was found, without its account's lock. `due_at` is as SQL has it."""

    due_at: str
    id: int
    order_id: str
    payer: int


async def find_expired_holds(
    connection: AsyncConnection, behind: ExpiredHold | None, limit: int
) -> list[ExpiredHold]:
    """Return the next holds that have expired, in the order of their ends: the first ones, or those behind one.

    There are at most `limit`, or as many as fit the database's answer.
    """
    limit = min(limit, rows_at_once(connection, ROW_BYTES))
    (rows,) = await run_pipeline(connection, _find(behind, limit, on_sqlite=is_sqlite(connection)))
    return sorted(ExpiredHold(*row) for row in rows)


def _find(behind: ExpiredHold | None, limit: int, *, on_sqlite: bool) -> Bound:
    dialect = _ON_SQLITE if on_sqlite else _ON_MYSQL
    if behind is None:
        return _FIND.format(behind="", limit=limit, **dialect), ()
    return _FIND.format(behind=_BEHIND, limit=limit, **dialect), (*[behind.due_at] * 3, behind.id)


async def end_holds(database: Database, holds: Sequence[ExpiredHold]) -> list[int]:
    """End those of the holds that have expired; return the ids of the events that tell of it.

    A hold whose account another transaction has locked stays as it is. What the rows have once the accounts are
    locked decides, so of several processes that found a hold one ends it. Raises what `Database.write_on_driver`
    does.
    """

    async def work(batch: BatchConnection) -> list[int]:
        locked = await batch.begin({hold.payer for hold in holds}, (), wait_milliseconds=None)
        order_ids = [hold.order_id for hold in holds if hold.payer in locked.accounts]
        found, _ = await batch.find_holds(order_ids, (), locked.now)
        _, state = decide((), Known(keys={}, accounts=locked.accounts, holds=found, now=locked.now))
        return await batch.commit(state, event_bodies(state.changes, batch.limit_bytes - ROW_BYTES))

    return await run_batch(database, work, beside_orders=True)
