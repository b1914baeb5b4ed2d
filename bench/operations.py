"""Every operation: on MariaDB, and on the embedded file beside a FastAPI service."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from tests.helpers.servers import free_port

from .databases import BenchMariaDB
from .measured import ACCOUNTS, Measured, embedded, on_server
from .processes import processes
from .rounds import Plan, Result, Samples, by_turns
from .servers import Service, database_and_queue, service

ON_MARIADB, EMBEDDED = "operations", "operations, embedded"
FASTAPI = "FastAPI on MariaDB"
# Readers that poll: each has read its inbox shortly before. Drawn from all accounts, most have not, and so have
# many new messages.
POLLING = 1000

# The script of bench/load by the name of the row. These ask the database.
ASKING = {
    "transfers": "transfer",
    "recharges": "recharge",
    "declined transfers": "declined",
    "replays": "replay",
    "openings": "open",
    "balance queries": "query",
    "order queries": "order",
}
POLLED, UNPOLLED = "inbox pages, polled", "inbox pages, not polled"
FORM, BULKS, HOLDS, ALONE = (
    "refused by the form",
    "orders in bulks of 500",
    "hold + capture",
    "transfers, one client",
)
# All that are measured at 256 connections.
CONCURRENT = (*ASKING, POLLED, UNPOLLED, FORM, HOLDS)


def measure_on_mariadb(samples: Samples, plan: Plan) -> None:
    with (
        database_and_queue() as (folder, mariadb, redis),
        on_server(folder, mariadb, redis, plan.workers) as measured,
    ):
        by_turns(samples, ON_MARIADB, _operations(measured, plan.seconds), plan.rounds)


def measure_embedded(samples: Samples, plan: Plan) -> None:
    with (
        database_and_queue() as (folder, mariadb, _),
        _fastapi(mariadb, plan.workers) as peer,
        embedded(folder) as measured,
    ):
        rows: dict[str, Callable[[], Result]] = {
            FASTAPI: partial(peer.load, "transfer", plan.seconds),
            **_operations(measured, plan.seconds),
        }
        by_turns(samples, EMBEDDED, rows, plan.rounds)


def _operations(measured: Measured, seconds: int) -> dict[str, Callable[[], Result]]:
    asking: dict[str, Callable[[], Result]] = {
        name: partial(measured.load, script, seconds) for name, script in ASKING.items()
    }
    return asking | {
        POLLED: partial(measured.load, "inbox", seconds, accounts=POLLING),
        UNPOLLED: partial(measured.load, "inbox", seconds),
        FORM: partial(measured.load, "invalid", seconds),
        BULKS: partial(measured.load, "bulk", seconds),
        HOLDS: partial(measured.load, "hold", seconds),
        ALONE: partial(measured.load, "transfer", seconds, connections=1),
    }


@contextmanager
def _fastapi(mariadb: BenchMariaDB, workers: int) -> Iterator[Measured]:
    """Run what a user would write instead, on a filled database of its own."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {"PEER_DATABASE": mariadb.url("asyncmy", mariadb.filled_database(ACCOUNTS))}
    with service(["bench.peers.serve", str(port), str(workers)], f"{address}/docs", environment) as process:
        # The first process serves too.
        costs = {"cpu_us": [process.pid, *processes(process)], "database_us": [mariadb.pid]}
        yield Measured(Service(address, process), costs)
