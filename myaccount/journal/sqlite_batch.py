"""A batch's statements for the embedded file."""

from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any

from ..database.pipeline import run_sqlite_pipeline
from ..database.statements import Bound
from ..database.times import sql_time, utc_now
from ..ledger.records import HELD, Account, AccountChange, AuditRow, Bulk, DeclineRow, Entry, HoldState, Order
from .batches import (
    ACCOUNT_COLUMNS,
    ACCOUNT_ROW_COLUMNS,
    AUDIT_COLUMNS,
    COMMITTED_ACCOUNTS,
    COMMITTED_COLUMNS,
    DECLINE_COLUMNS,
    ENTRY_COLUMNS,
    EXPIRE_HOLDS,
    HOLD_COLUMNS,
    ORDER_COLUMNS,
    AccountRow,
    BatchConnection,
    Locked,
    used_columns,
)
from .sqlite_openings import SqliteOpenings, json_array, members


class SqliteBatch(SqliteOpenings, BatchConnection):
    """A batch on the embedded file, which has one writer at a time: BEGIN IMMEDIATE takes the lock."""

    async def _run(self, *statements: Bound) -> list[list[Any]]:
        return await run_sqlite_pipeline(self._driver, statements)

    async def find_committed(self, order_ids: Collection[str]) -> list[tuple[Order, AccountRow, AccountRow]]:
        await self._begin()
        return await super().find_committed(order_ids)

    async def begin(
        self, keys: Collection[int], order_ids: Collection[str], *, wait_milliseconds: int | None
    ) -> Locked:
        await self._begin()
        return await super().begin(keys, order_ids, wait_milliseconds=wait_milliseconds)

    def _find_first_accounts(self, user_ids: Collection[str]) -> Bound:
        return (
            f"SELECT count(*), json_group_array(json_array({ACCOUNT_ROW_COLUMNS})) FROM account"
            " WHERE id IN (SELECT min(id) FROM account"
            " WHERE user_id IN (SELECT value FROM json_each(?)) GROUP BY user_id, currency)",
            (json_array(user_ids),),
        )

    def _find_accounts(self, account_ids: Collection[str]) -> Bound:
        return (
            f"SELECT count(*), json_group_array(json_array({ACCOUNT_ROW_COLUMNS})) FROM account"
            " WHERE account_id IN (SELECT value FROM json_each(?))",
            (json_array(account_ids),),
        )

    def _find_targets(self, order_ids: Collection[str]) -> Bound:
        return (
            'SELECT count(*), json_group_array(json_array(order_id, from_account, to_account)) FROM "order"'
            " WHERE order_id IN (SELECT value FROM json_each(?))",
            (json_array(order_ids),),
        )

    def _find_committed(self, order_ids: Collection[str]) -> Bound:
        return (
            f'SELECT count(*), json_group_array(json_array({COMMITTED_COLUMNS})) FROM "order" AS made'
            f" {COMMITTED_ACCOUNTS} WHERE order_id IN (SELECT value FROM json_each(?))",
            (json_array(order_ids),),
        )

    def _lock_accounts(self, keys: Collection[int], wait_milliseconds: int | None) -> Bound:
        # The transaction has the whole file locked already.
        return (
            f"SELECT count(*), json_group_array(json_array({ACCOUNT_COLUMNS}))"
            " FROM account WHERE id IN (SELECT value FROM json_each(?))",
            (json_array(keys),),
        )

    def _find_orders(self, order_ids: Collection[str]) -> Bound:
        # The database's time is this process's: SQLite's own has no microseconds.
        return (
            f'SELECT count(*), json_group_array(json_array({ORDER_COLUMNS})), ? FROM "order"'
            " WHERE order_id IN (SELECT value FROM json_each(?))",
            (sql_time(utc_now()), json_array(order_ids)),
        )

    def _find_holds(self, order_ids: Collection[str]) -> Bound:
        return (
            f"SELECT count(*), json_group_array(json_array({HOLD_COLUMNS})) FROM hold"
            " WHERE order_id IN (SELECT value FROM json_each(?))",
            (json_array(order_ids),),
        )

    def _find_expired_holds(self, payers: Collection[int], now: str, limit: int) -> Bound:
        return (
            f"SELECT count(*), json_group_array(json_array({HOLD_COLUMNS})) FROM (SELECT {HOLD_COLUMNS} FROM hold"
            " WHERE payer IN (SELECT value FROM json_each(?)) AND due_at <= ? ORDER BY payer LIMIT ?)",
            (json_array(payers), now, limit),
        )

    def _find_bulks(self, bulk_ids: Collection[str]) -> Bound:
        return (
            "SELECT count(*), json_group_array(json_array(bulk_id, fingerprint)) FROM bulk"
            " WHERE bulk_id IN (SELECT value FROM json_each(?))",
            (json_array(bulk_ids),),
        )

    def _find_account_changes(self, change_ids: Collection[str]) -> Bound:
        return (
            "SELECT count(*), json_group_array(change_id) FROM account_change"
            " WHERE change_id IN (SELECT value FROM json_each(?))",
            (json_array(change_ids),),
        )

    def _insert_orders(self, orders: Sequence[Order], created_at: str) -> Bound:
        used = used_columns(orders)
        return (
            f'INSERT INTO "order" ({", ".join(used)}, created_at)'
            f" SELECT {members(used.values())}, ? FROM json_each(?)",
            (created_at, json_array(orders)),
        )

    def _insert_entries(self, entries: Sequence[Entry]) -> Bound:
        return (
            f"INSERT INTO entry ({ENTRY_COLUMNS}, held) SELECT {members(range(6))} FROM json_each(?)",
            (json_array(entries),),
        )

    def _insert_declines(self, declines: Sequence[DeclineRow]) -> Bound:
        return (
            f"INSERT INTO decline ({DECLINE_COLUMNS}) SELECT {members(range(6))} FROM json_each(?)",
            (json_array(declines),),
        )

    def _write_holds(self, holds: Sequence[HoldState]) -> Bound:
        rows = [
            [
                hold.order_id,
                hold.payer,
                hold.payee,
                hold.remaining,
                hold.captured,
                hold.status,
                sql_time(hold.expires_at),
                sql_time(hold.expires_at) if hold.status == HELD else None,
            ]
            for hold in holds
        ]
        changed = ("remaining", "captured", "status", "expires_at", "due_at")
        return (
            # WHERE true: without it, ON would begin the condition of a join.
            f"INSERT INTO hold ({HOLD_COLUMNS}, due_at) SELECT {members(range(8))} FROM json_each(?) WHERE true"
            " ON CONFLICT (order_id) DO UPDATE SET "
            + ", ".join(f"{column} = excluded.{column}" for column in changed),
            (json_array(rows),),
        )

    def _expire_holds(self, order_ids: Collection[str]) -> Bound:
        return f"{EXPIRE_HOLDS} WHERE order_id IN (SELECT value FROM json_each(?))", (json_array(order_ids),)

    def _write_refunds(self, refunded: Mapping[str, int]) -> Bound:
        return (
            'UPDATE "order" SET refunded = new.value ->> 1 FROM json_each(?) AS new'
            ' WHERE "order".order_id = new.value ->> 0',
            (json_array(list(refunded.items())),),
        )

    def _insert_bulks(self, bulks: Sequence[Bulk], created_at: str) -> Bound:
        return (
            f"INSERT INTO bulk (bulk_id, fingerprint, created_at) SELECT {members(range(2))}, ? FROM json_each(?)",
            (created_at, json_array(bulks)),
        )

    def _insert_account_change(self, change: AccountChange, created_at: str) -> Bound:
        return (
            "INSERT INTO account_change (change_id, account, setting, value, reason, created_at, made_by)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                change.change_id,
                change.account,
                change.setting,
                str(change.value),
                change.reason,
                created_at,
                change.made_by,
            ),
        )

    def _insert_audit(self, row: AuditRow, at: str) -> Bound:
        return (
            f"INSERT INTO audit ({AUDIT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (at, row.what, row.about_kind, row.about, *row.doer),
        )

    def _write_account(self, account: Account) -> Bound:
        return (
            "UPDATE account SET floor = ?, frozen = ?, status = ?, balance = ?, held = ?, last_entry = ?,"
            " last_decline = ? WHERE id = ?",
            (
                account.floor,
                account.frozen,
                account.status,
                account.balance,
                account.held,
                account.last_entry,
                account.last_decline,
                account.id,
            ),
        )

    def _write_balances(self, accounts: Sequence[Account], columns: Sequence[str]) -> Bound:
        values = ", ".join(f"{column} = new.value ->> {place}" for place, column in enumerate(columns, start=1))
        return (
            f"UPDATE account SET {values} FROM json_each(?) AS new WHERE account.id = new.value ->> 0",
            (json_array(list(map(attrgetter("id", *columns), accounts))),),
        )

    def _insert_event(self, body: str, created_at: str, due_at: str) -> tuple[Bound, Bound]:
        insert = "INSERT INTO event (body, attempts, due_at, created_at) VALUES (?, 0, ?, ?)"
        return (insert, (body, due_at, created_at)), ("SELECT 1, json_array(last_insert_rowid())", ())
