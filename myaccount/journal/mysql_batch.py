"""A batch's statements, in SQL that MySQL and MariaDB both understand."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from ..database.database import DriverConnection
from ..database.pipeline import PACKET_LIMIT, run_mysql_pipeline
from ..database.statements import Bound, placeholders, sql_literal
from ..database.times import sql_time
from ..ledger.records import HELD, Account, AccountChange, AuditRow, Bulk, DeclineRow, Entry, HoldState, Order
from .batches import (
    ACCOUNT_COLUMNS,
    ACCOUNT_ROW_COLUMNS,
    ALWAYS_USED,
    AUDIT_COLUMNS,
    COMMITTED_ACCOUNTS,
    COMMITTED_COLUMNS,
    DECLINE_COLUMNS,
    ENTRY_COLUMNS,
    EXPIRE_HOLDS,
    HOLD_COLUMNS,
    ORDER_COLUMNS,
    BatchConnection,
    Locked,
    used_columns,
)
from .mysql_openings import MysqlOpenings
from .round_trips import StillLocked


class MysqlBatch(MysqlOpenings, BatchConnection):
    """A batch on MySQL or MariaDB, where the first statement begins the transaction."""

    def __init__(self, connection: DriverConnection) -> None:
        super().__init__(connection)
        self.limit_bytes = self._info[PACKET_LIMIT]

    async def _run(self, *statements: Bound) -> list[list[Any]]:
        return await run_mysql_pipeline(self._driver, statements, self.limit_bytes)

    async def begin(
        self, keys: Collection[int], order_ids: Collection[str], *, wait_milliseconds: int | None
    ) -> Locked:
        locking = super().begin(keys, order_ids, wait_milliseconds=wait_milliseconds)
        return await locking if wait_milliseconds is None else await self._locked(locking, StillLocked)

    def _find_first_accounts(self, user_ids: Collection[str]) -> Bound:
        return (
            f"SELECT COUNT(*), JSON_ARRAYAGG(JSON_ARRAY({ACCOUNT_ROW_COLUMNS})) FROM account"
            " JOIN (SELECT MIN(id) AS first FROM account"
            f" WHERE user_id IN ({placeholders(user_ids)}) GROUP BY user_id, currency) AS oldest ON id = first",
            tuple(user_ids),
        )

    def _find_accounts(self, account_ids: Collection[str]) -> Bound:
        return (
            f"SELECT COUNT(*), JSON_ARRAYAGG(JSON_ARRAY({ACCOUNT_ROW_COLUMNS})) FROM account"
            f" WHERE account_id IN ({placeholders(account_ids)})",
            tuple(account_ids),
        )

    def _find_targets(self, order_ids: Collection[str]) -> Bound:
        return (
            "SELECT COUNT(*), JSON_ARRAYAGG(JSON_ARRAY(order_id, from_account, to_account)) FROM `order`"
            f" WHERE order_id IN ({placeholders(order_ids)})",
            tuple(order_ids),
        )

    def _find_committed(self, order_ids: Collection[str]) -> Bound:
        return (
            f"SELECT COUNT(*), JSON_ARRAYAGG(JSON_ARRAY({COMMITTED_COLUMNS})) FROM `order` AS made"
            f" {COMMITTED_ACCOUNTS} WHERE order_id IN ({placeholders(order_ids)})",
            tuple(order_ids),
        )

    def _lock_accounts(self, keys: Collection[int], wait_milliseconds: int | None) -> Bound:
        select, tail = self._locking_select(wait_milliseconds)
        # Rows must be locked in the order of the primary key, or two batches could deadlock. Without the hint, the
        # optimiser may scan a small table in another order.
        return (
            f"{select} COUNT(*), JSON_ARRAYAGG(JSON_ARRAY({ACCOUNT_COLUMNS}))"
            f" FROM account FORCE INDEX (PRIMARY) WHERE id IN ({_listed(keys) or 'NULL'})"
            f" {tail}",
            (),
        )

    def _find_orders(self, order_ids: Collection[str]) -> Bound:
        now = "CAST(UTC_TIMESTAMP(6) AS CHAR)"
        if not order_ids:
            # Nearly always. It costs MariaDB half as much as a query of no rows.
            return f"SELECT 0, NULL, {now}", ()
        return (
            f"SELECT COUNT(*), JSON_ARRAYAGG(JSON_ARRAY({ORDER_COLUMNS})), {now}"
            f" FROM `order` WHERE order_id IN ({placeholders(order_ids)})",
            tuple(order_ids),
        )

    def _find_holds(self, order_ids: Collection[str]) -> Bound:
        return (
            f"SELECT COUNT(*), JSON_ARRAYAGG(JSON_ARRAY({HOLD_COLUMNS})) FROM hold"
            f" WHERE order_id IN ({placeholders(order_ids)})",
            tuple(order_ids),
        )

    def _find_expired_holds(self, payers: Collection[int], now: str, limit: int) -> Bound:
        return (
            # By the index, or the holds of all other accounts would be read while these are locked.
            f"SELECT COUNT(*), JSON_ARRAYAGG(JSON_ARRAY({HOLD_COLUMNS})) FROM (SELECT {HOLD_COLUMNS} FROM hold"
            f" FORCE INDEX (ix_hold_payer) WHERE payer IN ({_listed(payers)}) AND due_at <= {sql_literal(now)}"
            f" ORDER BY payer LIMIT {limit}) AS expired",
            (),
        )

    def _find_bulks(self, bulk_ids: Collection[str]) -> Bound:
        return (
            "SELECT COUNT(*), JSON_ARRAYAGG(JSON_ARRAY(bulk_id, fingerprint)) FROM bulk"
            f" WHERE bulk_id IN ({placeholders(bulk_ids)})",
            tuple(bulk_ids),
        )

    def _find_account_changes(self, change_ids: Collection[str]) -> Bound:
        return (
            f"SELECT COUNT(*), JSON_ARRAYAGG(change_id) FROM account_change"
            f" WHERE change_id IN ({placeholders(change_ids)})",
            tuple(change_ids),
        )

    def _insert_orders(self, orders: Sequence[Order], created_at: str) -> Bound:
        used = used_columns(orders)
        # The order's id, and what not every order has.
        parameters = [0, *list(used.values())[ALWAYS_USED:]]
        end = f"{',%s' * (len(parameters) - 1)},{sql_literal(created_at)}"
        rows = ",".join(
            f"(%s,'{order_type}',{from_account},{to_account},{amount},'{status}'{end})"
            for _, order_type, from_account, to_account, amount, status, *_ in orders
        )
        return (
            f"INSERT INTO `order` ({', '.join(used)}, created_at) VALUES {rows}",
            [order[place] for order in orders for place in parameters],
        )

    def _insert_entries(self, entries: Sequence[Entry]) -> Bound:
        any_held = any(entry.held for entry in entries)
        columns = f"{ENTRY_COLUMNS}, held" if any_held else ENTRY_COLUMNS
        rows = ",".join(
            f"({account},{number},%s,{amount},{balance}" + (f",{held or 'NULL'})" if any_held else ")")
            for account, number, _, amount, balance, held in entries
        )
        return f"INSERT INTO entry ({columns}) VALUES {rows}", [entry.order_id for entry in entries]

    def _insert_declines(self, declines: Sequence[DeclineRow]) -> Bound:
        rows = ",".join(
            f"({account},{number},%s,{entry},{balance},{held or 'NULL'})"
            for account, number, _, entry, balance, held in declines
        )
        return f"INSERT INTO decline ({DECLINE_COLUMNS}) VALUES {rows}", [row.order_id for row in declines]

    def _write_holds(self, holds: Sequence[HoldState]) -> Bound:
        rows = []
        for hold in holds:
            end = sql_literal(sql_time(hold.expires_at))
            due = end if hold.status == HELD else "NULL"
            values = f"{hold.payer},{hold.payee},{hold.remaining},{hold.captured},{sql_literal(hold.status)}"
            rows.append(f"(%s,{values},{end},{due})")
        changed = ("remaining", "captured", "status", "expires_at", "due_at")
        return (
            f"INSERT INTO hold ({HOLD_COLUMNS}, due_at) VALUES {','.join(rows)} ON DUPLICATE KEY UPDATE "
            + ", ".join(f"{column} = VALUES({column})" for column in changed),
            [hold.order_id for hold in holds],
        )

    def _expire_holds(self, order_ids: Collection[str]) -> Bound:
        return f"{EXPIRE_HOLDS} WHERE order_id IN ({placeholders(order_ids)})", tuple(order_ids)

    def _write_refunds(self, refunded: Mapping[str, int]) -> Bound:
        cases = " ".join(f"WHEN %s THEN {amount}" for amount in refunded.values())
        return (
            f"UPDATE `order` SET refunded = CASE order_id {cases} END"
            f" WHERE order_id IN ({placeholders(refunded)})",
            [*refunded, *refunded],
        )

    def _insert_bulks(self, bulks: Sequence[Bulk], created_at: str) -> Bound:
        rows = ",".join(f"(%s,{sql_literal(bulk.fingerprint)},{sql_literal(created_at)})" for bulk in bulks)
        return (
            f"INSERT INTO bulk (bulk_id, fingerprint, created_at) VALUES {rows}",
            [bulk.bulk_id for bulk in bulks],
        )

    def _insert_account_change(self, change: AccountChange, created_at: str) -> Bound:
        return (
            "INSERT INTO account_change (change_id, account, setting, value, reason, created_at, made_by)"
            f" VALUES (%s,{change.account},{sql_literal(change.setting)},%s,%s,{sql_literal(created_at)},%s)",
            (change.change_id, str(change.value), change.reason, change.made_by),
        )

    def _insert_audit(self, row: AuditRow, at: str) -> Bound:
        return (
            f"INSERT INTO audit ({AUDIT_COLUMNS}) VALUES (%s,%s,%s,%s,%s,%s,%s,%s)",
            (at, row.what, row.about_kind, row.about, *row.doer),
        )

    def _write_account(self, account: Account) -> Bound:
        return (
            f"UPDATE account SET floor = {'NULL' if account.floor is None else account.floor},"
            f" frozen = {sql_literal(account.frozen)}, status = {sql_literal(account.status)},"
            f" balance = {account.balance}, held = {account.held}, last_entry = {account.last_entry},"
            f" last_decline = {account.last_decline} WHERE id = {account.id}",
            (),
        )

    def _write_balances(self, accounts: Sequence[Account], columns: Sequence[str]) -> Bound:
        # INTERVAL finds the key's position among the sorted keys by binary search, and ELT returns the value
        # there.
        keys = _listed(account.id for account in accounts)
        place = f"INTERVAL(id,{keys})"
        values = ", ".join(
            f"{column} = ELT({place},{_listed(map(attrgetter(column), accounts))})" for column in columns
        )
        return f"UPDATE account SET {values} WHERE id IN ({keys})", ()

    def _insert_event(self, body: str, created_at: str, due_at: str) -> tuple[Bound, Bound]:
        row = f"(%s,0,{sql_literal(due_at)},{sql_literal(created_at)})"
        insert = f"INSERT INTO event (body, attempts, due_at, created_at) VALUES {row}"
        return (insert, (body,)), ("SELECT 1, JSON_ARRAY(LAST_INSERT_ID())", ())


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))
