"""Programs that start fast: one Python imports the libraries once, and forks for each program.

A new Python would import them for a second. Tests of the start itself use a new one (services.py).
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NoReturn

# What the service imports at its start, and later.
SERVICE = ("myaccount.cli.entry", "aiomysql", "alembic.command", "redis.asyncio")
# Without the service: gunicorn's workers import it after they got their slots for metrics, windows.py after it has
# taken away what Windows lacks.
LIBRARIES = (
    "aiohttp_jinja2",
    "aiohttp_sse",
    "aiojobs",
    "aiomysql",
    "aiosqlite",
    "alembic.command",
    "prometheus_client.multiprocess",
    "pythonjsonlogger.json",
    "redis.asyncio",
    "sqlalchemy.dialects.mysql.aiomysql",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "trafaret_config.commandline",
)

# By the program.
IMPORTED: Mapping[str, Sequence[str]] = {
    "gunicorn": ("aiohttp.worker", "gunicorn.app.wsgiapp", "gunicorn.arbiter", *LIBRARIES),
    "windows.py": LIBRARIES,
}

CHECKOUT = Path(__file__).resolve().parents[2]


class Forked:
    """A forked program, with the interface of subprocess.Popen."""

    def __init__(self, status: int) -> None:
        self._status = os.fdopen(status, "rb", buffering=0)
        self.pid = int(self._status.readline())
        self.returncode: int | None = None

    def __del__(self) -> None:
        # A test may kill a program without waiting for its end.
        self._status.close()

    def poll(self) -> int | None:
        return self._read(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._read(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def _read(self, timeout_seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], timeout_seconds)[0]:
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode


def fork(
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    output: int,
    error_output: int,
    options: Sequence[str] = (),
) -> Forked:
    """Start `python3 OPTIONS WORDS` in the folder; what it prints goes to those descriptors."""
    read, write = os.pipe()
    order = json.dumps([list(words), str(folder), dict(environment)]).encode()
    modules = IMPORTED.get(Path(words[0]).name, SERVICE)
    channel = _channel(modules, tuple(options))
    socket.send_fds(channel, [order], [output, error_output, write])
    os.close(write)
    return Forked(read)


@cache
def _channel(modules: Sequence[str], options: Sequence[str]) -> socket.socket:
    """Start the Python that imports the modules and forks; it ends when the channel is closed."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with there:
        command = [sys.executable, *options, "-m", __name__, *modules]
        process = subprocess.Popen(command, stdin=there.fileno(), cwd=CHECKOUT)

    @atexit.register
    def end() -> None:
        here.close()
        process.wait()

    return here


def main() -> None:
    for name in sys.argv[1:]:
        importlib.import_module(name)
    # The garbage collector of a program leaves out what was imported here, which would copy that memory.
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=os.dup(0)) as channel:
        while True:
            order, (*descriptors,), _, _ = socket.recv_fds(channel, 2**20, 3)
            _reap()
            if not order:
                return
            if os.fork() == 0:
                channel.close()
                _watch(*json.loads(order), *descriptors)
            for descriptor in descriptors:
                os.close(descriptor)


def _reap() -> None:
    """Wait for ended children, so that their processor time counts as this process's."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _watch(
    words: list[str], folder: str, environment: dict[str, str], output: int, error_output: int, status: int
) -> NoReturn:
    """Fork once more, run the program there, and report its process id and exit status."""
    pid = os.fork()
    if pid:
        os.close(output)
        os.close(error_output)
        os.write(status, b"%d\n" % pid)
        os.write(status, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        os._exit(0)
    os.close(status)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(error_output, 2)
    os.close(output)
    os.close(error_output)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = words
    sys.path[0] = str(Path(words[0]).resolve().parent)
    runpy.run_path(words[0], run_name="__main__")
    sys.exit()


if __name__ == "__main__":
    main()
