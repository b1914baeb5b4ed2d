"""Services under load: their rates, and what an operation costs each process."""

import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from myaccount.problems import STATUS_BY_CODE
from tests.helpers.monitoring import Scrape
from tests.helpers.servers import Redis, free_port

from .databases import BenchServer, embedded_rows, fill_embedded
from .inboxes import Inboxes
from .load import SILENT_SCRIPTS, wrk
from .processes import processes, resident_mib
from .servers import WITHOUT_LISTENER, Service, my_account, new_key

ACCOUNTS = 10_000


class Measured(NamedTuple):
    """A running service, and what is needed to measure it."""

    service: Service
    # By the name of the column: the processes that an operation costs time, beside the workers.
    others: Mapping[str, Sequence[int]] = {}
    # None where the service has no metrics.
    metrics_port: int | None = None
    # None where no listener delivers messages.
    inboxes: Inboxes | None = None
    key: str | None = None

    def load(self, script: str, seconds: int, *, through: str | None = None, **options: Any) -> dict[str, Any]:
        """Return the results of wrk's run, at the service's own address or `through` another.

        What the delivery of the messages costs counts. `delivered` is the rate of orders delivered, as a share of
        the rate of orders taken.
        """
        workers = processes(self.service.process)
        if self.inboxes is not None and script not in SILENT_SCRIPTS:
            self.inboxes.begin()
            options["settle"] = self.inboxes.wait
        costs = {"cpu_us": workers, **self.others}
        address = through or self.service.address
        result = wrk(address, script, seconds, key=self.key, costs=costs, count_503s=self._count_503s, **options)
        delivered = result["seconds"] / (result["seconds"] + result["settle_seconds"])
        return {**result, "delivered": delivered, "worker_mib": resident_mib(workers)}

    def metrics(self) -> Scrape:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        request = urllib.request.Request(f"http://127.0.0.1:{self.metrics_port}/metrics", headers=headers)
        with urllib.request.urlopen(request) as response:  # noqa: S310 - our own service
            return Scrape(response.read().decode())

    def _count_503s(self) -> int:
        """Return how many requests were refused with a 503 so far."""
        if self.metrics_port is None:
            return 0
        metrics = self.metrics()
        codes = [code for code, status in STATUS_BY_CODE.items() if status == HTTPStatus.SERVICE_UNAVAILABLE]
        return int(sum(metrics.where("myaccount_refusals_total", code=code) for code in codes))


@contextmanager
def on_server(
    folder: Path,
    server: BenchServer,
    redis: Redis,
    workers: int,
    *,
    listener: bool = True,
    with_key: bool = False,
    **changes: Any,
) -> Iterator[Measured]:
    """Run the service as users have it, but for the changes of its sections. Its database is its own."""
    database = server.filled_database(ACCOUNTS)
    mysql = server.mysql_section(database)
    key = new_key(folder, mysql) if with_key else None
    sections = {"mysql": mysql, "redis": {"host": "127.0.0.1", "port": redis.port}, **_observed(folder)}
    sections |= {} if listener else WITHOUT_LISTENER
    sections |= {"access": "keys"} if with_key else {}
    with my_account(folder, workers, **sections | changes) as service:
        inboxes = Inboxes(service.address, partial(server.rows, database), key) if listener else None
        others = {"database_us": [server.pid], "queue_us": [redis.pid]}
        yield Measured(service, others, sections["metrics"]["port"], inboxes, key)


@contextmanager
def embedded(folder: Path) -> Iterator[Measured]:
    """Run the service as users have it without a server: one process, on a filled file."""
    file = folder / "money.db"
    sections = _observed(folder)
    with my_account(folder, 1, sqlite_file=str(file), **sections) as service:
        fill_embedded(file, ACCOUNTS)
        inboxes = Inboxes(service.address, partial(embedded_rows, file), None)
        yield Measured(service, {}, sections["metrics"]["port"], inboxes)


def _observed(folder: Path) -> dict[str, Any]:
    """Return the sections of the access log and the metrics."""
    port = free_port()
    return {"log_level": "INFO", "log_file": str(folder / f"log-{port}.txt"), "metrics": {"port": port}}
