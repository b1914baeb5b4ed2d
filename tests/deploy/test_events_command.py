"""`myaccount events`: lists what is pending and the dead letters, and resends or drops them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import select

from myaccount.cli import entry as cli
from myaccount.database import leases as retries_module
from myaccount.database.database import Database, open_database
from myaccount.migrations.startup import prepare_schema
from myaccount.model.outbox import delivery, disabled_endpoint, event
from myaccount.outbox import dead_letters as waiting_module
from myaccount.outbox.dead_letters import drop_named, resend_named
from myaccount.settings.callbacks import url_key
from myaccount.settings.loading import load_configuration
from myaccount.settings.schema import Config
from myaccount.webhooks.deliveries import disable_endpoint

from ..conftest import Section
from ..helpers.services import run_command

URL = "http://shop:secret1@hook.example/money?token=secret2"
KEY = url_key(URL)
LONG_AGO = datetime(2026, 1, 1)
LATER = datetime(2099, 1, 1)


@pytest.fixture
async def file(backend: Section, tmp_path: Path) -> Path:
    """The configuration of a database with a pending event and delivery, and a dead letter of each."""
    file = tmp_path / "config.yaml"
    settings = {"sqlite_file": str(tmp_path / "m.db"), "log_folder": str(tmp_path), "callbacks": [{"url": URL}]}
    file.write_text(yaml.safe_dump(settings | backend))
    config = load_configuration(file, {})
    async with open_database(config, Path(config["sqlite_file"])) as database:
        await prepare_schema(database)
        await _plant(database, event, {})
        await _plant(database, delivery, {"endpoint": KEY, "webhook_id": "msg_1"})
    return file


async def _plant(database: Database, table: Any, more: dict[str, str]) -> None:
    row = {"body": "[]", "attempts": 3, "created_at": LONG_AGO, **more}
    rows = [row | {"due_at": LATER, "error": None}, row | {"due_at": None, "error": "it said no"}]
    await database.write(lambda connection: connection.execute(table.insert(), rows))


async def _events(file: Path, *words: str) -> tuple[int, str]:
    done = await asyncio.to_thread(run_command, "python3", "-m", "myaccount", "events", "-c", str(file), *words)
    assert done.returncode == 0 or not done.stdout
    return done.returncode, done.stdout + done.stderr


async def test_what_is_pending_and_dead_letters_are_listed_with_errors_but_no_secrets(file: Path) -> None:
    status, printed = await _events(file)
    assert status == 0
    assert printed.splitlines() == [
        "event-1 of 2026-01-01T00:00:00Z, 3 attempts, next at 2099-01-01T00:00:00Z",
        "event-2 of 2026-01-01T00:00:00Z, dead letter after 3 attempts: it said no",
        f"delivery-1 of 2026-01-01T00:00:00Z to {KEY} (hook.example), 3 attempts, next at 2099-01-01T00:00:00Z",
        f"delivery-2 of 2026-01-01T00:00:00Z to {KEY} (hook.example), dead letter after 3 attempts: it said no",
        "2 pending, 2 dead letters.",
    ]


async def test_one_or_all_dead_letters_are_resent(file: Path) -> None:
    assert await _events(file, "resend", "delivery-2") == (0, "1 sent again.\n")
    assert "3 pending, 1 dead letter." in (await _events(file))[1]
    # An unknown name is reported.
    assert await _events(file, "resend", "event-77") == (1, "There is nothing by the name event-77.\n")
    # The dead letter of an event, and one of each kind that a wrong clock has scheduled for 2099.
    assert await _events(file, "resend", "all") == (0, "3 sent again.\n")
    status, printed = await _events(file)
    assert (status, printed.splitlines()[-1]) == (0, "4 pending, 0 dead letters.")
    assert "event-2 of 2026-01-01T00:00:00Z, 0 attempts" in printed
    assert "2099" not in printed


async def test_deliveries_of_an_endpoint_that_was_removed_go_to_another_or_are_dropped(
    file: Path,
) -> None:
    file.write_text(file.read_text().replace("- url: ", "- name: shop\n  url: ").replace("secret2", "secret3"))
    assert (
        f"delivery-1 of 2026-01-01T00:00:00Z to {KEY} (no longer configured), 3 attempts"
        in (await _events(file))[1]
    )
    status, printed = await _events(file, "resend", KEY, "--to", "shoe")
    assert (status, printed) == (1, "The configuration has no endpoint shoe. It has: shop.\n")
    assert await _events(file, "resend", "delivery-1", "--to", "shop") == (0, "1 sent again.\n")
    assert "delivery-1 of 2026-01-01T00:00:00Z to shop (hook.example), 0 attempts" in (await _events(file))[1]
    assert await _events(file, "drop", KEY) == (0, "1 dropped.\n")
    assert await _events(file, "drop", KEY) == (1, f"There is nothing by the name {KEY}.\n")
    # "all" drops only dead letters.
    assert await _events(file, "drop", "all") == (0, "1 dropped.\n")
    assert "2 pending, 0 dead letters." in (await _events(file))[1]


async def test_a_disabled_endpoint_is_listed_and_enabled_with_or_without_deliveries(file: Path) -> None:
    file.write_text(file.read_text().replace("- url: ", "- name: shop\n  url: "))
    assert await _events(file, "resend", "shop") == (0, "shop has no deliveries.\n")
    assert await _events(file, "drop", "shop") == (0, "shop has no deliveries.\n")
    assert (await _events(file, "resend", "shoe"))[0] == 1
    config = load_configuration(file, {})
    async with open_database(config, Path(config["sqlite_file"])) as database:

        async def disable() -> None:
            await database.write(lambda c: disable_endpoint(c, "shop", LONG_AGO))

        await disable()
        advice = "shop is disabled (410): `myaccount events resend shop` enables it."
        assert (await _events(file))[1].splitlines()[-2:] == [advice, "2 pending, 2 dead letters."]
        assert await _events(file, "resend", "shop") == (0, "shop is enabled. It had no deliveries.\n")
        await disable()
        await _plant(database, delivery, {"endpoint": "shop", "webhook_id": "msg_2"})
        assert "3 pending, 3 dead letters." in (await _events(file))[1]
        assert await _events(file, "resend", "shop") == (0, "shop is enabled.\n2 sent again.\n")
    status, printed = await _events(file)
    assert status == 0
    assert "disabled" not in printed


@pytest.mark.parametrize(
    "words",
    [
        ["resend", "every thing"],
        ["resend", "delivery-12345678901234567890"],
        ["resend"],
        ["drop"],
        ["drop", "a/b"],
        ["resend", "all", "drop", "all"],
        ["drop", "shop", "--to", "other"],
        ["resend", "all", "--to", "shop"],
        ["resend", "event-1", "--to", "shop"],
        ["shop"],
        ["--resend", "every thing"],
        ["--resend"],
        ["--drop", "a/b"],
        ["--resend", "all", "--drop", "all"],
        ["--resend", "all", "--to", "shop"],
        ["--to", "shop"],
    ],
)
def test_wrong_names_and_options_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        cli.main(["events", *words])
    assert raised.value.code == 2
    assert ": error: " in capsys.readouterr().err


@pytest.fixture
async def database(config: Config, backend: Section) -> AsyncIterator[Database]:
    async with open_database(config, Path(config["sqlite_file"])) as database:
        await prepare_schema(database)
        yield database


@pytest.mark.parametrize("do", [resend_named, drop_named])
async def test_each_transaction_changes_one_page_of_rows(
    monkeypatch: pytest.MonkeyPatch, database: Database, do: Callable[[Database, str], Awaitable[object]]
) -> None:
    monkeypatch.setattr(waiting_module, "PAGE_SIZE", 10)
    row = {"body": "[]", "attempts": 3, "created_at": LONG_AGO, "due_at": None, "endpoint": "gone"}
    rows = [row | {"webhook_id": f"msg_{n}"} for n in range(95)]
    await database.write(lambda connection: connection.execute(delivery.insert(), rows))
    changed: list[int] = []
    name = "resend" if do is resend_named else "remove"
    original = getattr(retries_module, name)

    async def noted(*arguments: Any) -> int:
        changed.append(await original(*arguments))
        return changed[-1]

    monkeypatch.setattr(waiting_module, name, noted)
    assert await do(database, "all") in (95, (95, False))
    assert changed == [10] * 9 + [5]


async def test_resending_to_an_endpoint_switches_it_on_again(
    database: Database,
) -> None:
    row = {"body": "[]", "attempts": 3, "created_at": LONG_AGO, "due_at": None, "webhook_id": "msg"}

    async def off() -> list[str]:
        found = await database.read(lambda c: c.execute(select(disabled_endpoint.c.endpoint)))
        return sorted(found.scalars())

    marks = [{"endpoint": endpoint, "created_at": LONG_AGO} for endpoint in ("one", "other", "third")]
    await database.write(lambda connection: connection.execute(disabled_endpoint.insert(), marks))
    await database.write(
        lambda connection: connection.execute(delivery.insert(), [row | {"endpoint": e} for e in ("one", "old")])
    )
    assert await resend_named(database, "one") == (1, True)
    assert await off() == ["other", "third"]
    assert await resend_named(database, "old", "other") == (1, False)
    assert await off() == ["third"]
    endpoints = await database.read(lambda c: c.execute(select(delivery.c.endpoint)))
    assert sorted(endpoints.scalars()) == ["one", "other"]
