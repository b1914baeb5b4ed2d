"""`make bench-scale`: does the service stay as fast with millions of accounts and orders already there?"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from .load import wrk
from .report import write_scale
from .servers import CHECKOUT, BenchMariaDB, database_and_queue, my_account, processes, resident_mib

SMALL = (10_000, 0)
LARGE = (1_000_000, 10_000_000)

# The journal's indexes are made after the rows, which takes a tenth of the time. Each account begins with a
# million. Then the accounts pay one another a cent an order. Each pays as often as it is paid, because seven and
# the number of accounts have no common divisor.
FILL_ORDERS = """
SET SESSION unique_checks = 0, SESSION foreign_key_checks = 0;
ALTER TABLE `order` DROP FOREIGN KEY fk_order_from_account, DROP FOREIGN KEY fk_order_to_account,
    DROP INDEX ix_order_from_account, DROP INDEX ix_order_to_account, DROP INDEX uq_order_order_id;
INSERT INTO `order` (order_id, order_type, from_account, to_account, amount, from_balance, to_balance, status,
                     created_at)
SELECT CONCAT('earlier-', seq), '02', 2 + seq MOD {accounts}, 2 + (seq * 7 + 1) MOD {accounts}, 1, 99999999,
       100000001, 'posted', UTC_TIMESTAMP(6)
FROM seq_1_to_{orders};
ALTER TABLE `order` ADD UNIQUE INDEX uq_order_order_id (order_id),
    ADD INDEX ix_order_from_account (from_account), ADD INDEX ix_order_to_account (to_account);
ALTER TABLE `order` ADD CONSTRAINT fk_order_from_account FOREIGN KEY (from_account) REFERENCES account (id),
    ADD CONSTRAINT fk_order_to_account FOREIGN KEY (to_account) REFERENCES account (id)
"""


def filled_database(mariadb: BenchMariaDB, accounts: int, orders: int) -> str:
    name = mariadb.filled_database(accounts)
    # The recharges that fill the accounts are orders too.
    more = orders - accounts
    if more > 0:
        with mariadb.connect(database=name) as connection, connection.cursor() as cursor:
            for statement in FILL_ORDERS.format(accounts=accounts, orders=more).split(";"):
                cursor.execute(statement)
    return name


def measure(seconds: int, workers: int, rounds: int) -> None:
    """Measure both by turns, so that a machine that slows down slows both."""
    with database_and_queue() as (folder, mariadb, redis):
        rates: dict[str, list[float]] = {"small": [], "large": []}
        queue = {"host": "127.0.0.1", "port": redis.port}
        began = time.monotonic()
        small = mariadb.mysql_section(filled_database(mariadb, *SMALL))
        large = mariadb.mysql_section(filled_database(mariadb, *LARGE))
        print(f"filled in {time.monotonic() - began:.0f} s", flush=True)
        with (
            my_account(folder, workers, mysql=small, redis=queue) as (small_address, _),
            my_account(folder, workers, mysql=large, redis=queue) as (large_address, process),
        ):
            for _ in range(rounds):
                for name, address, (accounts, _) in (
                    ("small", small_address, SMALL),
                    ("large", large_address, LARGE),
                ):
                    rates[name].append(wrk(address, "transfer", seconds, accounts=accounts)["rate"])
                    print(f"{name:6} {rates[name][-1]:9.0f} a second", flush=True)
            worker_mib = resident_mib(processes(process))
        measured = {"worker_mib": worker_mib, **_verification(folder, large)}
        write_scale(rates["small"], rates["large"], measured)


def _verification(folder: Path, mysql: dict[str, object]) -> dict[str, float]:
    """Run `myaccount verify` over the large database; return how long it took, and its memory."""
    file = folder / "verify.yaml"
    file.write_text(json.dumps({"mysql": mysql, "log_folder": str(folder)}))
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "myaccount", "verify", "-c", str(file)], cwd=CHECKOUT)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError("The books do not balance.")
    return {"verify_seconds": time.monotonic() - began, "verify_mib": usage.ru_maxrss / 1024}
