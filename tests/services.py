"""The service as a process of its own, started as a person would."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlencode

import pytest
import yaml

from .preloaded import Forked, fork
from .servers import free_port, wait_until

CHECKOUT = Path(__file__).resolve().parent.parent
START_SECONDS = 30
STOP_SECONDS = 20

# What a person's shell has, without what the test runner adds.
ENVIRONMENT = {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "HOME": os.environ.get("HOME", "/"),
}


# The first word of a command that need not start a Python of its own (preloaded.py).
PRELOADED = "preloaded"


def _started(
    command: list[str], folder: Path, output: int, environment: Mapping[str, str]
) -> "Forked | subprocess.Popen[bytes]":
    if command[0] == PRELOADED:
        return fork(command[1:], folder, output, environment)
    return subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, env=environment)


class Service:
    """A running service: what it printed, and the way to it."""

    def __init__(
        self, command: list[str], folder: Path, configuration: Path, output: Path, environment: Mapping[str, str]
    ) -> None:
        port = yaml.safe_load(configuration.read_text())["port"]
        self.address = f"http://127.0.0.1:{port}"
        self.configuration = configuration
        self.output = output
        with output.open("ab") as file:
            self.process = _started(command, folder, file.fileno(), {**ENVIRONMENT, **environment})

    def answers(self) -> bool:
        assert self.process.poll() is None, self.output.read_text()
        try:
            return self.get("/opeacclistentest") == "success"
        except urllib.error.URLError:
            return False

    def get(self, path: str) -> str:
        return self._ask(path, None).decode()

    def post(self, path: str, **fields: str) -> dict[str, object]:
        body: dict[str, object] = json.loads(self._ask(path, urlencode(fields).encode()))
        return body

    def _ask(self, path: str, data: bytes | None) -> bytes:
        """Return the body of a reply. Raises HTTPError for a refusal."""
        try:
            with urllib.request.urlopen(self.address + path, data, timeout=10) as response:  # noqa: S310 - our own
                text: bytes = response.read()
        except urllib.error.HTTPError as error:
            # Else its socket is open until its garbage is collected, which fails the test that runs then.
            error.close()
            raise
        return text

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)


class ListenerAlone:
    """`myaccount listen`, or another command that does it, on a service's configuration with the listener on."""

    def __init__(self, service: Service, *command: str) -> None:
        settings = yaml.safe_load(service.configuration.read_text()) | {"listener": {"enabled": True}}
        file = service.configuration.with_name("listener.yaml")
        file.write_text(yaml.safe_dump(settings))
        self.output = service.configuration.with_name("listener.txt")
        words = command or ("myaccount",)
        with self.output.open("ab") as output:
            self.process = fork([*words, "listen", "-c", str(file)], CHECKOUT, output.fileno(), ENVIRONMENT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        assert self.process.wait(STOP_SECONDS) in (0, -signal.SIGKILL), self.output.read_text()


Start = Callable[..., Service]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a service on a configuration file of its own, and wait until it answers."""
    services: list[Service] = []

    def start(
        *command: str, folder: Path = CHECKOUT, environment: bool = False, text: str = "", **sections: object
    ) -> Service:
        port = free_port()
        file = tmp_path / f"config-{port}.yaml"
        settings = {
            "port": port,
            "sqlite_file": f"{tmp_path}/money.db",
            "log_folder": f"{tmp_path}/logs",
            **sections,
        }
        file.write_text(text.replace("8080", str(port)) or yaml.safe_dump(settings))
        words = [word.format(port=port) for word in command]
        given = {"MYACCOUNT_CONFIG": str(file)} if environment else {}
        service = Service(
            words if environment else [*words, "-c", str(file)],
            folder,
            file,
            tmp_path / f"output-{port}.txt",
            given,
        )
        services.append(service)
        wait_until(service.answers, START_SECONDS)
        return service

    yield start
    for service in services:
        if service.process.poll() is None:
            service.process.kill()
            service.process.wait()
