"""A batch's transaction: a few round trips on the driver itself, past SQLAlchemy Core.

Core and the drivers take time for every statement, row and value, and the database for every round trip. So
statements are pipelined, and each query returns one JSON value. A single order costs the journal's process 0.7 ms
this way, 1.35 ms with a round trip for each statement, and 1.65 ms through Core.

What a client wrote is a parameter. Numbers, and constants of the program, are literals.
"""

from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from ..database.statements import Bound
from ..database.times import sql_time, utc_now
from ..ledger.records import EXPIRED, Account, AccountChange, AuditRow, Bulk, DeclineRow, Entry, HoldState, Order
from ..ledger.state import State
from ..outbox.events import due_after
from .opening_batch import OpeningBatch
from .round_trips import ROW_BYTES

# The columns of an order as its class has them. The key and the time are added when the row is inserted.
ORDER_COLUMNS: Final = (
    "order_id, order_type, from_account, to_account, amount, status, reason, made_by, fingerprint,"
    " target_order_id, bulk_id, note, reference, refunded"
)
# So many of these come first and have a value in each order.
ALWAYS_USED: Final = 6
# The first nine of an order, which are all that say what it is about, and each of its accounts.
COMMITTED_COLUMNS: Final = (
    "order_id, order_type, from_account, to_account, amount, made.status, reason, made_by, fingerprint,"
    " payer.id, payer.account_id, payer.user_id, payer.currency,"
    " payee.id, payee.account_id, payee.user_id, payee.currency"
)
COMMITTED_ACCOUNTS: Final = (
    "JOIN account AS payer ON payer.id = from_account JOIN account AS payee ON payee.id = to_account"
)
# Those of an entry, before `held`, which most have no value in.
ENTRY_COLUMNS: Final = "account, number, order_id, amount, balance"
DECLINE_COLUMNS: Final = "account, number, order_id, entry, balance, held"
ACCOUNT_COLUMNS: Final = (
    "id, balance, floor, last_entry, held, frozen, status, currency, account_id, user_id, team_id IS NOT NULL,"
    " last_decline"
)
ACCOUNT_ROW_COLUMNS: Final = "id, account_id, user_id, currency"
AUDIT_COLUMNS: Final = "at, what, about_kind, about, who_kind, who, address, request_id"
HOLD_COLUMNS: Final = "order_id, payer, payee, remaining, captured, status, expires_at"
EXPIRE_HOLDS: Final = "UPDATE hold SET remaining = 0, status = 'expired', due_at = NULL"
# How many expired holds one transaction ends.
EXPIRED_LIMIT: Final = 500
# Beside two ids and numbers, an order has a note, a reference and three more ids.
ORDER_BYTES: Final = 2_500
# A user's first accounts in all currencies, of which few users have more than some.
USER_BYTES: Final = 2_500


class AccountRow(NamedTuple):
    """What identifies an account: its key, and what never changes of it. The outside world has no user."""

    key: int
    account_id: str
    user_id: str | None
    currency: str

    def is_it(self, account: Account | None) -> bool:
        """Whether this is the account that was locked."""
        return account is not None and (account.id, account.account_id, account.user_id, account.currency) == self


class Locked(NamedTuple):
    """The accounts by key, earlier orders by id, and the database's time, once the accounts were locked."""

    accounts: dict[int, Account]
    orders: dict[str, Order]
    now: datetime


