"""A standard output that cannot be written: a full disk, or a closed pipe."""

import os
import resource
import signal
import socket
import subprocess
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import yaml

from ..helpers.deployments import port_of
from ..helpers.servers import START_SECONDS, STOP_SECONDS, free_port, wait_until
from ..helpers.services import CHECKOUT, ENVIRONMENT, Start

WORDS = [
    ["serve"],
    ["listen"],
    ["migrate", "--status"],
    ["migrate", "--sql"],
    ["events"],
    ["check"],
    ["verify"],
    ["--help"],
    ["--version"],
    ["--print-config"],
    ["--print-config-vars"],
]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of an existing ledger."""
    folder = tmp_path_factory.mktemp("output")
    file = folder / "config.yaml"
    settings = {"port": free_port(), "sqlite_file": str(folder / "money.db"), "log_folder": str(folder)}
    file.write_text(yaml.safe_dump(settings))
    subprocess.run(
        ["python3", "-m", "myaccount", "migrate", "-c", str(file)], cwd=CHECKOUT, env=ENVIRONMENT, check=True
    )
    return file


def _stderr(file: Path, words: list[str], output: int, **environment: str) -> list[str]:
    """Return what a command that fails prints to the standard error."""
    ended = subprocess.run(
        ["python3", "-m", "myaccount", *words, "-c", str(file)],
        cwd=CHECKOUT,
        env={**ENVIRONMENT, **environment},
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        timeout=2 * START_SECONDS,
    )
    assert ended.returncode in (1, 2), ended
    return ended.stderr.splitlines()


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_a_full_disk_is_reported_in_one_line(file: Path, words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        for environment in ({}, {"PYTHONUNBUFFERED": "1"}):
            (line,) = _stderr(file, words, full.fileno(), **environment)
            assert line.endswith("the standard output cannot be written: No space left on device")


@pytest.mark.parametrize("words", [["serve"], ["events"], ["--help"]], ids=" ".join)
def test_a_closed_pipe_is_reported_in_one_line(file: Path, words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    (line,) = _stderr(file, words, writer)
    os.close(writer)
    assert line.endswith("the standard output cannot be written: Broken pipe")


def test_a_service_keeps_running_when_the_pipe_of_its_log_is_closed(file: Path) -> None:
    reader, writer = os.pipe()
    with subprocess.Popen(
        ["python3", "myaccount", "-c", str(file)],
        cwd=CHECKOUT,
        env=ENVIRONMENT,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(writer)
        with os.fdopen(reader) as output:
            wait_until(lambda: "Ctrl-C" in output.readline(), START_SECONDS)
        port = yaml.safe_load(file.read_text())["port"]
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                client.sendall(b"GET /errors HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                assert client.recv(100).startswith(b"HTTP/1.1 200 OK")
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_SECONDS) == 0
        assert process.stderr is not None
        assert process.stderr.read() == "Lines are missing on the standard output: [Errno 32] Broken pipe\n"


def test_a_service_without_file_descriptors_reports_it_in_one_line_and_recovers(start: Start) -> None:
    service = start("python3", "myaccount")
    pid = service.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    open_files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_files + 2, before[1]))
    words = "No connection can be accepted"
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(closing(socket.create_connection(("127.0.0.1", port_of(service)), timeout=10)))
        wait_until(lambda: words in service.output.read_text(), START_SECONDS)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    wait_until(service.answers, START_SECONDS)
    printed = service.output.read_text()
    assert printed.count(words) == printed.count("Too many open files") == 1
    assert "Traceback" not in printed
