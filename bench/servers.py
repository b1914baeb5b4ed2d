"""Runs the private servers and the services that are measured."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tests.helpers.servers import Redis, Server, free_port, wait_until

from .databases import BenchMariaDB

CHECKOUT = Path(__file__).resolve().parent.parent
START_SECONDS = 60
STOP_SECONDS = 40

# Events are written and not dispatched.
WITHOUT_LISTENER = {"listener": {"enabled": False}}


class Service(NamedTuple):
    """A running service: its address, and its process, whose children may be the workers."""

    address: str
    process: "subprocess.Popen[bytes]"


@contextmanager
def database_and_queue() -> Iterator[tuple[Path, BenchMariaDB, Redis]]:
    """Run private servers; give a folder of theirs that may be used too, and both."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running(BenchMariaDB(folder / "mariadb")) as mariadb, running(Redis(folder / "redis")) as redis:
            yield folder, mariadb, redis


AnyServer = TypeVar("AnyServer", bound=Server)


@contextmanager
def running(server: AnyServer) -> Iterator[AnyServer]:
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def service(
    command: list[str], probe: str, environment: dict[str, str], checkout: Path = CHECKOUT
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a service from a checkout, from when its probe answers until it has ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=checkout,
        env={**os.environ, **environment, "PYTHONPATH": str(checkout)},
        stdout=subprocess.DEVNULL,
        # A group of its own, so that its workers end with it.
        start_new_session=True,
    )

    def answers() -> bool:
        try:
            urllib.request.urlopen(probe, timeout=5).close()  # noqa: S310 - our own service
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    try:
        wait_until(answers, START_SECONDS)
        # Every worker has started, not only the first.
        time.sleep(1)
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(STOP_SECONDS)


@contextmanager
def my_account(
    folder: Path, workers: int, module: str = "myaccount", checkout: Path = CHECKOUT, /, **sections: Any
) -> Iterator[Service]:
    """Run the service, under gunicorn where there is more than one worker to run."""
    port = free_port()
    file = folder / f"config-{port}.yaml"
    settings = {"port": port, "log_level": "WARNING", "log_folder": str(folder), **sections}
    file.write_text(json.dumps(settings))
    address = f"http://127.0.0.1:{port}"
    command = ["myaccount", "-c", str(file)]
    if workers > 1:
        command = ["gunicorn", module, "--bind", f"127.0.0.1:{port}", "--workers", str(workers)]
        command += ["--log-level", "warning", "--worker-class", "aiohttp.GunicornWebWorker"]
    probe = f"{address}/opeacclistentest"
    with service(command, probe, {"MYACCOUNT_CONFIG": str(file)}, checkout) as process:
        yield Service(address, process)


def new_key(folder: Path, mysql: dict[str, Any]) -> str:
    """Return a new API key of the service in this database, which may move money, read messages and metrics."""
    file = folder / "keys.yaml"
    file.write_text(json.dumps({"mysql": mysql, "log_folder": ""}))
    words = [sys.executable, "-m", "myaccount", "keys", "create", "-c", str(file)]
    words += ["--name", "bench", "--scopes", "money:move,messages:read,operate"]
    printed = subprocess.run(words, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
    return printed.split()[-1]
