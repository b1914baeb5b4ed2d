"""`python -m bench compare OTHER`: this checkout and another under the same load, by turns.

A machine's speed changes from minute to minute, often by more than a change of the code does. So both services run
at once, each with its own database. Each turn loads one and then the other, and the ratios within the turns are
compared. The workers' processor time varies less than the rate.

Both run with this program's Python and libraries, so that only the code differs. Their tables may differ.
"""

import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from operator import truediv
from pathlib import Path
from typing import Any, NamedTuple

from .load import wrk
from .servers import (
    CHECKOUT,
    FILL_ACCOUNTS,
    WITHOUT_LISTENER,
    BenchMariaDB,
    Service,
    database_and_queue,
    fill_embedded,
    my_account,
    processes,
)

ACCOUNTS = 10_000
COLUMNS = {"operations a second": "rate", "processor us for each": "cpu_us"}


class Load(NamedTuple):
    """A script of bench/load, its pattern of accounts, and the seconds of each turn."""

    script: str
    pattern: str
    seconds: int


def compare(other: Path, load: Load, turns: int, workers: int, *, embedded: bool) -> None:
    """Print both services' medians, and the median, the least and the most of the turns' ratios."""
    with database_and_queue() as (folder, mariadb, redis), ExitStack() as stack:
        queue = {"host": "127.0.0.1", "port": redis.port}
        services = {
            name: stack.enter_context(
                _embedded(checkout, folder / f"{name}.db")
                if embedded
                else _on_mariadb(checkout, folder, mariadb, queue, workers)
            )
            for name, checkout in (("this", CHECKOUT), ("other", other))
        }
        results: dict[str, list[dict[str, Any]]] = {name: [] for name in services}
        for turn in range(turns):
            # The order matters too, so it alternates.
            for name in list(services) if turn % 2 else reversed(services):
                address, process = services[name]
                result = wrk(address, load.script, load.seconds, pattern=load.pattern, workers=processes(process))
                results[name].append(result)
                print(f"{name:6} {result['rate']:9.0f} a second {result['cpu_us']:9.1f} us each", flush=True)
    print(f"{load.script}, {load.pattern}: medians of {turns} turns of {load.seconds} s, and this / other")
    for title, column in COLUMNS.items():
        _print_medians(title, *([result[column] for result in results[name]] for name in ("this", "other")))


def _print_medians(title: str, this: list[float], other: list[float]) -> None:
    ratios = list(map(truediv, this, other))
    print(
        f"{title:21} {statistics.median(this):9.1f} {statistics.median(other):9.1f}"
        f" {statistics.median(ratios):6.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
    )


@contextmanager
def _on_mariadb(
    checkout: Path, folder: Path, mariadb: BenchMariaDB, redis: dict[str, Any], workers: int
) -> Iterator[Service]:
    sections = {"mysql": mariadb.mysql_section(mariadb.database_of(checkout, ACCOUNTS)), "redis": redis}
    with my_account(folder, workers, "myaccount", checkout, **sections, **WITHOUT_LISTENER) as service:
        yield service


@contextmanager
def _embedded(checkout: Path, file: Path) -> Iterator[Service]:
    with my_account(file.parent, 1, "myaccount", checkout, sqlite_file=str(file), **WITHOUT_LISTENER) as service:
        fill_embedded(file, ACCOUNTS, FILL_ACCOUNTS)
        yield service
