"""`make bench`: measures everything that is compared in one run."""

import argparse
import os
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from threading import Timer
from typing import Any, Self

from tests.helpers.deployments import BEHIND_NGINX, Nginx
from tests.helpers.monitoring import scrape
from tests.helpers.servers import Redis, free_port

from . import endurance, holds, inbox, scale
from .compare import Load, checkout_of, compare
from .dispatch import dispatching_service
from .load import SCRIPTS, SYSBENCH_THREADS, sysbench, wrk
from .report import Samples, write_report
from .servers import (
    CHECKOUT,
    WITHOUT_LISTENER,
    BenchMariaDB,
    database_and_queue,
    fill_embedded,
    my_account,
    new_key,
    processes,
    resident_mib,
    service,
)

ACCOUNTS = 10_000
MINUTE_SECONDS = 60
TURNS = 16
TURN_SECONDS = 3
# More than end while the transfers are measured.
ENDING_HOLDS = 200_000
WHAT = ("all", "compare", "scale", "holds", "endurance")
BULKS = "bulks of 500"
PEERS = {"FastAPI, aiomysql": "aiomysql", "FastAPI, asyncmy": "asyncmy"}


class Bench:
    """Runs everything that is compared, and collects the measurements of each round."""

    def __init__(self, folder: Path, mariadb: BenchMariaDB, redis: Redis, seconds: int, workers: int) -> None:
        self._folder = folder
        self._mariadb = mariadb
        self._redis = {"host": "127.0.0.1", "port": redis.port}
        self._seconds = seconds
        self._workers = workers
        self._stack = ExitStack()
        self._addresses: dict[str, str] = {}
        self._threads: dict[tuple[str, str], int] = {}
        self.samples: Samples = {}

    def __enter__(self) -> Self:
        for who, driver in PEERS.items():
            port = free_port()
            url = self._mariadb.url(driver, self._mariadb.filled_database(ACCOUNTS))
            command = ["bench.peers.serve", str(port), str(self._workers)]
            address = f"http://127.0.0.1:{port}"
            self._stack.enter_context(service(command, f"{address}/docs", {"PEER_DATABASE": url}))
            self._addresses[who] = address
        mysql = self._mariadb.mysql_section(self._mariadb.filled_database(ACCOUNTS))
        ceiling = my_account(self._folder, self._workers, "bench.peers.ceiling:application", mysql=mysql)
        self._addresses["aiohttp's ceiling"], _ = self._stack.enter_context(ceiling)
        own = my_account(self._folder, self._workers, mysql=mysql, redis=self._redis, **WITHOUT_LISTENER)
        self._addresses["MyAccount"], self._process = self._stack.enter_context(own)
        file = self._folder / "money.db"
        embedded = my_account(self._folder, 1, sqlite_file=str(file))
        self._addresses["MyAccount, embedded"], _ = self._stack.enter_context(embedded)
        fill_embedded(file, ACCOUNTS)
        dispatching = dispatching_service(self._folder, self._mariadb, self._redis, self._workers, ACCOUNTS)
        self._dispatching = self._stack.enter_context(dispatching)
        self._database = self._mariadb.filled_database(ACCOUNTS)
        self._mariadb.run_script(self._database, CHECKOUT / "bench" / "database" / "procedure.sql")
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def round(self) -> None:
        """Measure everything once, close in time, because a machine's speed varies."""
        self._database_alone("statement", "statements", "uniform")
        self._load("MyAccount", "uniform")
        self._load("MyAccount", BULKS, "bulk")
        self._database_alone("procedure", "procedure", "uniform")
        note(self.samples, "MyAccount, dispatch", "uniform", self._dispatching.load(self._seconds))
        self._load("aiohttp's ceiling", "uniform")
        self._load("MyAccount", "hot", pattern="hot")
        self._database_alone("statement", "statements", "hot")
        self._database_alone("procedure", "procedure", "hot")
        self._load("MyAccount", "recharges", "recharge")
        self._load("MyAccount", "balance queries", "query")
        self._load("MyAccount", "order queries", "order")
        self._load("MyAccount, embedded", "uniform")
        self._load("MyAccount, embedded", BULKS, "bulk")
        for who in ("MyAccount", "MyAccount, embedded"):
            self._load(who, "withdrawals", "withdraw")
            self._load(who, "hold + capture", "hold")
            self._load(who, "openings", "open")
        for who in PEERS:
            self._load(who, "uniform")
            self._load(who, "hot", pattern="hot")
        for who in ("MyAccount", *PEERS):
            self._load(who, "alone", connections=1)

    def messages(self) -> None:
        """Measure what is measured once, not in every round."""
        note(self.samples, "MyAccount, dispatch", "delay at 1,000/s", self._dispatching.delay())
        with dispatching_service(self._folder, self._mariadb, self._redis, 1, ACCOUNTS) as one_process:
            note(self.samples, "MyAccount, dispatch", "5,000 streams", one_process.streams())
        for name, result in inbox.measure(self._folder, self._mariadb).items():
            note(self.samples, "inbox of 1,000,000", name, result)

    def production(self) -> None:
        """Measure the cost of nginx, metrics and keys, in short alternating turns, because it is small."""
        with ExitStack() as stack:

            def start(module: str, **sections: Any) -> str:
                mysql = self._mariadb.mysql_section(self._mariadb.filled_database(ACCOUNTS))
                sections = {"mysql": mysql, "redis": self._redis, **WITHOUT_LISTENER, **sections}
                own = my_account(self._folder, self._workers, module, **sections)
                return stack.enter_context(own)[0]

            # Each has its own database, so that all grow alike.
            watched = free_port()
            measured = start("myaccount", metrics={"port": watched})
            uncounted = start("bench.peers.uncounted")
            mysql = self._mariadb.mysql_section(self._mariadb.filled_database(ACCOUNTS))
            key = new_key(self._folder, mysql)
            locked = start("myaccount", metrics={"port": free_port()}, mysql=mysql, access="keys")
            behind = start("myaccount", metrics={"port": free_port()}, **BEHIND_NGINX)
            nginx = Nginx(self._folder / "nginx", int(behind.rpartition(":")[2])).start()
            stack.callback(nginx.stop)
            turns = (
                ("with metrics", measured),
                ("without metrics", uncounted),
                ("with a key", locked),
                ("through nginx", nginx.address),
            )
            for turn in range(TURNS):
                # The order matters too, so it alternates.
                for what, address in turns if turn % 2 else turns[::-1]:
                    # The metrics are scraped meanwhile, more often than Prometheus would.
                    asking = Timer(TURN_SECONDS / 2, scrape, [watched])
                    if address == measured:
                        asking.start()
                    sent = key if address == locked else None
                    note(self.samples, "MyAccount", what, wrk(address, "transfer", TURN_SECONDS, key=sent))

    def overload(self) -> None:
        """Measure how soon orders beyond the limit are refused: accounts are locked, and few orders may wait."""
        name = self._mariadb.filled_database(ACCOUNTS)
        sections = {"mysql": self._mariadb.mysql_section(name), "redis": self._redis}
        few = {"waiting_limit": 10}
        with (
            my_account(self._folder, self._workers, **sections, journal=few) as (address, process),
            self._mariadb.connect(database=name) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("LOCK TABLES account WRITE")
            # Shorter than the database's timeout, so that all replies are refusals of orders beyond the limit.
            result = wrk(address, "transfer", 3, refusals=True)
            note(self.samples, "MyAccount", "refused", {**result, "worker_mib": resident_mib(processes(process))})
            cursor.execute("UNLOCK TABLES")

    def _database_alone(self, by: str, script: str, pattern: str) -> None:
        """Measure with the number of threads that was the fastest in the first round."""
        threads = self._threads.get((script, pattern))
        tried = [
            sysbench(self._mariadb, self._database, script, self._seconds, pattern, ACCOUNTS, number)
            for number in ([threads] if threads else SYSBENCH_THREADS)
        ]
        best = max(tried, key=itemgetter("rate"))
        self._threads[script, pattern] = best["threads"]
        note(self.samples, f"database, by {by}", pattern, best)

    def _load(self, who: str, what: str, script: str = "transfer", **options: Any) -> None:
        workers = processes(self._process) if who == "MyAccount" else []
        result = wrk(self._addresses[who], script, self._seconds, workers=workers, **options)
        if workers:
            result["worker_mib"] = resident_mib(workers)
        note(self.samples, who, what, result)


def sustain(samples: Samples, workers: int) -> None:
    """Measure a minute without dispatch and a minute with it, on servers without other load."""
    with database_and_queue() as (folder, mariadb, queue):
        redis = {"host": "127.0.0.1", "port": queue.port}
        mysql = mariadb.mysql_section(mariadb.filled_database(ACCOUNTS))
        with my_account(folder, workers, mysql=mysql, redis=redis, **WITHOUT_LISTENER) as (address, _):
            note(samples, "MyAccount", "a minute", wrk(address, "transfer", MINUTE_SECONDS))
        with dispatching_service(folder, mariadb, redis, workers, ACCOUNTS) as dispatching:
            note(samples, "MyAccount, dispatch", "a minute", dispatching.load(MINUTE_SECONDS))


def end_holds(samples: Samples, workers: int) -> None:
    """Measure transfers before and while holds end, and the ends themselves."""
    ends = holds.measure_on_mariadb(5, workers, ENDING_HOLDS)
    note(samples, "MyAccount, dispatch", "before holds end", ends.before)
    note(samples, "MyAccount, dispatch", "while holds end", ends.meanwhile)
    note(samples, "MyAccount, dispatch", "ends of holds", {"rate": ends.ended / ends.ended_seconds})


def note(samples: Samples, who: str, what: str, result: dict[str, Any]) -> None:
    samples.setdefault((who, what), []).append(result)
    print(f"{who:24} {what:16} {result['rate']:9.0f}", flush=True)


def measure_all(seconds: int, workers: int, rounds: int) -> None:
    with (
        database_and_queue() as (folder, mariadb, redis),
        Bench(folder, mariadb, redis, seconds, workers) as bench,
    ):
        for number in range(1, rounds + 1):
            print(f"Round {number} of {rounds}", flush=True)
            bench.round()
        bench.overload()
        bench.production()
        bench.messages()
    sustain(bench.samples, workers)
    end_holds(bench.samples, workers)
    write_report(bench.samples, workers)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=WHAT, default=WHAT[0])
    parser.add_argument("other", nargs="?", default="HEAD", help="compare: another checkout's folder, or a commit")
    parser.add_argument("--seconds", type=int, default=5, help="how long each row is measured, each round")
    parser.add_argument("--rounds", type=int, default=5, help="how often all rows are measured")
    parser.add_argument(
        "--workers", type=int, default=max(2, os.cpu_count() or 2), help="processes of each service"
    )
    parser.add_argument("--load", choices=SCRIPTS, default="transfer", help="compare: what is sent")
    parser.add_argument("--everything", action="store_true", help="compare: the listener and the log are on")
    parser.add_argument("--hot", action="store_true", help="compare: every transfer pays one account")
    parser.add_argument("--embedded", action="store_true", help="compare, holds: the embedded file, one process")
    parser.add_argument("--holds", type=int, default=1_000_000, help="holds: how many end at once")
    return parser


def main() -> None:
    parser = arguments()
    options = parser.parse_intermixed_args()
    if options.what == "compare":
        if options.everything and options.embedded:
            parser.error("compare takes --everything or --embedded")
        load = Load(options.load, "hot" if options.hot else "uniform", options.seconds, options.everything)
        try:
            with checkout_of(options.other) as other:
                compare(other, load, options.rounds, options.workers, embedded=options.embedded)
        except ValueError as error:
            parser.error(str(error))
    elif options.what == "scale":
        scale.measure(options.seconds, options.workers, options.rounds)
    elif options.what == "holds":
        measure = holds.measure_embedded if options.embedded else holds.measure_on_mariadb
        print(measure(options.seconds, options.workers, options.holds))
    elif options.what == "endurance":
        endurance.measure(options.workers)
    else:
        measure_all(options.seconds, options.workers, options.rounds)


if __name__ == "__main__":
    main()
