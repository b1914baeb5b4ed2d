"""`python -m bench compare OTHER`: this checkout and another under the same load, by turns.

A machine's speed changes from minute to minute, often by more than a change of the code does. So both services run
at once, each with its own database. Each turn loads one and then the other, and the ratios within the turns are
compared. Processor time varies less than the rate.

Both run with this program's Python and libraries, so that only the code differs. Their tables may differ, so what
is queried is ordered over HTTP first. Inboxes have messages only with everything on.
"""

import json
import statistics
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests.helpers.servers import program

from .databases import FILL_ACCOUNTS, BenchMariaDB, fill_embedded
from .inboxes import Inboxes
from .measured import ACCOUNTS, Measured
from .operations import POLLING
from .servers import CHECKOUT, WITHOUT_LISTENER, database_and_queue, my_account

COLUMNS = {
    "operations a second": "rate",
    "workers' us for each": "cpu_us",
    "MariaDB's us for each": "database_us",
    "both": "all_us",
}
# The accounts that are queried, and how many recharges each has, by the script that queries what was ordered.
ORDERED = {"order": (ACCOUNTS, 1), "inbox": (POLLING, 25)}
BULK = 500


class Load(NamedTuple):
    """A script of bench/load, its pattern of accounts, and the seconds of each turn.

    With `everything`, the listener is on, and the log at INFO goes to a file. What the delivery costs counts.
    """

    script: str
    pattern: str
    seconds: int
    everything: bool


@contextmanager
def checkout_of(name: str) -> Iterator[Path]:
    """Give the folder of that name, or a new one with the commit of that name. Raises ValueError."""
    if (Path(name) / "myaccount").is_dir():
        yield Path(name).resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run([program("git", "git"), "archive", name], cwd=CHECKOUT, capture_output=True)
        if archive.returncode:
            raise ValueError(f"{name} is neither the folder of a checkout nor a commit")
        subprocess.run([program("tar", "tar"), "--extract"], cwd=folder, check=True, input=archive.stdout)
        yield Path(folder)


def compare(other: Path, load: Load, turns: int, workers: int, *, embedded: bool) -> None:
    """Print both services' medians, and the median, the least and the most of the turns' ratios."""
    with database_and_queue() as (folder, mariadb, redis), ExitStack() as stack:
        sides = {}
        for name, checkout in (("this", CHECKOUT), ("other", other)):
            sections: dict[str, Any] = {"redis": {"host": "127.0.0.1", "port": redis.port}}
            log = {"log_level": "INFO", "log_file": str(folder / f"{name}.log")}
            sections |= log if load.everything else WITHOUT_LISTENER
            side = (
                _embedded(checkout, folder / f"{name}.db", mariadb)
                if embedded
                else _on_mariadb(checkout, folder, mariadb, workers, sections)
            )
            sides[name] = stack.enter_context(side)
            if load.script in ORDERED:
                _order(sides[name], *ORDERED[load.script])
        results: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
        for turn in range(turns):
            # The order matters too, so it alternates.
            for name in list(sides) if turn % 2 else reversed(sides):
                result = _turn(sides[name], load)
                results[name].append(result)
                print(f"{name:6} {result['rate']:9.0f} a second {result['all_us']:9.1f} us each", flush=True)
    print(f"{load.script}, {load.pattern}: medians of {turns} turns of {load.seconds} s, and this / other")
    for title, column in COLUMNS.items():
        _print_medians(title, *([result[column] for result in results[name]] for name in ("this", "other")))


def _turn(side: Measured, load: Load) -> dict[str, Any]:
    accounts, _ = ORDERED.get(load.script, (ACCOUNTS, 0))
    result = side.load(load.script, load.seconds, pattern=load.pattern, accounts=accounts)
    return {**result, "all_us": result["cpu_us"] + result["database_us"]}


def _order(side: Measured, accounts: int, times: int) -> None:
    """Recharge each of the accounts so many times. The order queries of bench/load are for the first of these."""
    if side.inboxes is not None:
        side.inboxes.begin()
    orders = [
        {"type": "recharge", "orderId": f"opening-{n + 1}", "userId": f"u{n % accounts + 1}", "amount": "1"}
        for n in range(accounts * times)
    ]
    for start in range(0, len(orders), BULK):
        bulk = {"bulkId": f"bulk-{start}", "atomic": True, "orders": orders[start : start + BULK]}
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{side.service.address}/bulk", json.dumps(bulk).encode(), headers)  # noqa: S310
        urllib.request.urlopen(request).close()  # noqa: S310 - our own service
    if side.inboxes is not None:
        side.inboxes.wait()


def _print_medians(title: str, this: list[float], other: list[float]) -> None:
    ratios = [one / another for one, another in zip(this, other, strict=True) if another]
    print(
        f"{title:21} {statistics.median(this):9.1f} {statistics.median(other):9.1f}"
        f" {statistics.median(ratios):6.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        if ratios
        else f"{title:21} none"
    )


@contextmanager
def _on_mariadb(
    checkout: Path, folder: Path, mariadb: BenchMariaDB, workers: int, sections: dict[str, Any]
) -> Iterator[Measured]:
    database = mariadb.database_of(checkout, ACCOUNTS)
    mysql = mariadb.mysql_section(database)
    with my_account(folder, workers, "myaccount", checkout, mysql=mysql, **sections) as service:
        listens = "listener" not in sections
        inboxes = Inboxes(service.address, partial(mariadb.rows, database), None) if listens else None
        yield Measured(service, {"database_us": [mariadb.pid]}, inboxes=inboxes)


@contextmanager
def _embedded(checkout: Path, file: Path, mariadb: BenchMariaDB) -> Iterator[Measured]:
    with my_account(file.parent, 1, "myaccount", checkout, sqlite_file=str(file), **WITHOUT_LISTENER) as service:
        fill_embedded(file, ACCOUNTS, FILL_ACCOUNTS)
        yield Measured(service, {"database_us": [mariadb.pid]})
