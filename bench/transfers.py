"""Transfers: with everything on beside the database alone, with each part off, and beside aiohttp's ceiling."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from operator import itemgetter
from typing import Any

from tests.helpers.deployments import BEHIND_NGINX, Nginx

from .databases import BenchMariaDB
from .load import SYSBENCH_THREADS, sysbench
from .measured import ACCOUNTS, Measured, on_server
from .rounds import Plan, Result, Samples, by_turns
from .servers import CHECKOUT, database_and_queue, my_account

DATABASE, PARTS, KEY, CEILING = "database", "parts", "key", "ceiling"
EVERYTHING = "everything on"
WITH_KEY = "with a key"
# A key costs less than a round differs from the next, so it takes many, which may be short.
KEY_ROUNDS_FACTOR = 6
KEY_SECONDS = 1
# So long that the last orders, which any delivery has still to deliver, are few of all.
DELIVERY_FACTOR = 4


class DatabaseAlone:
    """The database without a service, with the number of threads that was the fastest in the first round."""

    def __init__(self, mariadb: BenchMariaDB, seconds: int) -> None:
        self._mariadb = mariadb
        self._seconds = seconds
        self._name = mariadb.filled_database(ACCOUNTS)
        self._threads: dict[tuple[str, str], int] = {}
        mariadb.run_script(self._name, CHECKOUT / "bench" / "database" / "procedure.sql")

    def load(self, script: str, pattern: str) -> Result:
        threads = self._threads.get((script, pattern))
        tried = [
            sysbench(self._mariadb, self._name, script, self._seconds, pattern, ACCOUNTS, number)
            for number in ([threads] if threads else SYSBENCH_THREADS)
        ]
        best = max(tried, key=itemgetter("rate"))
        self._threads[script, pattern] = best["threads"]
        return best


def measure_database(samples: Samples, plan: Plan) -> None:
    """Measure everything on, the database alone, and how long the last messages take."""
    with (
        database_and_queue() as (folder, mariadb, redis),
        on_server(folder, mariadb, redis, plan.workers) as service,
    ):
        alone = DatabaseAlone(mariadb, plan.seconds)
        rows: dict[str, Callable[[], Result]] = {
            "database by statement": partial(alone.load, "statements", "uniform"),
            EVERYTHING: partial(service.load, "transfer", plan.seconds),
            "database by procedure": partial(alone.load, "procedure", "uniform"),
            "database by statement, hot": partial(alone.load, "statements", "hot"),
            f"{EVERYTHING}, hot": partial(service.load, "transfer", plan.seconds, pattern="hot"),
            f"{EVERYTHING}, longer": partial(service.load, "transfer", DELIVERY_FACTOR * plan.seconds),
        }
        by_turns(samples, DATABASE, rows, plan.rounds)


def measure_parts(samples: Samples, plan: Plan) -> None:
    """Measure each part off, one worker more, and nginx in front."""
    with ExitStack() as stack:
        folder, mariadb, redis = stack.enter_context(database_and_queue())

        def start(workers: int = plan.workers, **changes: Any) -> Measured:
            return stack.enter_context(on_server(folder, mariadb, redis, workers, **changes))

        services = {
            EVERYTHING: start(),
            "log at WARNING": start(log_level="WARNING"),
            "listener off": start(listener=False),
            "fast path off": start(fast_path=False),
            "one worker more": start(plan.workers + 1),
        }
        rows = {name: partial(service.load, "transfer", plan.seconds) for name, service in services.items()}
        behind = start(trusted_proxies=BEHIND_NGINX["trusted_proxies"])
        nginx = Nginx(folder / "nginx", int(behind.service.address.rpartition(":")[2])).start()
        stack.callback(nginx.stop)
        rows["through nginx"] = partial(behind.load, "transfer", plan.seconds, through=nginx.address)
        by_turns(samples, PARTS, rows, plan.rounds)


def measure_key(samples: Samples, plan: Plan) -> None:
    """Measure an API key for each request beside an open service."""
    with (
        database_and_queue() as (folder, mariadb, redis),
        on_server(folder, mariadb, redis, plan.workers) as open_,
        on_server(folder, mariadb, redis, plan.workers, with_key=True) as with_key,
    ):
        rows = {
            EVERYTHING: partial(open_.load, "transfer", KEY_SECONDS),
            WITH_KEY: partial(with_key.load, "transfer", KEY_SECONDS),
        }
        by_turns(samples, KEY, rows, KEY_ROUNDS_FACTOR * plan.rounds)


def measure_ceiling(samples: Samples, plan: Plan) -> None:
    """Measure the service without log and listener beside aiohttp with a constant reply."""
    with (
        database_and_queue() as (folder, mariadb, redis),
        on_server(folder, mariadb, redis, plan.workers, listener=False, log_level="WARNING") as lean,
        my_account(
            folder,
            plan.workers,
            "bench.peers.ceiling:application",
            mysql=mariadb.mysql_section(mariadb.new_ledger()),
        ) as constant,
    ):
        rows = {
            "listener off, log at WARNING": partial(lean.load, "transfer", plan.seconds),
            "aiohttp's constant reply": partial(Measured(constant).load, "transfer", plan.seconds),
        }
        by_turns(samples, CEILING, rows, plan.rounds)
