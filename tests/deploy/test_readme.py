"""The README's examples work as they are printed."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ..helpers.servers import free_port, wait_until
from ..helpers.services import CHECKOUT, ENVIRONMENT, Service, Start

WAIT_SECONDS = 60


def block(readme: str, begins: str) -> str:
    """Return the literal block that begins with the text."""
    text = (CHECKOUT / readme).read_text("utf-8")
    lines = []
    for line in text[text.index(f"    {begins}") :].splitlines():
        if line and not line.startswith("    "):
            break
        lines.append(line[4:])
    return "\n".join(lines).strip() + "\n"


@pytest.mark.parametrize("readme", ["README.rst", "README.zh-CN.rst"])
def test_the_receiver_verifies_callbacks_of_the_configuration_beside_it(
    start: Start, tmp_path: Path, readme: str
) -> None:
    port = free_port()
    program = tmp_path / "receiver.py"
    program.write_text(block(readme, "from aiohttp import web").replace("9000", str(port)))
    # An example must not be reachable from the network.
    assert 'host="127.0.0.1"' in program.read_text()
    callbacks = yaml.safe_load(block(readme, "callbacks:").replace("9000", str(port)))
    output = tmp_path / "received.txt"
    with output.open("wb") as file:
        receiver = subprocess.Popen([sys.executable, str(program)], stdout=file, stderr=file, env=ENVIRONMENT)

    def listens() -> bool:
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(listens, WAIT_SECONDS)
        service = start("python3", "myaccount", **callbacks)
        service.post("/openacc", userId="u1", userName="N", sex="F", cardNum="1", accountId="a1", accountType="1")
        wait_until(lambda: "'type': 'account_opened', 'userId': 'u1'" in output.read_text(), WAIT_SECONDS)
    finally:
        receiver.kill()
        receiver.wait()


def _run(service: Service, command: str) -> str:
    command = command.replace("http://127.0.0.1:8080", service.address)
    return subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout  # noqa: S602


@pytest.mark.parametrize("readme", ["README.rst", "README.zh-CN.rst"])
def test_the_replies_on_the_first_screen_are_those_of_the_service(start: Start, readme: str) -> None:
    text = (CHECKOUT / readme).read_text("utf-8")
    service = start("python3", "myaccount")
    for command in re.findall(r"^    (curl .*/(?:openacc|recharge))$", text, re.MULTILINE):
        assert _run(service, command) == '{"result": 1}\n'
    exchanges = re.findall(r"^    (curl .*)\n\n    (\{(?:.*\n)+?)\n", text, re.MULTILINE)
    assert len(exchanges) == 2
    for command, shown in exchanges:
        reply = json.loads(_run(service, command))
        # Each reply has its own.
        own = {"request_id": reply["request_id"]} if "request_id" in reply else {}
        assert reply == json.loads(shown) | own
