"""`make bench`: everything that is compared, one after the other, in one run."""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from tests.servers import Redis, free_port

from . import endurance, scale
from .load import sysbench, wrk
from .report import Row, write_report
from .servers import (
    BenchMariaDB,
    cpu_seconds,
    fill_embedded,
    my_account,
    processes,
    resident_mib,
    service,
)

ACCOUNTS = 10_000


class Bench:
    """The rows measured so far, and the servers that they are measured on."""

    def __init__(self, folder: Path, mariadb: BenchMariaDB, redis: Redis, seconds: int, workers: int) -> None:
        self.folder = folder
        self.mariadb = mariadb
        self.redis = redis
        self.seconds = seconds
        self.workers = workers
        self.rows: list[Row] = []

    def note(self, who: str, what: str, result: dict[str, Any]) -> None:
        row = Row(who, what, result["rate"], result.get("p50_ms"), result.get("p99_ms"), result)
        self.rows.append(row)
        print(row, flush=True)

    def database_alone(self) -> None:
        for script, who in (("statements", "database, by statement"), ("procedure", "database, by procedure")):
            for pattern in ("uniform", "hot"):
                self.note(who, pattern, sysbench(self.mariadb, script, self.seconds, pattern, ACCOUNTS))

    def peers(self) -> None:
        for driver in ("aiomysql", "asyncmy"):
            port = free_port()
            database = self.mariadb.filled_database(ACCOUNTS)
            command = ["bench.peers.serve", str(port), str(self.workers)]
            address = f"http://127.0.0.1:{port}"
            with service(command, f"{address}/docs", {"PEER_DATABASE": self.mariadb.url(driver, database)}):
                who = f"FastAPI, {driver}"
                self.note(who, "uniform", wrk(address, "transfer", self.seconds))
                self.note(who, "hot", wrk(address, "transfer", self.seconds, pattern="hot"))
                self.note(who, "alone", wrk(address, "transfer", self.seconds, connections=1))

    def ceiling(self) -> None:
        port = free_port()
        command = ["gunicorn", "bench.peers.ceiling:application", "--bind", f"127.0.0.1:{port}"]
        command += ["--workers", str(self.workers), "--log-level", "warning"]
        address = f"http://127.0.0.1:{port}"
        with service(command, f"{address}/transfer", {}):
            self.note("aiohttp's ceiling", "uniform", wrk(address, "transfer", self.seconds))

    def own(self) -> None:
        mysql = self.mariadb.mysql_section(self.mariadb.filled_database(ACCOUNTS))
        redis = {"host": "127.0.0.1", "port": self.redis.port}
        with my_account(self.folder, self.workers, mysql=mysql, redis=redis) as (address, process):
            workers = processes(process)
            before = cpu_seconds(workers)
            for what, script, options in (
                ("uniform", "transfer", {}),
                ("hot", "transfer", {"pattern": "hot"}),
                ("recharges", "recharge", {}),
                ("balance queries", "query", {}),
                ("alone", "transfer", {"connections": 1}),
            ):
                result = wrk(address, script, self.seconds, **options)
                self.note("MyAccount", what, {**result, "worker_mib": resident_mib(workers)})
            print(f"workers: {cpu_seconds(workers) - before:.0f} s of processor time")

    def overload(self) -> None:
        """Measure how soon is refused what is too much: the accounts are locked, and few orders may wait."""
        name = self.mariadb.filled_database(ACCOUNTS)
        mysql = self.mariadb.mysql_section(name)
        redis = {"host": "127.0.0.1", "port": self.redis.port}
        few = {"waiting_limit": 10}
        with (
            my_account(self.folder, self.workers, mysql=mysql, redis=redis, journal=few) as (address, process),
            self.mariadb.connect(database=name) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("LOCK TABLES account WRITE")
            result = wrk(address, "transfer", self.seconds, refusals=True)
            self.note("MyAccount", "refused", {**result, "worker_mib": resident_mib(processes(process))})
            cursor.execute("UNLOCK TABLES")

    def embedded(self) -> None:
        with my_account(self.folder, 1, sqlite_file=str(self.folder / "money.db")) as (address, _):
            fill_embedded(self.folder / "money.db", ACCOUNTS)
            self.note("MyAccount, embedded", "uniform", wrk(address, "transfer", self.seconds))


def compare(seconds: int, workers: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mariadb = BenchMariaDB(folder / "mariadb").start()
        redis = Redis(folder / "redis").start()
        try:
            bench = Bench(folder, mariadb, redis, seconds, workers)
            bench.database_alone()
            bench.peers()
            bench.ceiling()
            bench.own()
            bench.overload()
            bench.embedded()
        finally:
            mariadb.kill()
            redis.kill()
    write_report(bench.rows, workers)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("compare", "scale", "endurance"), default="compare")
    parser.add_argument("--seconds", type=int, default=10, help="how long each row is measured")
    parser.add_argument(
        "--workers", type=int, default=max(2, os.cpu_count() or 2), help="processes of each service"
    )
    options = parser.parse_args()
    if options.what == "compare":
        compare(options.seconds, options.workers)
    elif options.what == "scale":
        scale.measure(options.seconds, options.workers)
    else:
        endurance.measure(options.workers)


if __name__ == "__main__":
    main()
