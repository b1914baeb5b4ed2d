"""The service in its own process, started as a user starts it."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Self
from urllib.parse import urlencode

import pytest
import yaml

from .child_processes import kill_with_children
from .preloaded import Forked, fork
from .servers import START_SECONDS, STOP_SECONDS, free_port, wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
# Sections of a service that refuses no order because the machine stands still.
PATIENT = {"journal": {"waiting_seconds": 60}}

# A user's environment, without what the test runner adds.
ENVIRONMENT = {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "HOME": os.environ.get("HOME", "/"),
}


BIN = Path(sys.executable).parent


def begin(
    command: Sequence[str],
    folder: Path = CHECKOUT,
    environment: Mapping[str, str] = ENVIRONMENT,
    *,
    output: int,
    error_output: int | None = None,
    fresh: bool = False,
) -> "Forked | subprocess.Popen[bytes]":
    """Start a command. A new Python takes a second, so one is started only if the test needs it: `fresh`."""
    options, words = _words(command)
    errors = output if error_output is None else error_output
    if words and not fresh:
        return fork(words, folder, environment, output, errors, options)
    return subprocess.Popen(command, cwd=folder, stdout=output, stderr=errors, env=environment)


def _words(command: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return Python's options, and the program and its arguments; nothing if it is no program of ours."""
    match command:
        case ["python3", "-m", "myaccount", *more]:
            return [], ["myaccount", *more]
        case ["python3", ("myaccount" | "tests/helpers/failpoints.py") as program, *more]:
            return [], [program, *more]
        case ["gunicorn" | "myaccount" as program, *more]:
            return [], [str(BIN / program), *more]
        case ["python3", "-X", option, "tests/helpers/windows.py" as program, *more]:
            return ["-X", option], [program, *more]
        case _:
            return [], []


def run_command(
    *command: str, environment: Mapping[str, str] | None = None, fresh: bool = False
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end in the checkout; return its exit status and what it printed."""
    with TemporaryFile("w+") as output, TemporaryFile("w+") as errors:
        process = begin(
            command,
            environment={**ENVIRONMENT, **(environment or {})},
            output=output.fileno(),
            error_output=errors.fileno(),
            fresh=fresh,
        )
        try:
            status = process.wait(2 * START_SECONDS)
        finally:
            process.kill()
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(command, status, output.read(), errors.read())


class Service:
    """A running service."""

    def __init__(
        self,
        command: list[str],
        folder: Path,
        configuration: Path,
        output: Path,
        environment: Mapping[str, str],
        *,
        fresh: bool,
    ) -> None:
        port = yaml.safe_load(configuration.read_text())["port"]
        self.address = f"http://127.0.0.1:{port}"
        self.configuration = configuration
        self.output = output
        with output.open("ab") as file:
            self.process = begin(
                command, folder, {**ENVIRONMENT, **environment}, output=file.fileno(), fresh=fresh
            )

    def answers(self) -> bool:
        assert self.process.poll() is None, self.output.read_text()
        try:
            return self.get("/opeacclistentest") == "success"
        except OSError:
            # The connection was refused, or reset: its port may have been another program's until now.
            return False

    def get(self, path: str) -> str:
        return self._ask(path, None).decode()

    def post(self, path: str, **fields: str) -> dict[str, object]:
        body: dict[str, object] = json.loads(self._ask(path, urlencode(fields).encode()))
        return body

    def _ask(self, path: str, data: bytes | None) -> bytes:
        """Return the body of a reply. Raises HTTPError for a refusal."""
        try:
            with urllib.request.urlopen(self.address + path, data, timeout=START_SECONDS) as response:  # noqa: S310 - our own
                text: bytes = response.read()
        except urllib.error.HTTPError as error:
            # Otherwise its socket is open until the garbage collection, which fails the test that runs then.
            error.close()
            raise
        return text

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)


class ListenerAlone:
    """`myaccount listen`, or a given command, on a service's configuration with the listener enabled."""

    def __init__(self, service: Service, *command: str) -> None:
        settings = yaml.safe_load(service.configuration.read_text()) | {"listener": {"enabled": True}}
        file = service.configuration.with_name("listener.yaml")
        file.write_text(yaml.safe_dump(settings))
        self.output = service.configuration.with_name("listener.txt")
        words = ["python3", *(command or ["myaccount"]), "listen", "-c", str(file)]
        with self.output.open("ab") as output:
            self.process = begin(words, output=output.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        assert self.process.wait(STOP_SECONDS) in (0, -signal.SIGKILL), self.output.read_text()


Start = Callable[..., Service]


@contextmanager
def starting(folder_of_files: Path) -> Iterator[Start]:
    """Give a factory of services, each with its own configuration file. It waits until the service answers."""
    services: list[Service] = []

    def start(
        *command: str,
        folder: Path = CHECKOUT,
        environment: Mapping[str, str] | None = None,
        by_environment: bool = False,
        fresh: bool = False,
        text: str = "",
        **sections: object,
    ) -> Service:
        port = free_port()
        file = folder_of_files / f"config-{port}.yaml"
        settings = {
            "port": port,
            "sqlite_file": f"{folder_of_files}/money.db",
            "log_folder": f"{folder_of_files}/logs",
            **sections,
        }
        file.write_text(text.replace("8080", str(port)) or yaml.safe_dump(settings))
        words = [word.format(port=port) for word in command]
        given = {**(environment or {}), **({"MYACCOUNT_CONFIG": str(file)} if by_environment else {})}
        service = Service(
            words if by_environment else [*words, "-c", str(file)],
            folder,
            file,
            folder_of_files / f"output-{port}.txt",
            given,
            fresh=fresh,
        )
        services.append(service)
        wait_until(service.answers, START_SECONDS)
        return service

    try:
        yield start
    finally:
        for service in services:
            kill_with_children(service.process)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with starting(tmp_path) as start:
        yield start
