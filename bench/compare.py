"""`python -m bench compare OTHER`: this checkout and another under the same load, by turns.

A machine's speed changes from minute to minute, often by more than a change of the code does. So both services run
at once, each with its own database. Each turn loads one and then the other, and the ratios within the turns are
compared. Processor time varies less than the rate.

Both run with this program's Python and libraries, so that only the code differs. Their tables may differ.
"""

import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.helpers.servers import program, wait_until

from .databases import FILL_ACCOUNTS, BenchMariaDB, fill_embedded
from .load import wrk
from .measured import ACCOUNTS
from .processes import processes
from .servers import CHECKOUT, WITHOUT_LISTENER, Service, database_and_queue, my_account

COLUMNS = {
    "operations a second": "rate",
    "workers' us for each": "cpu_us",
    "MariaDB's us for each": "database_us",
    "both": "all_us",
}
# With everything on, the events of a turn are dispatched within this time.
DISPATCH_SECONDS = 30


class Load(NamedTuple):
    """A script of bench/load, its pattern of accounts, and the seconds of each turn.

    With `everything`, the listener is on, and the log at INFO goes to a file. What a turn's events cost counts.
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


class _Side(NamedTuple):
    """A checkout's service, and its database, which the embedded file is not."""

    service: Service
    database: str = ""


def compare(other: Path, load: Load, turns: int, workers: int, *, embedded: bool) -> None:
    """Print both services' medians, and the median, the least and the most of the turns' ratios."""
    with database_and_queue() as (folder, mariadb, redis), ExitStack() as stack:
        sides = {}
        for name, checkout in (("this", CHECKOUT), ("other", other)):
            sections: dict[str, Any] = {"redis": {"host": "127.0.0.1", "port": redis.port}}
            log = {"log_level": "INFO", "log_file": str(folder / f"{name}.log")}
            sections |= log if load.everything else WITHOUT_LISTENER
            side = (
                _embedded(checkout, folder / f"{name}.db")
                if embedded
                else _on_mariadb(checkout, folder, mariadb, workers, sections)
            )
            sides[name] = stack.enter_context(side)
        results: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
        for turn in range(turns):
            # The order matters too, so it alternates.
            for name in list(sides) if turn % 2 else reversed(sides):
                result = _turn(sides[name], load, mariadb)
                results[name].append(result)
                print(f"{name:6} {result['rate']:9.0f} a second {result['all_us']:9.1f} us each", flush=True)
    print(f"{load.script}, {load.pattern}: medians of {turns} turns of {load.seconds} s, and this / other")
    for title, column in COLUMNS.items():
        _print_medians(title, *([result[column] for result in results[name]] for name in ("this", "other")))


def _turn(side: _Side, load: Load, mariadb: BenchMariaDB) -> dict[str, Any]:
    """Load one side; what its events cost counts."""
    address, process = side.service

    def dispatched() -> bool:
        with mariadb.connect(database=side.database) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT 1 FROM event)")
            return cursor.fetchone() == (0,)

    def settle() -> None:
        if load.everything:
            wait_until(dispatched, DISPATCH_SECONDS)

    result = wrk(
        address,
        load.script,
        load.seconds,
        pattern=load.pattern,
        costs={"cpu_us": processes(process), "database_us": [mariadb.pid]},
        settle=settle,
    )
    return {**result, "all_us": result["cpu_us"] + result["database_us"]}


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
) -> Iterator[_Side]:
    database = mariadb.database_of(checkout, ACCOUNTS)
    mysql = mariadb.mysql_section(database)
    with my_account(folder, workers, "myaccount", checkout, mysql=mysql, **sections) as service:
        yield _Side(service, database)


@contextmanager
def _embedded(checkout: Path, file: Path) -> Iterator[_Side]:
    with my_account(file.parent, 1, "myaccount", checkout, sqlite_file=str(file), **WITHOUT_LISTENER) as service:
        fill_embedded(file, ACCOUNTS, FILL_ACCOUNTS)
        yield _Side(service)
