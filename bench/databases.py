"""The private database servers that are measured, and the accounts that they begin with."""

import sqlite3
from pathlib import Path
from typing import Any

from tests.helpers.engines import MySQL8, OceanBase
from tests.helpers.servers import MariaDB

# For all engines. Each account begins with a million, by a recharge of its own, so that the books balance.
FILL_ACCOUNTS = """
INSERT INTO user (user_id, user_name, sex, card_num, created_at)
SELECT 'u' || seq, 'N', 'F', '6222', {now} FROM {numbers};
INSERT INTO account (id, account_id, account_type, user_id, currency, balance, floor, created_at)
SELECT seq + 1, 'a' || seq, '01', 'u' || seq, 'CNY', 100000000, 0, {now} FROM {numbers};
UPDATE account SET balance = -100000000 * {accounts} WHERE id = 1;
"""
FILL_ORDERS = """
INSERT INTO `order` (order_id, order_type, from_account, to_account, amount, status, created_at)
SELECT 'opening-' || seq, '01', 1, seq + 1, 100000000, 'posted', {now} FROM {numbers};
INSERT INTO entry (account, number, order_id, amount, balance)
SELECT 1, seq, 'opening-' || seq, -100000000, -100000000 * CAST(seq AS SIGNED) FROM {numbers};
INSERT INTO entry (account, number, order_id, amount, balance)
SELECT seq + 1, 1, 'opening-' || seq, 100000000, 100000000 FROM {numbers};
UPDATE account SET last_entry = CASE id WHEN 1 THEN {accounts} ELSE 1 END;
"""
NUMBERS = (
    "(WITH RECURSIVE numbers (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM numbers WHERE seq < {accounts})"
    " SELECT seq FROM numbers) AS numbers"
)


def _filling(script: str, accounts: int, now: str) -> str:
    return script.format(accounts=accounts, numbers=NUMBERS.format(accounts=accounts), now=now)


class BenchServer(MariaDB):
    """What the benchmark asks of a server of any engine."""

    # Allows numbers up to the largest number of accounts.
    recursion = "SET SESSION cte_max_recursion_depth = 10000000"

    def filled_database(self, accounts: int) -> str:
        """Return the name of a new database with so many accounts, u1 and up, a million on each."""
        name = self.new_ledger()
        self.fill(name, FILL_ACCOUNTS + FILL_ORDERS, accounts)
        return name

    def database_of(self, checkout: Path, accounts: int) -> str:
        """Return the name of a new database with the tables of another checkout.

        It has so many accounts, u1 and up, a million on each, but no orders: their tables differ from version to
        version.
        """
        name = self.new_database()
        self.run_script(name, checkout / "sql" / "sql.sql")
        self.fill(name, FILL_ACCOUNTS, accounts)
        return name

    def fill(self, database: str, script: str, accounts: int) -> None:
        """Run a script such as FILL_ACCOUNTS."""
        self.run(database, _filling(script, accounts, "UTC_TIMESTAMP(6)"))

    def run(self, database: str, script: str) -> None:
        """Run the statements, in which || concatenates."""
        with self.connect(database=database) as connection, connection.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = CONCAT(@@sql_mode, ',PIPES_AS_CONCAT')")
            cursor.execute(self.recursion)
            for statement in script.split(";"):
                if statement.strip():
                    cursor.execute(statement)

    def rows(self, database: str, query: str) -> list[Any]:
        with self.connect(database=database) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def mysql_section(self, database: str) -> dict[str, Any]:
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "db": database,
            "user": self.user,
            "password": self.password,
            "minsize": 1,
            "maxsize": 5,
        }


class BenchMariaDB(BenchServer):
    """MariaDB that loses no commit, with the default buffer pool raised to 1 GiB."""

    recursion = "SET SESSION max_recursive_iterations = 10000000"

    def command(self) -> list[str]:
        # Files and input as the server has them by default; the tests' are smaller.
        return [*super().command(), *LARGE, "--innodb-file-per-table=1"]

    def url(self, driver: str, database: str) -> str:
        return f"mysql+{driver}://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}?charset=utf8mb4"


class BenchMySQL8(MySQL8, BenchServer):
    """MySQL 8, like the MariaDB. It writes a binary log too, as it does by default."""

    def command(self) -> list[str]:
        return [*super().command(), *LARGE]


class BenchOceanBase(OceanBase, BenchServer):
    """OceanBase's engine as `make engines` has it."""


LARGE = (
    "--innodb-buffer-pool-size=1G",
    "--innodb-log-file-size=1G",
    "--innodb-use-native-aio=1",
    "--max-connections=300",
)


def fill_embedded(file: Path, accounts: int, script: str = FILL_ACCOUNTS + FILL_ORDERS) -> None:
    """Fill the embedded file of a running service with what MariaDB gets."""
    statements = _filling(script, accounts, "strftime('%Y-%m-%d %H:%M:%f000', 'now')")
    connection = sqlite3.connect(file)
    connection.executescript(f"BEGIN IMMEDIATE; {statements} COMMIT;")
    connection.close()


def embedded_rows(file: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(file)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()
