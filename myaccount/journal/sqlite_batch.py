"""A batch's statements for the embedded file."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..database.pipeline import run_sqlite_pipeline
from ..database.statements import Bound
from ..ledger.decide import Account, Order
from .batches import ORDER_COLUMNS, Balances, BatchConnection


class SqliteBatch(BatchConnection):
    """A batch on the embedded file, which has one writer at a time: BEGIN IMMEDIATE takes the lock."""

    async def _run(self, *statements: Bound) -> list[list[Any]]:
        return await run_sqlite_pipeline(self._driver, statements)

    async def begin(
        self, keys: Mapping[str, int], order_ids: Collection[str], *, wait_milliseconds: int | None
    ) -> tuple[dict[str, Account], dict[str, Order]]:
        await self._run(("BEGIN IMMEDIATE", ()))
        return await super().begin(keys, order_ids, wait_milliseconds=wait_milliseconds)

    def _find_first_accounts(self, user_ids: Collection[str]) -> Bound:
        return (
            "SELECT count(*), json_group_array(json_array(user_id, id))"
            " FROM (SELECT user_id, min(id) AS id FROM account"
            " WHERE user_id IN (SELECT value FROM json_each(?)) GROUP BY user_id)",
            (json.dumps(list(user_ids)),),
        )

    def _lock_accounts(self, keys: Collection[int], wait_milliseconds: int | None) -> Bound:
        # The transaction has the whole file locked already.
        return (
            "SELECT count(*), json_group_array(json_array(id, user_id, balance, floor, last_entry))"
            " FROM account WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(keys)),),
        )

    def _find_orders(self, order_ids: Collection[str]) -> Bound:
        return (
            f'SELECT count(*), json_group_array(json_array({ORDER_COLUMNS})) FROM "order"'
            " WHERE order_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(order_ids)),),
        )

    def _insert_orders(self, orders: Sequence[Order], created_at: str) -> Bound:
        return (
            f'INSERT INTO "order" ({ORDER_COLUMNS}, created_at)'
            " SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,"
            " value ->> 7, value ->> 8, ? FROM json_each(?)",
            (created_at, json.dumps(orders)),
        )

    def _insert_event(self, body: str, created_at: str, due_at: str) -> tuple[Bound, Bound]:
        insert = "INSERT INTO event (body, attempts, due_at, created_at) VALUES (?, 0, ?, ?)"
        return (insert, (body, due_at, created_at)), ("SELECT 1, json_array(last_insert_rowid())", ())

    def _write_balances(self, balances: Balances) -> Bound:
        return (
            "UPDATE account SET balance = new.value ->> 1, last_entry = new.value ->> 2 FROM json_each(?) AS new"
            " WHERE account.id = new.value ->> 0",
            (json.dumps([[key, *values] for key, values in balances.items()]),),
        )
