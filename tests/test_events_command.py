"""`myaccount events`: what waits and what was set aside, for people to see, and to have tried again."""

import asyncio
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from myaccount.configuration import load_configuration
from myaccount.model.outbox import delivery, event
from myaccount.store.database import Database, open_database
from myaccount.store.deliveries import endpoint_key
from myaccount.store.schema import prepare_schema

from .conftest import Section
from .services import CHECKOUT, ENVIRONMENT

URL = "http://shop:secret1@hook.example/money?token=secret2"
LONG_AGO = datetime(2026, 1, 1)
LATER = datetime(2099, 1, 1)


@pytest.fixture
async def file(backend: Section, tmp_path: Path) -> Path:
    """The configuration of a database in which one of each kind waits, and one of each was set aside."""
    file = tmp_path / "config.yaml"
    settings = {"sqlite_file": str(tmp_path / "m.db"), "log_folder": str(tmp_path), "callbacks": [{"url": URL}]}
    file.write_text(yaml.safe_dump(settings | backend))
    config = load_configuration(file, {})
    async with open_database(config, Path(config["sqlite_file"])) as database:
        await prepare_schema(database, embedded=not backend)
        await _plant(database, event, {})
        await _plant(database, delivery, {"endpoint": endpoint_key(URL), "webhook_id": "msg_1"})
    return file


async def _plant(database: Database, table: Any, more: dict[str, str]) -> None:
    row = {"body": "[]", "attempts": 3, "created_at": LONG_AGO, **more}
    rows = [row | {"due_at": LATER, "error": None}, row | {"due_at": None, "error": "it said no"}]
    await database.write(lambda connection: connection.execute(table.insert(), rows))


async def _events(file: Path, *words: str) -> tuple[int, str]:
    done = await asyncio.to_thread(
        subprocess.run,
        ["python3", "-m", "myaccount", "events", "-c", str(file), *words],
        cwd=CHECKOUT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


async def test_what_waits_and_what_was_set_aside_is_listed_with_the_error_and_no_secret(file: Path) -> None:
    status, printed = await _events(file)
    assert status == 0
    assert printed.splitlines() == [
        "event-1 of 2026-01-01T00:00:00Z, 3 attempts, next at 2099-01-01T00:00:00Z",
        "event-2 of 2026-01-01T00:00:00Z, set aside after 3 attempts: it said no",
        "delivery-1 of 2026-01-01T00:00:00Z to hook.example, 3 attempts, next at 2099-01-01T00:00:00Z",
        "delivery-2 of 2026-01-01T00:00:00Z to hook.example, set aside after 3 attempts: it said no",
        "2 waiting, 2 set aside.",
    ]
    file.write_text(file.read_text().replace("hook.example", "elsewhere.example"))
    assert "delivery-1 of 2026-01-01T00:00:00Z to an endpoint no longer configured" in (await _events(file))[1]


async def test_one_or_all_that_were_set_aside_are_tried_again(file: Path) -> None:
    assert await _events(file, "--resend", "delivery-2") == (0, "1 sent again.\n")
    assert "3 waiting, 1 set aside." in (await _events(file))[1]
    # What waits is not touched, and what is not there is said.
    assert await _events(file, "--resend", "delivery-1") == (1, "Nothing of that name was set aside.\n")
    assert await _events(file, "--resend", "event-77") == (1, "Nothing of that name was set aside.\n")
    assert await _events(file, "--resend", "all") == (0, "1 sent again.\n")
    status, printed = await _events(file)
    assert (status, printed.splitlines()[-1]) == (0, "4 waiting, 0 set aside.")
    assert "event-2 of 2026-01-01T00:00:00Z, 0 attempts" in printed


@pytest.mark.parametrize("words", [["--resend", "everything"], ["--resend", "delivery-x"], ["--resend"]])
async def test_a_name_that_is_none_is_refused(file: Path, words: list[str]) -> None:
    status, printed = await _events(file, *words)
    assert status == 2
    assert "--resend" in printed
