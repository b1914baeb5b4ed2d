"""`make bench-scale`: does the service stay as fast with millions of accounts and orders already there?"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from .databases import BenchMariaDB
from .load import wrk
from .processes import processes, resident_mib
from .report import write_scale
from .servers import CHECKOUT, database_and_queue, my_account

SMALL = (10_000, 0)
LARGE = (1_000_000, 10_000_000)

# The orders' index is made after the rows, which takes a tenth of the time. Round by round, each account pays a
# cent to the next one. The entries are inserted in the order of their key. An account's even steps are what it
# gets, and the odd ones what it pays.
FILL_ROUNDS = """
SET SESSION unique_checks = 0;
ALTER TABLE `order` DROP INDEX uq_order_order_id;
INSERT INTO `order` (order_id, order_type, from_account, to_account, amount, status, created_at)
SELECT 'earlier-' || seq, '02', 2 + seq MOD {accounts}, 2 + (seq + 1) MOD {accounts}, 1, 'posted', UTC_TIMESTAMP(6)
FROM seq_0_to_{last_order};
ALTER TABLE `order` ADD UNIQUE INDEX uq_order_order_id (order_id);
INSERT INTO entry (account, number, order_id, amount, balance)
SELECT 2 + place, 2 + step,
       'earlier-' || (step DIV 2 * {accounts} + IF(step MOD 2, place, (place + {accounts} - 1) MOD {accounts})),
       IF(step MOD 2, -1, 1), IF(step MOD 2, 100000000, 100000001)
FROM (SELECT seq DIV {steps} AS place, seq MOD {steps} AS step FROM seq_0_to_{last_entry}) AS numbers;
UPDATE account SET last_entry = 1 + {steps} WHERE id > 1
"""


def filled_database(mariadb: BenchMariaDB, accounts: int, orders: int) -> str:
    """Return the name of a new database. The recharges that fill the accounts are orders too."""
    name = mariadb.filled_database(accounts)
    rounds = orders // accounts - 1
    if rounds > 0:
        steps = 2 * rounds
        last = {"last_order": rounds * accounts - 1, "last_entry": steps * accounts - 1}
        mariadb.run(name, FILL_ROUNDS.format(accounts=accounts, steps=steps, **last))
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
