"""The service in a checkout that it may not write to, with its data elsewhere."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..helpers.deployments import GUNICORN
from ..helpers.servers import free_port
from ..helpers.services import CHECKOUT, ENVIRONMENT, Start, run_command

# What a service needs of a checkout.
SHIPPED = ("config", "myaccount", "sql", "templates", "gunicorn.conf.py")
# In the copy's style sheet only: a reply with it comes from the copy.
MARK = "/* read-only checkout */"
# File modes do not stop root, unless it gives up this capability.
AS_ANY_USER = ("setpriv", "--bounding-set=-dac_override") if os.geteuid() == 0 else ()


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A copy of the checkout that cannot be changed."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in SHIPPED:
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(CHECKOUT / name, checkout)
    with next(checkout.rglob("style.css")).open("a", encoding="utf-8") as file:
        file.write(MARK)
    _change_modes(checkout, 0o555, 0o444)
    yield checkout
    _change_modes(checkout, 0o755, 0o644)


def _change_modes(folder: Path, folders: int, files: int) -> None:
    folder.chmod(folders)
    for path in folder.rglob("*"):
        path.chmod(folders if path.is_dir() else files)


@pytest.mark.parametrize("command", [("python3", "myaccount"), GUNICORN], ids=" ".join)
def test_the_service_starts_and_takes_orders(
    start: Start, checkout: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    files = sorted(checkout.rglob("*"))
    for folder in (checkout, checkout / "myaccount", checkout / "config"):
        written = subprocess.run(
            [*AS_ANY_USER, "touch", str(folder / "new")], env=ENVIRONMENT, capture_output=True
        )
        assert written.returncode != 0
    service = start(
        *AS_ANY_USER,
        *command,
        folder=checkout,
        by_environment=True,
        sqlite_file=f"{tmp_path}/data/money.db",
        log_folder="",
    )
    assert MARK in service.get("/static/style.css")
    person = {"userName": "N", "sex": "F", "cardNum": "6222999999", "accountType": "01"}
    assert service.post("/openacc", userId="1", accountId="1", **person) == {"result": 1}
    assert service.post("/recharge", orderId="r", userId="1", amount="10") == {"result": 1}
    assert service.end(signal.SIGTERM) == 0, service.output.read_text()
    assert "Traceback" not in service.output.read_text()
    assert sorted(checkout.rglob("*")) == files


def test_a_log_folder_in_the_checkout_is_refused_with_advice(checkout: Path, tmp_path: Path) -> None:
    """The default: relative paths start at the checkout."""
    file = tmp_path / "config.yaml"
    file.write_text(f"port: {free_port()}\nsqlite_file: {tmp_path}/money.db\n", encoding="utf-8")
    refused = run_command(*AS_ANY_USER, "python3", str(checkout / "myaccount"), "-c", str(file))
    assert refused.returncode == 1
    assert 'With log_folder: "" and no log_file the log goes to the console alone' in refused.stderr
