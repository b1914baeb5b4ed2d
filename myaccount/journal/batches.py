"""A batch's transaction: two round trips on the driver itself, past SQLAlchemy Core.

Core and the drivers take time for every statement, row and value, and the database for every round trip. So
statements are pipelined, and each query returns one JSON value. A single order costs the journal's process 0.7 ms
this way, 1.35 ms with a round trip for each statement, and 1.65 ms through Core.

What a client wrote is a parameter. Numbers, and constants of the program, are literals.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from ..database.database import DriverConnection
from ..database.statements import Bound
from ..database.times import sql_time
from ..ledger.commands import OUTSIDE_WORLD
from ..ledger.decide import Account, Order
from ..outbox.events import due_after

# The columns of an order that `decide` sets. The key and the time are added when the row is inserted.
ORDER_COLUMNS: Final = (
    "order_id, order_type, from_account, to_account, amount, from_balance, to_balance, status, reason"
)

# By account key: the balance, and the number of the last entry.
Balances = Mapping[int, tuple[int, int]]


class BatchConnection(ABC):
    """One transaction on a driver's connection: `begin`, then `commit`.

    Each method raises TooLarge, and the driver's own errors.
    """

    def __init__(self, connection: DriverConnection) -> None:
        self._driver, self._info = connection

    async def find_first_accounts(self, user_ids: Collection[str]) -> dict[str, int]:
        """Return each user's oldest account: its key, by user id. Unknown users are left out."""
        (found,) = await self._run(self._find_first_accounts(user_ids))
        return dict(found)

    async def begin(
        self, keys: Mapping[str, int], order_ids: Collection[str], *, wait_milliseconds: int | None
    ) -> tuple[dict[str, Account], dict[str, Order]]:
        """Lock the accounts until the transaction ends; return them by party, and earlier orders by order id.

        `keys` has each party's account key. An account is left out if it is not that party's (promise 10), or if
        another transaction holds it for longer than `wait_milliseconds`; None means not to wait.

        The accounts are locked first. If another process had the same order, it has committed it by then, and READ
        COMMITTED shows it.
        """
        # In ascending order, so that two batches cannot deadlock.
        locks = self._lock_accounts(sorted(set(keys.values())), wait_milliseconds)
        rows, orders = await self._run(locks, self._find_orders(order_ids))
        accounts = {}
        for id_, user_id, balance, floor, last_entry in rows:
            party = user_id or OUTSIDE_WORLD
            if keys.get(party) == id_:
                accounts[party] = Account(id_, balance, floor, last_entry)
        return accounts, {row[0]: Order(*row) for row in orders}

    async def rollback(self) -> None:
        await self._run(("ROLLBACK", ()))

    async def commit(
        self, orders: Sequence[Order], balances: Balances, event: str, created_at: datetime
    ) -> int | None:
        """Insert the orders and their event, write the balances, and commit.

        Return the event's id, or None without orders.
        """
        statements: list[Bound] = []
        if orders:
            statements.append(self._insert_orders(orders, sql_time(created_at)))
            statements += self._insert_event(event, sql_time(created_at), sql_time(due_after(created_at)))
        if balances:
            statements.append(self._write_balances(balances))
        found = await self._run(*statements, ("COMMIT", ()))
        return int(found[0][0]) if found else None

    @abstractmethod
    async def _run(self, *statements: Bound) -> list[list[Any]]:
        """Run the statements in one round trip; return the values of each query."""

    @abstractmethod
    def _find_first_accounts(self, user_ids: Collection[str]) -> Bound: ...

    @abstractmethod
    def _lock_accounts(self, keys: Collection[int], wait_milliseconds: int | None) -> Bound: ...

    @abstractmethod
    def _find_orders(self, order_ids: Collection[str]) -> Bound: ...

    @abstractmethod
    def _insert_orders(self, orders: Sequence[Order], created_at: str) -> Bound: ...

    @abstractmethod
    def _insert_event(self, body: str, created_at: str, due_at: str) -> tuple[Bound, Bound]:
        """Return the insert and the query of its id."""

    @abstractmethod
    def _write_balances(self, balances: Balances) -> Bound: ...
