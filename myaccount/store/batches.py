"""A batch's transaction, which leaves SQLAlchemy Core: the driver itself runs it, in two turns to the database.

Core and the drivers take their time for every statement, row and value, and the database for every turn. So the
statements of a turn travel together, and what they find comes back as one JSON value each. On four busy cores
the service moved a third more money a second this way than with a statement a turn through Core.

What a client wrote is a parameter; the numbers and words of the service's own are written into the statement.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ..ledger.decide import Account, Order

_DECIDED = "order_id, order_type, from_account, to_account, amount, from_balance, to_balance, status, reason"

# A statement and its parameters.
Bound = tuple[str, Sequence[object]]


class BatchConnection(ABC):
    """A connection, as the driver has it, for one transaction: `begin`, then `commit`."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    async def begin(
        self, keys: Collection[int], order_ids: Collection[str]
    ) -> tuple[dict[int, Account], dict[str, Order]]:
        """Lock the accounts until the transaction ends; return them by key, and by order id the orders there are.

        The accounts come first: once they are locked, whoever had the same order in hand has committed it, and
        READ COMMITTED shows it.
        """
        accounts, orders = await self._run(self._lock_accounts(keys), self._find_orders(order_ids))
        return {row[0]: Account(*row) for row in accounts}, {row[0]: Order(*row) for row in orders}

    async def commit(self, orders: Sequence[Order], balances: Mapping[int, int], created_at: datetime) -> None:
        """Insert the orders, write the balances by account key, and end the transaction."""
        statements: list[Bound] = []
        if orders:
            statements.append(self._insert_orders(orders, created_at.isoformat(" ", "microseconds")))
        if balances:
            statements.append(self._write_balances(balances))
        await self._run(*statements, ("COMMIT", ()))

    @abstractmethod
    async def _run(self, *statements: Bound) -> list[list[Any]]:
        """Run the statements; return the rows that each query found."""

    @abstractmethod
    def _lock_accounts(self, keys: Collection[int]) -> Bound: ...

    @abstractmethod
    def _find_orders(self, order_ids: Collection[str]) -> Bound: ...

    @abstractmethod
    def _insert_orders(self, orders: Sequence[Order], created_at: str) -> Bound: ...

    @abstractmethod
    def _write_balances(self, balances: Mapping[int, int]) -> Bound: ...


class MysqlBatch(BatchConnection):
    """MySQL's or MariaDB's; a transaction begins by itself with its first statement."""

    async def _run(self, *statements: Bound) -> list[list[Any]]:
        found = []
        cursor = await self._driver.cursor()
        await cursor.execute(
            ";".join(statement for statement, _ in statements),
            [parameter for _, parameters in statements for parameter in parameters],
        )
        while True:
            if cursor.description:
                found.append(json.loads((await cursor.fetchone())[0] or "[]"))
            if not await cursor.nextset():
                return found

    def _lock_accounts(self, keys: Collection[int]) -> Bound:
        # The primary key is forced so that rows are locked in its order, whatever the optimiser thinks of a small
        # table: two writers that want the same accounts must never wait for each other in a circle.
        return (
            "SELECT JSON_ARRAYAGG(JSON_ARRAY(id, balance, floor)) FROM account FORCE INDEX (PRIMARY)"
            f" WHERE id IN ({_listed(keys) or 'NULL'}) FOR UPDATE",
            (),
        )

    def _find_orders(self, order_ids: Collection[str]) -> Bound:
        return (
            f"SELECT JSON_ARRAYAGG(JSON_ARRAY({_DECIDED})) FROM `order`"
            f" WHERE order_id IN ({','.join(['%s'] * len(order_ids))})",
            tuple(order_ids),
        )

    def _insert_orders(self, orders: Sequence[Order], created_at: str) -> Bound:
        rows = ",".join(
            f"(%s,{_word(order_type)},{from_account},{to_account},{amount},{from_balance},{to_balance},"
            f"{_word(status)},{_word(reason)},{_word(created_at)})"
            for _, order_type, from_account, to_account, amount, from_balance, to_balance, status, reason in orders
        )
        return (
            f"INSERT INTO `order` ({_DECIDED}, created_at) VALUES {rows}",
            [order.order_id for order in orders],
        )

    def _write_balances(self, balances: Mapping[int, int]) -> Bound:
        # INTERVAL finds the key's place among the sorted ones by halves, and ELT the balance in that place.
        keys = sorted(balances)
        return (
            f"UPDATE account SET balance = ELT(INTERVAL(id,{_listed(keys)}),"
            f"{_listed(balances[key] for key in keys)}) WHERE id IN ({_listed(keys)})",
            (),
        )


class SqliteBatch(BatchConnection):
    """The embedded file's: one writer at a time, which has the lock from its first statement."""

    async def _run(self, *statements: Bound) -> list[list[Any]]:
        found = []
        for statement, parameters in statements:
            rows = await self._driver.execute_fetchall(statement, parameters)
            found += [json.loads(row[0]) for row in rows]
        return found

    async def begin(
        self, keys: Collection[int], order_ids: Collection[str]
    ) -> tuple[dict[int, Account], dict[str, Order]]:
        await self._run(("BEGIN IMMEDIATE", ()))
        return await super().begin(keys, order_ids)

    def _lock_accounts(self, keys: Collection[int]) -> Bound:
        return (
            "SELECT json_group_array(json_array(id, balance, floor))"
            " FROM account WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(keys)),),
        )

    def _find_orders(self, order_ids: Collection[str]) -> Bound:
        return (
            f'SELECT json_group_array(json_array({_DECIDED})) FROM "order"'
            " WHERE order_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(order_ids)),),
        )

    def _insert_orders(self, orders: Sequence[Order], created_at: str) -> Bound:
        return (
            f'INSERT INTO "order" ({_DECIDED}, created_at)'
            " SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,"
            " value ->> 7, value ->> 8, ?1 FROM json_each(?2)",
            (created_at, json.dumps(orders)),
        )

    def _write_balances(self, balances: Mapping[int, int]) -> Bound:
        return (
            "UPDATE account SET balance = new_balance.value ->> 1 FROM json_each(?) AS new_balance"
            " WHERE account.id = new_balance.value ->> 0",
            (json.dumps(list(balances.items())),),
        )


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


def _word(own: str | None) -> str:
    """Return a word of the service's own as the statement has it: never what a client wrote."""
    return "NULL" if own is None else f"'{own}'"
