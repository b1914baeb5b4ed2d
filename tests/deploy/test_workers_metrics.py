"""The metrics of gunicorn's workers: each reports those of all, and no count is lost when workers change."""

import os
import re
import signal
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from myaccount.observability import slots

from ..conftest import Section
from ..helpers.monitoring import ANSWER_SECONDS, Scrape, ask, scrape
from ..helpers.servers import START_SECONDS, free_port, wait_until
from ..helpers.services import Service, Start

WORKERS = 3
# `make soak` has as many reloads as a busy month.
RESTARTS = 20 if int(os.environ.get("SOAK_ROUNDS", "1")) > 1 else 5
COUNT = "myaccount_http_request_duration_seconds_count"


def test_a_folder_whose_owner_cannot_be_changed_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "chown", refuse)
    monkeypatch.delenv(slots.FOLDER_VARIABLE, raising=False)
    with pytest.raises(PermissionError):
        slots.open_folder(os.geteuid() + 1, os.getegid())
    assert slots.FOLDER_VARIABLE not in os.environ


@pytest.fixture
def metrics_port() -> int:
    return free_port()


@pytest.fixture
def folders(tmp_path: Path) -> Callable[[], list[Path]]:
    """The folders of metrics of this test's gunicorns."""
    return lambda: list(tmp_path.glob("myaccount-metrics-*"))


@pytest.fixture
def service(start: Start, mysql_section: Section, metrics_port: int, tmp_path: Path) -> Service:
    return start_workers(start, mysql_section, metrics_port, tmp_path)


def start_workers(start: Start, mysql: Section, metrics_port: int, tmp_path: Path) -> Service:
    service = start(
        *("gunicorn", "myaccount", "--bind", "127.0.0.1:{port}"),
        *("--workers", str(WORKERS)),
        by_environment=True,
        environment={"TMPDIR": str(tmp_path)},
        mysql=mysql,
        metrics={"port": metrics_port},
    )
    wait_until(lambda: processes(metrics_port) == WORKERS, START_SECONDS)
    return service


def processes(port: int) -> float:
    """Return how many processes report that they serve. During a reload it may be none for a moment."""
    try:
        return scrape(port)["myaccount_processes"]
    except OSError:
        return 0


def workers(service: Service) -> set[int]:
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text()
    return {int(pid) for pid in children.split()}


def use(service: Service, requests: int) -> None:
    """Send that many requests, each on a new connection, so that every worker gets some."""

    def send(number: int) -> None:
        assert "MyAccount" in service.get("/errors")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(requests)))


def counted(scrape: Scrape) -> float:
    return scrape.where(COUNT, route="/errors", method="GET", status="200")


def reload(service: Service, metrics_port: int) -> None:
    """Replace all workers, and wait until the old ones have ended and all new ones serve."""
    before = workers(service)
    service.process.send_signal(signal.SIGHUP)
    wait_until(lambda: not before & workers(service) and len(workers(service)) == WORKERS, START_SECONDS)
    wait_until(lambda: processes(metrics_port) == WORKERS, START_SECONDS)


def test_each_worker_reports_the_counts_of_all(service: Service, metrics_port: int) -> None:
    use(service, 100)
    # A worker writes its counts for the others once a second.
    wait_until(lambda: counted(scrape(metrics_port)) == 100, START_SECONDS)
    # Each on a new connection, so that each worker is scraped.
    assert {counted(scrape(metrics_port)) for _ in range(20)} == {100}
    found = scrape(metrics_port)
    assert found["myaccount_pool_connections_limit"] == WORKERS * 5
    assert found["myaccount_build_info"] == 1

    def is_up() -> bool:
        found = scrape(metrics_port)
        return (found["myaccount_ready"], found["myaccount_database_up"]) == (1, 1)

    wait_until(is_up, START_SECONDS)


def test_clients_cannot_reach_the_metrics_nor_the_metrics_port_their_routes(
    service: Service, metrics_port: int
) -> None:
    public = int(service.address.rpartition(":")[2])
    assert ask(public, "/metrics").status == 404
    assert [ask(metrics_port, path).status for path in ("/", "/errors", "/messagestest", "/messages")] == [404] * 4
    paths = [(port, path) for port in (public, metrics_port) for path in ("/healthz", "/readyz")]
    wait_until(lambda: {ask(port, path).status for port, path in paths} == {200}, START_SECONDS)


def test_counters_continue_over_many_reloads(
    service: Service, metrics_port: int, folders: Callable[[], list[Path]]
) -> None:
    sent = 0
    for _ in range(RESTARTS):
        use(service, 10)
        sent += 10
        reload(service, metrics_port)
        assert counted(scrape(metrics_port)) == sent
    # Old and new workers overlap, so there are slots for twice as many, and no more.
    (folder,) = folders()
    slots = {re.sub(r".*_(\d+)\.db", r"\1", file.name) for file in folder.iterdir()}
    assert slots <= set(map(str, range(2 * WORKERS)))
    assert scrape(metrics_port)["myaccount_process_starts_total"] == WORKERS * (RESTARTS + 1)


def test_the_counters_of_a_killed_worker_stay_and_its_gauges_go(service: Service, metrics_port: int) -> None:
    sent = 0
    for _ in range(3):
        use(service, 20)
        sent += 20
        wait_until(lambda: counted(scrape(metrics_port)) == sent, START_SECONDS)  # noqa: B023
        victim = min(workers(service))
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in workers(service) and len(workers(service)) == WORKERS, START_SECONDS)  # noqa: B023
        wait_until(lambda: processes(metrics_port) == WORKERS, START_SECONDS)
        assert counted(scrape(metrics_port)) == sent


def test_the_gauges_of_workers_that_were_removed_go(service: Service, metrics_port: int) -> None:
    service.process.send_signal(signal.SIGTTOU)
    wait_until(lambda: processes(metrics_port) == WORKERS - 1, START_SECONDS)
    assert scrape(metrics_port)["myaccount_pool_connections_limit"] == (WORKERS - 1) * 5


def test_a_master_removes_its_folder_and_those_of_killed_masters(
    start: Start, mysql_section: Section, metrics_port: int, tmp_path: Path, folders: Callable[[], list[Path]]
) -> None:
    killed = start_workers(start, mysql_section, metrics_port, tmp_path)
    orphans = workers(killed)
    killed.process.kill()
    killed.process.wait()
    wait_until(lambda: not any(Path(f"/proc/{pid}/stat").exists() for pid in orphans), START_SECONDS)
    (left,) = folders()
    again = start_workers(start, mysql_section, metrics_port, tmp_path)
    (folder,) = folders()
    assert folder != left
    assert counted(scrape(metrics_port)) == 0
    assert again.end(signal.SIGTERM) == 0
    assert folders() == []


def test_a_port_in_use_is_reported_and_the_master_ends(
    start: Start, mysql_section: Section, service: Service, metrics_port: int, tmp_path: Path
) -> None:
    assert ask(metrics_port, "/healthz").seconds < ANSWER_SECONDS
    with pytest.raises(AssertionError, match="address already in use"):
        start("python3", "myaccount", mysql=mysql_section, metrics={"port": metrics_port})
