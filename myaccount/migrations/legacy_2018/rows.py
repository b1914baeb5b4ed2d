"""Copies the rows of the 2018 demo's tables to ours.

The demo compared ids with its own collation, which ignores case. So the database itself looks up the user of each
order, with that collation.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects import mysql

from .conversion import UNUSABLE_ID, DemoAccount, DemoOrder, Order, convert, format_amount, is_usable_id
from .tables import EXACT, Report

PAGE_SIZE: Final = 5000

_TIME: Final = bindparam("now", type_=mysql.DATETIME(fsp=6))
_INSERT_USERS: Final = text("""\
INSERT INTO user (id, user_id, user_name, sex, card_num, created_at)
SELECT ID, USER_ID, COALESCE(USER_NAME, ''), COALESCE(SEX, ''), COALESCE(CARD_NUM, ''), :now
FROM demo_user ORDER BY ID""").bindparams(_TIME)
_INSERT_USER: Final = text(
    "INSERT INTO user (user_id, user_name, sex, card_num, created_at) VALUES (:user_id, '', '', '', :now)"
).bindparams(_TIME)
_USERS: Final = text(f"""\
SELECT u.id, u.user_id, d.USER_NAME IS NULL OR d.SEX IS NULL OR d.CARD_NUM IS NULL
FROM user u JOIN demo_user d ON d.ID = u.id WHERE u.id > :after ORDER BY u.id LIMIT {PAGE_SIZE}""")
_USERS_WITHOUT_ROW: Final = text("""\
SELECT MIN(a.USER_ID) FROM demo_account a LEFT JOIN demo_owner o ON o.USER_ID = a.USER_ID
WHERE o.USER_ID IS NULL AND a.USER_ID IS NOT NULL GROUP BY a.USER_ID""")
_ACCOUNTS: Final = text(f"""\
SELECT a.ID AS id, a.ACCOUNT_ID, COALESCE(a.ACCOUNT_TYPE, ''), COALESCE(u.user_id, o.OWNER), a.BALANCE
FROM demo_account a LEFT JOIN demo_owner o ON o.USER_ID = a.USER_ID
LEFT JOIN user u ON u.user_id = {EXACT.format("a.USER_ID")}
WHERE a.ID > :after ORDER BY a.ID LIMIT {PAGE_SIZE}""")
# All values are parameters: otherwise the driver would not put many rows into one statement.
_INSERT_ACCOUNT: Final = text(
    "INSERT INTO account (id, account_id, account_type, user_id, currency, balance, floor, created_at)"
    " VALUES (:id, :account_id, :account_type, :user_id, :currency, :balance, :floor, :now)"
).bindparams(_TIME)
_ORDERS: Final = text(f"""\
SELECT o.ID AS id, o.ORDER_ID, COALESCE(o.ORDER_TYPE, ''), COALESCE(o.AMOUNT, 0),
       COALESCE(o.FROM_USER_ID, ''), COALESCE(o.TO_USER_ID, ''), payer.ACCOUNT, payee.ACCOUNT
FROM demo_order o LEFT JOIN demo_payer payer ON payer.USER_ID = o.FROM_USER_ID
LEFT JOIN demo_payee payee ON payee.USER_ID = o.TO_USER_ID
WHERE o.ID > :after ORDER BY o.ID LIMIT {PAGE_SIZE}""")
_INSERT_ORDER: Final = text(
    "INSERT INTO `order` (order_id, order_type, from_account, to_account, amount, from_balance, to_balance,"
    " status, reason, created_at) VALUES (:order_id, :order_type, :from_account, :to_account, :amount,"
    " :from_balance, :to_balance, :status, :reason, :now)"
).bindparams(_TIME)


def copy_rows(connection: Connection, report: Report) -> None:
    """Copy the demo's rows to our tables; report each deviation from them, and the counts at the end."""
    now = datetime.now(UTC).replace(tzinfo=None)
    _create_lookups(connection)
    users = connection.execute(_INSERT_USERS, {"now": now}).rowcount
    _insert_missing_users(connection, report, now)
    for page in _pages(connection, _USERS):
        for _, user_id, incomplete in page:
            if incomplete:
                report(f"user {user_id!r}: the name, sex or card number was NULL: entered as empty text")
            if not is_usable_id(user_id):
                report(f"user {user_id!r}: {UNUSABLE_ID}")
    accounts = _insert_accounts(connection, report, now)
    outside = -sum(account.balance for account in accounts.values())
    connection.execute(text("UPDATE account SET balance = :balance WHERE id = 1"), {"balance": outside})
    counts = _insert_orders(connection, report, now, accounts)
    report(
        f"{users} users, {len(accounts)} accounts and {counts['orders']} orders of the demo: "
        f"{counts['entered']} orders and {counts['openings']} opening entries are in the journal. "
        f"The balances add up to {format_amount(-outside)}."
    )


