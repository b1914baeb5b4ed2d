"""The private servers and services that are measured, and what each costs."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.helpers.servers import MariaDB, Redis, free_port, wait_until

CHECKOUT = Path(__file__).resolve().parent.parent
START_SECONDS = 60
STOP_SECONDS = 40

# Events are written and not dispatched: dispatch is measured separately.
WITHOUT_LISTENER = {"listener": {"enabled": False}}

# For both engines. Each account begins with a million, by a recharge of its own, so that the books balance.
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


class Service(NamedTuple):
    """A running service: its address, and its process, whose children may be the workers."""

    address: str
    process: "subprocess.Popen[bytes]"


class BenchMariaDB(MariaDB):
    """MariaDB that loses no commit, with the default buffer pool raised to 1 GiB."""

    def command(self) -> list[str]:
        return [
            *super().command(),
            "--innodb-buffer-pool-size=1G",
            "--innodb-log-file-size=1G",
            # As the server has them by default; the tests' are smaller.
            "--innodb-file-per-table=1",
            "--innodb-use-native-aio=1",
            "--max-connections=300",
        ]

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
        numbers = f"seq_1_to_{accounts}"
        self.run(database, script.format(accounts=accounts, numbers=numbers, now="UTC_TIMESTAMP(6)"))

    def run(self, database: str, script: str) -> None:
        """Run the statements, in which || concatenates."""
        with self.connect(database=database) as connection, connection.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = CONCAT(@@sql_mode, ',PIPES_AS_CONCAT')")
            for statement in script.split(";"):
                if statement.strip():
                    cursor.execute(statement)

    @property
    def pid(self) -> int:
        return int((self.folder / "pid").read_text())

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

    def url(self, driver: str, database: str) -> str:
        return f"mysql+{driver}://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}?charset=utf8mb4"


@contextmanager
def database_and_queue() -> Iterator[tuple[Path, BenchMariaDB, Redis]]:
    """Run private servers; give a folder of theirs that may be used too, and both."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mariadb = BenchMariaDB(folder / "mariadb").start()
        redis = Redis(folder / "redis").start()
        try:
            yield folder, mariadb, redis
        finally:
            mariadb.kill()
            redis.kill()


def fill_embedded(file: Path, accounts: int, script: str = FILL_ACCOUNTS + FILL_ORDERS) -> None:
    """Fill the embedded file of a running service with what MariaDB gets."""
    statements = script.format(
        accounts=accounts,
        numbers="(WITH RECURSIVE numbers (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM numbers"
        f" WHERE seq < {accounts}) SELECT seq FROM numbers)",
        now="strftime('%Y-%m-%d %H:%M:%f000', 'now')",
    )
    connection = sqlite3.connect(file)
    connection.executescript(f"BEGIN IMMEDIATE; {statements} COMMIT;")
    connection.close()


@contextmanager
def service(
    command: list[str], probe: str, environment: dict[str, str], checkout: Path = CHECKOUT
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a service from a checkout, from when its probe answers until it has ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=checkout,
        env={**os.environ, **environment, "PYTHONPATH": str(checkout)},
        stdout=subprocess.DEVNULL,
        # A group of its own, so that its workers end with it.
        start_new_session=True,
    )

    def answers() -> bool:
        try:
            urllib.request.urlopen(probe, timeout=5).close()  # noqa: S310 - our own service
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    try:
        wait_until(answers, START_SECONDS)
        # Every worker has started, not only the first.
        time.sleep(1)
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(STOP_SECONDS)


@contextmanager
def my_account(
    folder: Path, workers: int, module: str = "myaccount", checkout: Path = CHECKOUT, /, **sections: Any
) -> Iterator[Service]:
    """Run the service, under gunicorn where there is more than one worker to run."""
    port = free_port()
    file = folder / f"config-{port}.yaml"
    settings = {"port": port, "log_level": "WARNING", "log_folder": str(folder), **sections}
    file.write_text(json.dumps(settings))
    address = f"http://127.0.0.1:{port}"
    command = ["myaccount", "-c", str(file)]
    if workers > 1:
        command = ["gunicorn", module, "--bind", f"127.0.0.1:{port}", "--workers", str(workers)]
        command += ["--log-level", "warning", "--worker-class", "aiohttp.GunicornWebWorker"]
    probe = f"{address}/opeacclistentest"
    with service(command, probe, {"MYACCOUNT_CONFIG": str(file)}, checkout) as process:
        yield Service(address, process)


def processes(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the ids of the workers, or of the process itself if it has none."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(child) for child in children] or [process.pid]


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return the processor time that the processes have used so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_mib(pids: Sequence[int]) -> float:
    """Return the resident memory of the largest of the processes."""
    pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return max(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


def new_key(folder: Path, mysql: dict[str, Any]) -> str:
    """Return a new API key of the service in this database, which may move money."""
    file = folder / "keys.yaml"
    file.write_text(json.dumps({"mysql": mysql, "log_folder": ""}))
    words = [sys.executable, "-m", "myaccount", "keys", "create", "-c", str(file)]
    words += ["--name", "bench", "--scopes", "money:move"]
    printed = subprocess.run(words, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
    return printed.split()[-1]
