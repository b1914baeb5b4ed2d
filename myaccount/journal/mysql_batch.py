"""A batch's statements, in SQL that MySQL and MariaDB both understand."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ..database.error_kinds import ErrorKind, kind_of
from ..database.freshness import SKIPS_LOCKED
from ..database.pipeline import PACKET_LIMIT, run_mysql_pipeline
from ..database.server_differences import select_within
from ..database.statements import Bound, placeholders, sql_literal
from ..ledger.decide import Account, Order
from .batches import ORDER_COLUMNS, Balances, BatchConnection


class MysqlBatch(BatchConnection):
    """A batch on MySQL or MariaDB, where the first statement begins the transaction."""

    async def _run(self, *statements: Bound) -> list[list[Any]]:
        return await run_mysql_pipeline(self._driver, statements, self._info[PACKET_LIMIT])

    async def begin(
        self, keys: Mapping[str, int], order_ids: Collection[str], *, wait_milliseconds: int | None
    ) -> tuple[dict[str, Account], dict[str, Order]]:
        try:
            return await super().begin(keys, order_ids, wait_milliseconds=wait_milliseconds)
        except Exception as error:
            if wait_milliseconds is None or kind_of(error) is not ErrorKind.LOCKED or not self._info[SKIPS_LOCKED]:
                raise
        # The statement timed out at one row, and the transaction still has the locks of the rows before that one.
        await self.rollback()
        return await super().begin(keys, order_ids, wait_milliseconds=None)

    def _find_first_accounts(self, user_ids: Collection[str]) -> Bound:
        return (
            "SELECT COUNT(*), JSON_ARRAYAGG(JSON_ARRAY(user_id, id))"
            " FROM (SELECT user_id, MIN(id) AS id FROM account"
            f" WHERE user_id IN ({placeholders(user_ids)}) GROUP BY user_id) AS first_account",
            tuple(user_ids),
        )

    def _lock_accounts(self, keys: Collection[int], wait_milliseconds: int | None) -> Bound:
        select, tail = (
            ("SELECT", " SKIP LOCKED") if wait_milliseconds is None else (select_within(wait_milliseconds), "")
        )
        # Rows must be locked in the order of the primary key, or two batches could deadlock. Without the hint, the
        # optimiser may scan a small table in another order.
        return (
            f"{select} COUNT(*), JSON_ARRAYAGG(JSON_ARRAY(id, user_id, balance, floor, last_entry))"
            f" FROM account FORCE INDEX (PRIMARY) WHERE id IN ({_listed(keys) or 'NULL'})"
            f" FOR UPDATE{tail}",
            (),
        )

    def _find_orders(self, order_ids: Collection[str]) -> Bound:
        return (
            f"SELECT COUNT(*), JSON_ARRAYAGG(JSON_ARRAY({ORDER_COLUMNS})) FROM `order`"
            f" WHERE order_id IN ({placeholders(order_ids)})",
            tuple(order_ids),
        )

    def _insert_orders(self, orders: Sequence[Order], created_at: str) -> Bound:
        rows = ",".join(
            f"(%s,{sql_literal(order_type)},{from_account},{to_account},{amount},{from_balance},{to_balance},"
            f"{sql_literal(status)},{sql_literal(reason)},{sql_literal(created_at)})"
            for _, order_type, from_account, to_account, amount, from_balance, to_balance, status, reason in orders
        )
        return (
            f"INSERT INTO `order` ({ORDER_COLUMNS}, created_at) VALUES {rows}",
            [order.order_id for order in orders],
        )

    def _insert_event(self, body: str, created_at: str, due_at: str) -> tuple[Bound, Bound]:
        row = f"(%s,0,{sql_literal(due_at)},{sql_literal(created_at)})"
        insert = f"INSERT INTO event (body, attempts, due_at, created_at) VALUES {row}"
        return (insert, (body,)), ("SELECT 1, JSON_ARRAY(LAST_INSERT_ID())", ())

    def _write_balances(self, balances: Balances) -> Bound:
        # INTERVAL finds the key's position among the sorted keys by binary search, and ELT returns the value
        # there.
        keys = sorted(balances)
        place = f"INTERVAL(id,{_listed(keys)})"
        return (
            f"UPDATE account SET balance = ELT({place},{_listed(balances[key][0] for key in keys)}),"
            f" last_entry = ELT({place},{_listed(balances[key][1] for key in keys)})"
            f" WHERE id IN ({_listed(keys)})",
            (),
        )


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))