def _create_lookups(connection: Connection) -> None:
    """Create temporary tables to look up users, and users' first accounts, with the demo's collation.

    There are two of the accounts, since MySQL cannot read a temporary table twice in a statement.
    """
    first = "SELECT USER_ID, MIN(ID) + 1 AS ACCOUNT FROM demo_account GROUP BY USER_ID"
    owner = "SELECT USER_ID, MIN(USER_ID) AS OWNER FROM demo_user GROUP BY USER_ID"
    for name, query in (("demo_payer", first), ("demo_payee", first), ("demo_owner", owner)):
        connection.execute(text(f"CREATE TEMPORARY TABLE {name} (KEY (USER_ID)) {query}"))


def _insert_missing_users(connection: Connection, report: Report, now: Any) -> None:
    for user_id in list(connection.execute(_USERS_WITHOUT_ROW).scalars()):
        report(f"user {user_id!r}: had an account and no row: entered, with an empty name")
        if not is_usable_id(user_id):
            report(f"user {user_id!r}: {UNUSABLE_ID}")
        connection.execute(_INSERT_USER, {"user_id": user_id, "now": now})
        connection.execute(text("INSERT INTO demo_owner VALUES (:user_id, :user_id)"), {"user_id": user_id})


def _insert_accounts(connection: Connection, report: Report, now: Any) -> dict[int, DemoAccount]:
    """Insert the accounts, each under its old key plus one: key 1 is the outside world's."""
    accounts: dict[int, DemoAccount] = {}
    holders: set[str] = set()
    for page in _pages(connection, _ACCOUNTS):
        rows = []
        for id_, account_id, account_type, user_id, balance in page:
            account = DemoAccount(account_id, _cents(balance or 0))
            accounts[id_ + 1] = account
            if balance is None:
                report(f"account {account_id!r}: its balance was NULL: entered as 0.00")
            for deviation in _deviations(account, user_id, holders):
                report(f"account {account_id!r}: {deviation}")
            holders.add(user_id)
            rows.append(
                {
                    "id": id_ + 1,
                    "account_id": account_id,
                    "account_type": account_type,
                    "user_id": user_id,
                    "currency": "CNY",
                    "balance": account.balance,
                    "floor": min(0, account.balance),
                    "now": now,
                }
            )
        connection.execute(_INSERT_ACCOUNT, rows)
    return accounts


def _deviations(account: DemoAccount, user_id: str | None, holders: set[str]) -> Iterator[str]:
    if account.balance < 0:
        yield f"its balance of {format_amount(account.balance)} is below zero: that is its floor from now on"
    if user_id is None:
        yield "it belongs to no user: kept, and no client can use it"
    elif user_id in holders:
        yield f"it is not the first of user {user_id!r}: all orders of the user are entered on the first"
    if not is_usable_id(account.account_id):
        yield UNUSABLE_ID


def _insert_orders(
    connection: Connection, report: Report, now: Any, accounts: dict[int, DemoAccount]
) -> dict[str, int]:
    counts = {"orders": 0, "entered": 0, "openings": 0}
    prefix = _opening_prefix(connection)

    def read_orders() -> Iterator[DemoOrder]:
        counts["orders"] = 0
        for page in _pages(connection, _ORDERS):
            counts["orders"] += len(page)
            for _, order_id, order_type, amount, *parties in page:
                yield DemoOrder(order_id, order_type, _cents(amount), *parties)

    def rows() -> Iterator[Order]:
        for row in convert(accounts, read_orders, prefix):
            if isinstance(row, str):
                report(row)
            else:
                counts["openings" if row.order_id.startswith(prefix) else "entered"] += 1
                yield row

    journal = rows()
    while batch := list(islice(journal, PAGE_SIZE)):
        connection.execute(_INSERT_ORDER, [{**row._asdict(), "now": now} for row in batch])
    return counts


def _opening_prefix(connection: Connection) -> str:
    """Return a prefix with which no order id begins. It contains a space, so no client can send such an id."""
    prefix = "opening "
    taken = text("SELECT 1 FROM demo_order WHERE ORDER_ID LIKE :pattern LIMIT 1")
    while connection.execute(taken, {"pattern": f"{prefix}%"}).first():
        prefix += " "
    return prefix


def _pages(connection: Connection, query: Any) -> Iterator[list[Any]]:
    after = -1
    while page := list(connection.execute(query, {"after": after})):
        yield page
        after = page[-1].id


def _cents(amount: Decimal | int) -> int:
    return int(amount * 100)
