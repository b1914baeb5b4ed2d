"""The load: wrk over HTTP, and sysbench directly on the database."""

import itertools
import json
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.helpers.servers import program

from .databases import BenchMariaDB
from .processes import cpu_seconds
from .servers import CHECKOUT

CONNECTIONS = 256
# Few, since each bulk is a transaction of its own, and orders are refused once one has waited for two seconds.
# Not fewer, since one worker may accept all of four.
BULK_CONNECTIONS = 8
WARM_UP_SECONDS = 1
SYSBENCH_THREADS = (16, 32, 64)

SCRIPTS = (
    "transfer",
    "recharge",
    "withdraw",
    "hold",
    "bulk",
    "open",
    "declined",
    "replay",
    "invalid",
    "query",
    "order",
    "inbox",
)
# Their requests lead to no message.
SILENT_SCRIPTS = ("replay", "invalid", "query", "order", "inbox")
# All their requests are to be refused.
REFUSED_SCRIPTS = ("declined", "invalid")

_runs = itertools.count(1)


def wrk(
    address: str,
    script: str,
    seconds: int,
    *,
    pattern: str = "uniform",
    accounts: int = 10_000,
    connections: int | None = None,
    overloaded: bool = False,
    key: str | None = None,
    costs: Mapping[str, Sequence[int]] | None = None,
    count_503s: Callable[[], int] = lambda: 0,
    settle: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Return the results of a run, after a short warm-up: the rate a second, and the latency in milliseconds.

    For each name in `costs` they have the processor time in microseconds that its processes used for an operation,
    until `settle` returned, which took `settle_seconds`. `unavailable` is by how much `count_503s` grew.

    Raises RuntimeError if nothing was answered, or anything that is not a 503 was answered otherwise than the
    script expects. In an `overloaded` run, refusals are expected.
    """
    connections = connections or (BULK_CONNECTIONS if script == "bulk" else CONNECTIONS)
    costs = costs or {}
    for duration in (WARM_UP_SECONDS, seconds):
        run = next(_runs)
        before = {name: cpu_seconds(pids) for name, pids in costs.items()}
        unavailable = count_503s()
        words = [program("wrk", "wrk"), "-t1", f"-c{connections}", f"-d{duration}s", "--timeout", "10s"]
        words += ["-s", f"bench/load/{script}.lua", address, "--", pattern, str(accounts), f"run{run}-", str(run)]
        words += [key] if key else []
        printed = subprocess.run(words, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
        ended = time.monotonic()
        settle()
    result: dict[str, Any] = json.loads(printed.splitlines()[-1])
    operations = result["requests"] * result["per_reply"]
    result |= {
        "unavailable": count_503s() - unavailable,
        "settle_seconds": time.monotonic() - ended,
        "rate": operations / result["seconds"],
    }
    if overloaded or script in REFUSED_SCRIPTS:
        as_expected = result["refused"] == result["requests"]
    else:
        as_expected = result["refused"] <= result["unavailable"]
    if not operations or result["failed"] or not as_expected:
        raise RuntimeError(f"{script} {pattern}: {result}")
    used = {name: (cpu_seconds(pids) - before[name]) / operations * 1e6 for name, pids in costs.items()}
    return {**result, **used}


def sysbench(
    mariadb: BenchMariaDB, database: str, script: str, seconds: int, pattern: str, accounts: int, threads: int
) -> dict[str, Any]:
    """Return the rate a second with this many threads, and the server's processor time for a transfer."""
    words = [program("sysbench", "sysbench"), "--db-driver=mysql", "--mysql-host=127.0.0.1"]
    words += [f"--mysql-port={mariadb.port}", f"--mysql-user={mariadb.user}"]
    words += [f"--mysql-password={mariadb.password}", f"--mysql-db={database}", f"--threads={threads}"]
    words += [f"--time={seconds}", "--events=0", "--mysql-ignore-errors=1213,1205"]
    words += [f"--accounts={accounts}", f"--pattern={pattern}", f"bench/database/{script}.lua", "run"]
    before = cpu_seconds([mariadb.pid])
    printed = subprocess.run(words, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
    used = cpu_seconds([mariadb.pid]) - before
    total = re.search(r"total number of events:\s*(\d+)", printed)
    taken = re.search(r"total time:\s*([\d.]+)s", printed)
    if total is None or taken is None:
        raise RuntimeError(printed)
    return {"rate": int(total[1]) / float(taken[1]), "threads": threads, "database_us": used / int(total[1]) * 1e6}
