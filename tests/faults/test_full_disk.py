"""A disk without room: the service goes on as far as it can, says what is wrong, and recovers by itself."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError

from ..conftest import eventually
from ..helpers.deployments import GUNICORN, port_of, workers_of
from ..helpers.disks import Disk, disk
from ..helpers.monitoring import readiness, scrape
from ..helpers.servers import START_SECONDS, free_port, wait_until
from ..helpers.services import CHECKOUT, ENVIRONMENT, Service, Start

__all__ = ["disk"]

COUNT = "myaccount_http_request_duration_seconds_count"
MANY_KINDS = """
import logging
logging.basicConfig(format="%(levelname)s %(message)s")
from myaccount.observability import metrics
for n in range(10_000):
    metrics.count_refusal(f"refused-{n}")
    metrics.count_delivery(f"host-{n}.example", "ok")
for n in range(2000):
    metrics.count_request(f"/r{n}", "GET", 200, 0.1)
metrics.count_noted()
"""


def _count_many_kinds(folder: Path, **options: object) -> str:
    """Have a worker count more kinds than its files have room for; return what it logged."""
    slot = {"PROMETHEUS_MULTIPROC_DIR": str(folder), "MYACCOUNT_SLOT": "0", "MYACCOUNT_STARTED": "1"}
    # Python's own files would be cut.
    slot["PYTHONDONTWRITEBYTECODE"] = "1"
    done = subprocess.run(
        ["sh", "-c", f'{options.get("limit", ":")}; exec "$0" -c "$1"', sys.executable, MANY_KINDS],
        cwd=CHECKOUT, env=ENVIRONMENT | slot, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done
    return done.stderr


def _sizes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in folder.iterdir()}


def test_a_worker_s_files_have_all_their_room_from_the_beginning_and_never_grow(tmp_path: Path) -> None:
    slot = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "MYACCOUNT_SLOT": "0", "MYACCOUNT_STARTED": "1"}
    program = [sys.executable, "-c", "import myaccount.observability.metrics"]
    subprocess.run(program, cwd=CHECKOUT, env=ENVIRONMENT | slot, check=True)
    before = _sizes(tmp_path)
    assert len(before) == 4
    # Twice, as by a slot's next worker.
    for _ in range(2):
        assert "ERROR Some counts of this process are missing from /metrics: " in _count_many_kinds(tmp_path)
        assert _sizes(tmp_path) == before
        for file in tmp_path.iterdir():
            assert file.stat().st_blocks * 512 >= file.stat().st_size > 0


def test_a_worker_whose_files_have_no_room_counts_in_memory_and_says_so_once_a_file(tmp_path: Path) -> None:
    logged = _count_many_kinds(tmp_path, limit="ulimit -f 0").splitlines()
    assert len(logged) == len({line.partition("_0.db")[0] for line in logged}) == 4
    for line in logged:
        assert line.startswith("ERROR Some counts of this process are missing from /metrics: ")
        assert line.endswith(("File too large", "No space left on device"))
    assert _sizes(tmp_path) == {}


def test_gunicorn_s_workers_outlive_a_disk_that_becomes_full(start: Start, disk: Disk) -> None:
    port = free_port()
    folder = {"TMPDIR": str(disk.folder)}
    service = start(*GUNICORN, by_environment=True, environment=folder, metrics={"port": port}, log_level="DEBUG")
    workers = workers_of(service)
    disk.fill(service.process.pid)
    # Each is a kind of answer that takes room of its own.
    paths = ["/", "/errors", "/openacctest", "/queryacctest", "/rechargetest", "/transfertest", "/querordertest"]
    for path in [*paths, "/messagestest", "/healthz", "/readyz", "/static/style.css", "/opeacclistentest"]:
        _status(service, path)
    for n in range(50):
        _recharge(service, n)
    wait_until(lambda: scrape(port).where(COUNT, route="/errors") == 1, START_SECONDS)
    assert workers_of(service) == workers
    printed = service.output.read_text()
    assert "was sent SIG" not in printed
    assert "Traceback" not in printed
    disk.free()


async def test_the_embedded_service_is_not_ready_on_a_full_disk_says_why_and_recovers(
    start: Start, disk: Disk
) -> None:
    # Without a listener, nobody else writes to the file while a probe does.
    sections = {"sqlite_file": f"{disk.folder}/money.db", "listener": {"enabled": False}}
    service = await asyncio.to_thread(start, "python3", "myaccount", **sections)
    port = port_of(service)
    for user in "12":
        person = {"userName": "N", "sex": "F", "cardNum": "1", "accountType": "01"}
        await asyncio.to_thread(service.post, "/openacc", userId=user, accountId=user, **person)

    async def ready() -> bool:
        return bool((await readiness(port))["ready"])

    await eventually(ready)
    disk.fill(service.process.pid)
    # What the file has room for already is still taken.
    numbers = iter(range(400))
    while (status := await asyncio.to_thread(_recharge, service, next(numbers))) == 200:
        pass
    assert status == 503
    await eventually(lambda: _not_writable(port))
    said = r"ERROR \S+\.probe \[.*\] The database takes no writes: (database or disk is full|disk I)"
    assert re.search(said, service.output.read_text())
    # Asked again and again, it says so once.
    await eventually(lambda: _not_writable(port))
    assert service.output.read_text().count("The database takes no writes") == 1
    disk.free()
    await eventually(ready)
    assert await asyncio.to_thread(_recharge, service, 1000) == 200


async def _not_writable(port: int) -> bool:
    checks = await readiness(port)
    return (checks["ready"], checks["database"]) == (False, "not writable")


def _status(service: Service, path: str) -> int:
    try:
        service.get(path)
    except HTTPError as error:
        return error.code
    return 200


def _recharge(service: Service, number: int) -> int:
    try:
        service.post("/recharge", orderId=f"r{number}", userId="1", amount="1")
    except HTTPError as error:
        return error.code
    return 200


def test_a_worker_without_a_folder_for_its_files_tells_what_it_counts() -> None:
    program = """
import os
os.environ["MYACCOUNT_SLOT"] = "0"
from myaccount.observability import exposition, metrics, slots
slots.leave_slot(type("Worker", (), {"slot": 0}))
metrics.count_refusal("alone")
assert b'code="alone"' in exposition.exposition([])
slots.remove_folder()
"""
    subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, env=ENVIRONMENT, check=True)
