"""`make bench-holds`: how much a million holds that end at once slow orders, and how soon each end is announced.

Their money is available at their end: that is no work of the sweeper's, and tests prove it. Measured is the work.
"""

import sqlite3
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from .databases import FILL_ACCOUNTS, FILL_ORDERS, BenchMariaDB, fill_embedded
from .load import WARM_UP_SECONDS, wrk
from .processes import cpu_seconds, processes
from .servers import database_and_queue, my_account

POLL_SECONDS = 0.2
# The transfers are between accounts without holds, or they would end some themselves.
ACCOUNTS = 10_000
# Each further account has one. All end at one moment, which comes after the transfers before it are measured: so
# what the database does long after the fill burdens both measurements alike.
FILL_HOLDS = """
INSERT INTO `order` (order_id, order_type, from_account, to_account, amount, status, created_at)
SELECT 'hold-' || seq, '05', seq + 1, 1, 1, 'posted', {now} FROM {numbers} WHERE seq > 10000;
INSERT INTO hold (order_id, payer, payee, remaining, captured, status, expires_at, due_at)
SELECT 'hold-' || seq, seq + 1, 1, 1, 0, 'held', {{end}}, {{end}} FROM {numbers} WHERE seq > 10000;
UPDATE account SET held = 1 WHERE id > 10001;
"""
ENDED = "SELECT COUNT(*) FROM (SELECT 1 FROM hold WHERE due_at IS NOT NULL LIMIT 1) AS one"
TOLD = "SELECT COUNT(*) FROM event"
LEFT = "SELECT COUNT(*) FROM hold WHERE due_at IS NOT NULL"


class Ledger(Protocol):
    """A ledger with accounts to fill, and one more for each hold."""

    def run(self, script: str) -> None:
        """Run the statements in one transaction."""

    def count(self, query: str) -> int: ...


class OnMariaDB:
    def __init__(self, mariadb: BenchMariaDB, accounts: int) -> None:
        self._mariadb = mariadb
        self.name = mariadb.new_ledger()
        self._accounts = accounts

    def run(self, script: str) -> None:
        self._mariadb.fill(self.name, f"START TRANSACTION; {script} COMMIT", self._accounts)

    def count(self, query: str) -> int:
        with self._mariadb.connect(database=self.name) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            (count,) = cursor.fetchone() or (0,)
        return int(count)


class Embedded:
    def __init__(self, file: Path, accounts: int) -> None:
        self._file = file
        self._accounts = accounts

    def run(self, script: str) -> None:
        fill_embedded(self._file, self._accounts, script)

    def count(self, query: str) -> int:
        connection = sqlite3.connect(self._file)
        (count,) = connection.execute(query).fetchone()
        connection.close()
        return int(count)


class Ends(NamedTuple):
    """Transfers a second before and while holds end, and how fast the rest of the holds end without other load."""

    before: dict[str, Any]
    meanwhile: dict[str, Any]
    ended_meanwhile: int
    ended: int
    ended_seconds: float
    told_seconds: float
    # Of the service and the database.
    cpu_us: float

    def __str__(self) -> str:
        before, meanwhile = self.before, self.meanwhile
        return (
            f"transfers before: {_described(before)}\n"
            f"while holds end:  {_described(meanwhile)}\n"
            f"while / before: {meanwhile['rate'] / before['rate']:.2f} (at least 0.8)\n"
            f"ended meanwhile {self.ended_meanwhile}, the other {self.ended} in {self.ended_seconds:.1f} s,"
            f" told after {self.told_seconds:.1f} s; {self.cpu_us:.0f} us of processor time each"
        )


def _measure(ledger: Ledger, address: str, pids: Sequence[int], seconds: int, holds: int) -> Ends:
    """Measure transfers without and with so many holds that end, and then the ends alone."""
    began = time.monotonic()
    ledger.run(FILL_ACCOUNTS + FILL_ORDERS)
    # The holds take less time than their accounts did.
    lead_seconds = time.monotonic() - began + 2 * WARM_UP_SECONDS + seconds
    end = datetime.now(UTC) + timedelta(seconds=lead_seconds)
    ledger.run(FILL_HOLDS.replace("{{end}}", f"'{end:%Y-%m-%d %H:%M:%S.%f}'"))
    before = wrk(address, "transfer", seconds, accounts=ACCOUNTS, costs={"cpu_us": pids})
    left_seconds = (end - datetime.now(UTC)).total_seconds()
    if left_seconds < 0:
        raise RuntimeError("The holds have ended before the load did: the machine became slower meanwhile.")
    time.sleep(left_seconds)
    meanwhile = wrk(address, "transfer", seconds, accounts=ACCOUNTS, costs={"cpu_us": pids})
    left = ledger.count(LEFT)
    if not left:
        raise RuntimeError("All holds had ended before the load did: take more of them.")
    used, began = cpu_seconds(pids), time.monotonic()
    _wait_until_none(ledger, ENDED)
    ended_seconds = time.monotonic() - began
    _wait_until_none(ledger, TOLD)
    told_seconds = time.monotonic() - began
    cpu_us = (cpu_seconds(pids) - used) / left * 1e6
    return Ends(before, meanwhile, holds - left, left, ended_seconds, told_seconds, cpu_us)


def _wait_until_none(ledger: Ledger, query: str) -> None:
    while ledger.count(query):
        time.sleep(POLL_SECONDS)


def _described(load: dict[str, Any]) -> str:
    rate, latency, cpu = load["rate"], load["p99_ms"], load["cpu_us"]
    return f"{rate:.0f} a second, p99 {latency:.0f} ms, {cpu:.0f} us of processor time each"


def measure_on_mariadb(seconds: int, workers: int, holds: int) -> Ends:
    with database_and_queue() as (folder, mariadb, redis):
        ledger = OnMariaDB(mariadb, ACCOUNTS + holds)
        queue = {"host": "127.0.0.1", "port": redis.port}
        sections = {"mysql": mariadb.mysql_section(ledger.name), "redis": queue, "callbacks": []}
        with my_account(folder, workers, **sections) as service:
            pids = [*processes(service.process), mariadb.pid]
            return _measure(ledger, service.address, pids, seconds, holds)


def measure_embedded(seconds: int, workers: int, holds: int) -> Ends:
    """Measure on the embedded file, which one process serves, however many `workers` there may be."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "money.db"
        with my_account(Path(name), 1, sqlite_file=str(file), callbacks=[]) as service:
            ledger = Embedded(file, ACCOUNTS + holds)
            return _measure(ledger, service.address, processes(service.process), seconds, holds)
