"""`make bench-engines`: the service with everything on on each database server, and what a batch costs there."""

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.helpers.servers import Redis, ServerMissing

from .databases import BenchMariaDB, BenchMySQL8, BenchOceanBase, BenchServer
from .machine import this_machine
from .measured import Measured, on_server
from .rounds import Plan, Result
from .servers import running

ENGINES: dict[str, type[BenchServer]] = {
    "MariaDB": BenchMariaDB,
    "MySQL 8": BenchMySQL8,
    "OceanBase": BenchOceanBase,
}
# By the name of the row: the number of clients. A client alone makes batches of one order.
CLIENTS = {"256 clients": 256, "one client": 1}
COLUMNS: dict[str, str] = {
    "rate": "a second",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "cpu_us": "workers us",
    "database_us": "database us",
    "orders": "in a batch",
    "batch_us": "batch us",
}
BATCHES = ("myaccount_batch_commands_sum", "myaccount_batch_commands_count")


def measure(plan: Plan) -> None:
    """Print the medians of each engine's rounds, or how to install it."""
    print(f"{this_machine()}\n\n{'':24}{''.join(f'{title:>13}' for title in COLUMNS.values())}", flush=True)
    for name, engine in ENGINES.items():
        try:
            _measure_engine(name, engine, plan)
        except ServerMissing as missing:
            print(f"{name}: {missing}", flush=True)
    print("\nbatch us: the database's processor time for a batch of orders and their delivery")


def _measure_engine(name: str, engine: Callable[[Path], BenchServer], plan: Plan) -> None:
    # One server at a time, because some are busy even without load.
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        with (
            running(engine(folder / "server")) as server,
            running(Redis(folder / "redis")) as redis,
            on_server(folder, server, redis, plan.workers) as measured,
        ):
            for row, clients in CLIENTS.items():
                rounds = [_load(measured, plan.seconds, clients) for _ in range(plan.rounds)]
                medians = [statistics.median(result[column] for result in rounds) for column in COLUMNS]
                print(f"{f'{name}, {row}':24}{''.join(f'{value:13,.1f}' for value in medians)}", flush=True)


def _load(measured: Measured, seconds: int, clients: int) -> Result:
    before = measured.metrics()
    result = measured.load("transfer", seconds, connections=clients)
    after = measured.metrics()
    orders, batches = (after[name] - before[name] for name in BATCHES)
    in_a_batch = orders / batches
    return {**result, "orders": in_a_batch, "batch_us": in_a_batch * result["database_us"]}
