"""The load: wrk over HTTP, and sysbench directly on the database."""

import itertools
import json
import re
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from tests.helpers.servers import program

from .servers import CHECKOUT, BenchMariaDB, cpu_seconds

CONNECTIONS = 256
# Few, since each bulk is a transaction of its own, and orders are refused once one has waited for two seconds.
# Not fewer, since one worker may accept all of four.
BULK_CONNECTIONS = 8
WARM_UP_SECONDS = 1
SYSBENCH_THREADS = (16, 32, 64)

SCRIPTS = ("transfer", "recharge", "withdraw", "hold", "bulk", "open", "query", "order")

_runs = itertools.count(1)


def wrk(
    address: str,
    script: str,
    seconds: int,
    *,
    pattern: str = "uniform",
    accounts: int = 10_000,
    connections: int | None = None,
    refusals: bool = False,
    key: str | None = None,
    workers: Sequence[int] = (),
    database: Sequence[int] = (),
    settle: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Return the results of a run, after a short warm-up: the rate a second, and the latency in milliseconds.

    `cpu_us` and `database_us` are the processor time that the processes of the workers and of the database used
    for an operation, in microseconds, until `settle` returned.
    Raises RuntimeError if nothing was answered, or if any request failed or, unless `refusals` are what is
    measured, was refused.
    """
    connections = connections or (BULK_CONNECTIONS if script == "bulk" else CONNECTIONS)
    for duration in (WARM_UP_SECONDS, seconds):
        run = next(_runs)
        used_before = cpu_seconds(workers), cpu_seconds(database)
        words = [program("wrk", "wrk"), "-t1", f"-c{connections}", f"-d{duration}s", "--timeout", "10s"]
        words += ["-s", f"bench/load/{script}.lua", address, "--", pattern, str(accounts), f"run{run}-", str(run)]
        words += [key] if key else []
        printed = subprocess.run(words, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
        settle()
    result: dict[str, Any] = json.loads(printed.splitlines()[-1])
    if not result["requests"] or result["failed"] or (result["refused"] and not refusals):
        raise RuntimeError(f"{script} {pattern}: {result}")
    operations = result["requests"] * result["per_reply"]
    for column, pids, before in zip(("cpu_us", "database_us"), (workers, database), used_before, strict=True):
        if pids:
            result[column] = (cpu_seconds(pids) - before) / operations * 1e6
    return {**result, "rate": operations / result["seconds"]}


def sysbench(
    mariadb: BenchMariaDB, database: str, script: str, seconds: int, pattern: str, accounts: int, threads: int
) -> dict[str, Any]:
    """Return the rate a second with this many threads."""
    words = [program("sysbench", "sysbench"), "--db-driver=mysql", "--mysql-host=127.0.0.1"]
    words += [f"--mysql-port={mariadb.port}", f"--mysql-user={mariadb.user}"]
    words += [f"--mysql-password={mariadb.password}", f"--mysql-db={database}", f"--threads={threads}"]
    words += [f"--time={seconds}", "--events=0", "--mysql-ignore-errors=1213,1205"]
    words += [f"--accounts={accounts}", f"--pattern={pattern}", f"bench/database/{script}.lua", "run"]
    printed = subprocess.run(words, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
    total = re.search(r"total number of events:\s*(\d+)", printed)
    taken = re.search(r"total time:\s*([\d.]+)s", printed)
    if total is None or taken is None:
        raise RuntimeError(printed)
    return {"rate": int(total[1]) / float(taken[1]), "threads": threads}