class BatchConnection(OpeningBatch):
    """One transaction on a driver's connection: `begin`, then `commit`; openings come before both."""

    async def find_accounts(
        self, user_ids: Collection[str], account_ids: Collection[str], order_ids: Collection[str]
    ) -> tuple[list[AccountRow], list[AccountRow], list[tuple[str, int, int]]]:
        """Return the users' oldest accounts in each currency, the accounts with these ids, and the orders.

        Of an order, its id and both account keys. What is not there is left out.
        """
        firsts, named, orders = await self._query(
            map(self._find_first_accounts, self._parts(user_ids, USER_BYTES)),
            map(self._find_accounts, self._parts(account_ids)),
            map(self._find_targets, self._parts(order_ids)),
        )
        return (
            [AccountRow(*row) for row in firsts],
            [AccountRow(*row) for row in named],
            [(order_id, payer, payee) for order_id, payer, payee in orders],
        )

    async def find_committed(self, order_ids: Collection[str]) -> list[tuple[Order, AccountRow, AccountRow]]:
        """Return the committed orders of these ids, each with its accounts. Nothing is locked.

        Of an order that is about another one, not all is returned. It begins the transaction.
        """
        (rows,) = await self._query(map(self._find_committed, self._parts(order_ids, ORDER_BYTES)))
        return [(Order(*row[:9]), AccountRow(*row[9:13]), AccountRow(*row[13:])) for row in rows]

    async def begin(
        self, keys: Collection[int], order_ids: Collection[str], *, wait_milliseconds: int | None
    ) -> Locked:
        """Lock the accounts until the transaction ends; return them, earlier orders, and the time.

        Raises StillLocked if another transaction holds one for longer than `wait_milliseconds`. None means not to
        wait: such an account is left out.

        The accounts are locked first. If another process had the same order, it has committed it by then, and READ
        COMMITTED shows it.
        """
        # In ascending order, so that two batches cannot deadlock.
        locks = [self._lock_accounts(part, wait_milliseconds) for part in self._parts(sorted(keys))]
        # Without orders, the query still returns the time.
        finds = map(self._find_orders, self._parts(order_ids, ORDER_BYTES) or [()])
        answers = await self._run(*locks, *finds)
        *_, (*_, now) = answers
        return Locked(
            {row[0]: Account(*row) for rows in answers[: len(locks)] for row in rows},
            {row[0]: Order(*row) for rows in answers[len(locks) :] for row in rows[:-1]},
            datetime.fromisoformat(now),
        )

    async def find_holds(
        self, order_ids: Collection[str], payers: Collection[int], now: datetime
    ) -> tuple[dict[str, HoldState], list[int]]:
        """Return the holds of these orders, and up to EXPIRED_LIMIT that have expired of these payers.

        The payers' accounts are locked. Return also the payers of whom more may have expired.
        """
        if not order_ids and not payers:
            return {}, []
        limit = min(EXPIRED_LIMIT, self._rows_at_once(ROW_BYTES))
        named, expired = await self._query(
            map(self._find_holds, self._parts(order_ids)),
            [self._find_expired_holds(payers, sql_time(now), limit)] if payers else [],
        )
        holds = {row[0]: _hold(row) for row in [*named, *expired]}
        if len(expired) < limit:
            return holds, []
        # They come by their payers' keys, so those of all lesser keys were found.
        last = max(payer for _, payer, *_ in expired)
        return holds, [payer for payer in payers if payer >= last]

    async def find_bulks(self, bulk_ids: Collection[str]) -> dict[str, Bulk]:
        (found,) = await self._query(map(self._find_bulks, self._parts(bulk_ids)))
        return {row[0]: Bulk(*row) for row in found}

    async def find_account_changes(self, change_ids: Collection[str]) -> set[str]:
        """Return which of these changes of accounts were made before."""
        (found,) = await self._query(map(self._find_account_changes, self._parts(change_ids)))
        return set(found)

    async def commit(self, state: State, events: Iterable[str]) -> list[int]:
        """Write everything that the batch changed, with its events, and commit; return the events' ids."""
        now = sql_time(state.now)
        holds = state.new_holds | state.changed_holds
        expired = [hold.order_id for hold in holds.values() if hold.status == EXPIRED]
        open_or_ended = [hold for hold in holds.values() if hold.status != EXPIRED]
        statements = [
            *[self._insert_orders(part, now) for part in self._parts(state.new_orders, ORDER_BYTES)],
            *map(self._insert_entries, self._parts(state.new_entries)),
            *map(self._insert_declines, self._parts(state.new_declines)),
            *map(self._write_holds, self._parts(open_or_ended)),
            *map(self._expire_holds, self._parts(expired)),
            *[self._write_refunds(dict(part)) for part in self._parts(state.refunded.items())],
            *[self._insert_bulks(part, now) for part in self._parts(state.new_bulks)],
            *[self._insert_account_change(change, now) for change in state.account_changes],
            *[self._insert_audit(row, now) for row in state.audit],
        ]
        accounts = sorted(state.changed_accounts.values(), key=lambda account: account.id)
        # With a new limit, its balance must be written in the same statement: the table's CHECK compares them.
        reset = {change.account for change in state.account_changes}
        statements += [self._write_account(account) for account in accounts if account.id in reset]
        others = [account for account in accounts if account.id not in reset]
        columns = ["balance", "last_entry"]
        if holds:
            columns.append("held")
        if state.new_declines:
            columns.append("last_decline")
        statements += [self._write_balances(part, columns) for part in self._parts(others)]
        for body in events:
            # The sweeper compares this with this process's clock.
            statements += self._insert_event(body, now, sql_time(due_after(utc_now())))
        found = await self._run(*statements, ("COMMIT", ()))
        return [int(event_id) for (event_id,) in found]

    @abstractmethod
    def _find_first_accounts(self, user_ids: Collection[str]) -> Bound: ...

    @abstractmethod
    def _find_accounts(self, account_ids: Collection[str]) -> Bound: ...

    @abstractmethod
    def _find_targets(self, order_ids: Collection[str]) -> Bound: ...

    @abstractmethod
    def _find_committed(self, order_ids: Collection[str]) -> Bound: ...

    @abstractmethod
    def _lock_accounts(self, keys: Collection[int], wait_milliseconds: int | None) -> Bound: ...

    @abstractmethod
    def _find_orders(self, order_ids: Collection[str]) -> Bound:
        """Return the query of the orders, and of the time as its last value."""

    @abstractmethod
    def _find_holds(self, order_ids: Collection[str]) -> Bound: ...

    @abstractmethod
    def _find_expired_holds(self, payers: Collection[int], now: str, limit: int) -> Bound:
        """Return the query of the first so many by their payers' keys."""

    @abstractmethod
    def _find_bulks(self, bulk_ids: Collection[str]) -> Bound: ...

    @abstractmethod
    def _find_account_changes(self, change_ids: Collection[str]) -> Bound: ...

    @abstractmethod
    def _insert_orders(self, orders: Sequence[Order], created_at: str) -> Bound: ...

    @abstractmethod
    def _insert_entries(self, entries: Sequence[Entry]) -> Bound: ...

    @abstractmethod
    def _insert_declines(self, declines: Sequence[DeclineRow]) -> Bound: ...

    @abstractmethod
    def _write_holds(self, holds: Sequence[HoldState]) -> Bound: ...

    @abstractmethod
    def _expire_holds(self, order_ids: Collection[str]) -> Bound:
        """Return the statement that ends them. All change alike, so one update of many rows does it."""

    @abstractmethod
    def _write_refunds(self, refunded: Mapping[str, int]) -> Bound: ...

    @abstractmethod
    def _insert_bulks(self, bulks: Sequence[Bulk], created_at: str) -> Bound: ...

    @abstractmethod
    def _insert_account_change(self, change: AccountChange, created_at: str) -> Bound: ...

    @abstractmethod
    def _insert_audit(self, row: AuditRow, at: str) -> Bound: ...

    @abstractmethod
    def _write_account(self, account: Account) -> Bound: ...

    @abstractmethod
    def _write_balances(self, accounts: Sequence[Account], columns: Sequence[str]) -> Bound:
        """Return the statement that writes what may have changed of accounts without a new setting."""

    @abstractmethod
    def _insert_event(self, body: str, created_at: str, due_at: str) -> tuple[Bound, Bound]:
        """Return the insert and the query of its id."""


def used_columns(orders: Iterable[Order]) -> dict[str, int]:
    """Return the columns that any of the orders has a value in, and their places; most orders use few."""
    by_column = zip(ORDER_COLUMNS.split(", "), zip(*orders, strict=True), strict=True)
    return {column: place for place, (column, values) in enumerate(by_column) if any(values)}


def _hold(row: Sequence[Any]) -> HoldState:
    order_id, payer, payee, remaining, captured, status, expires_at = row
    return HoldState(order_id, payer, payee, remaining, captured, status, datetime.fromisoformat(expires_at))
