"""A batch's transaction, which leaves SQLAlchemy Core: the driver itself runs it, in two turns to the database.

Core and the drivers take their time for every statement, row and value, and the database for every turn. So the
statements of a turn travel together, and what they find comes back as one JSON value each. An order alone costs
the journal's process 0.7 milliseconds this way; with a turn for each statement it was 1.35, and through Core 1.65.

What a client wrote is a parameter; the numbers and words of the service's own are written into the statement.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from ..ledger.decide import Account, Order
from .events import due_after
from .turns import Bound, written

# The columns of an order that `decide` knows; the key and the time come on the way to the table.
DECIDED: Final = "order_id, order_type, from_account, to_account, amount, from_balance, to_balance, status, reason"


class BatchConnection(ABC):
    """A connection, as the driver has it, for one transaction: `begin`, then `commit`."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    async def find_first_accounts(self, user_ids: Collection[str]) -> dict[str, int]:
        """Return, by user id, the key of the account that was opened first; unknown users are left out."""
        (found,) = await self._run(self._find_first_accounts(user_ids))
        return dict(found)

    async def begin(
        self, keys: Collection[int], order_ids: Collection[str]
    ) -> tuple[dict[int, Account], dict[str, Order]]:
        """Lock the accounts until the transaction ends; return them by key, and by order id the orders there are.

        The accounts come first: once they are locked, whoever had the same order in hand has committed it, and
        READ COMMITTED shows it.
        """
        accounts, orders = await self._run(self._lock_accounts(keys), self._find_orders(order_ids))
        return {row[0]: Account(*row) for row in accounts}, {row[0]: Order(*row) for row in orders}

    async def commit(
        self, orders: Sequence[Order], balances: Mapping[int, int], event: str, created_at: datetime
    ) -> int | None:
        """Insert the orders and their event, write the balances by account key, and end the transaction.

        Return the event's id; without orders there is none.
        """
        statements: list[Bound] = []
        if orders:
            statements.append(self._insert_orders(orders, written(created_at)))
            statements += self._insert_event(event, written(created_at), written(due_after(created_at)))
        if balances:
            statements.append(self._write_balances(balances))
        found = await self._run(*statements, ("COMMIT", ()))
        return found[0][0] if found else None

    @abstractmethod
    async def _run(self, *statements: Bound) -> list[list[Any]]:
        """Run the statements; return the rows that each query found."""

    @abstractmethod
    def _find_first_accounts(self, user_ids: Collection[str]) -> Bound: ...

    @abstractmethod
    def _lock_accounts(self, keys: Collection[int]) -> Bound: ...

    @abstractmethod
    def _find_orders(self, order_ids: Collection[str]) -> Bound: ...

    @abstractmethod
    def _insert_orders(self, orders: Sequence[Order], created_at: str) -> Bound: ...

    @abstractmethod
    def _insert_event(self, body: str, created_at: str, due_at: str) -> tuple[Bound, Bound]:
        """Return the insert and the query of its id."""

    @abstractmethod
    def _write_balances(self, balances: Mapping[int, int]) -> Bound: ...
