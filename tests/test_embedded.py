"""The embedded file: which SQLite it needs, whose it is, and which process serves it."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from myaccount import cli
from myaccount.settings import Config
from myaccount.store.database import open_database
from myaccount.store.embedded import OLDEST_SQLITE
from myaccount.store.schema import prepare_schema

from .servers import free_port


@pytest.fixture
def backend() -> Mapping[str, Any]:
    return {}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration file that names an embedded file which is not there yet."""
    file = tmp_path / "config.yaml"
    settings = {"port": free_port(), "sqlite_file": str(tmp_path / "data" / "money.db")}
    file.write_text(yaml.safe_dump(settings | {"log_folder": str(tmp_path / "logs")}), encoding="utf-8")
    return file


@pytest.mark.parametrize("command", ["serve", "listen", "check", "events", "verify", "migrate"])
def test_an_sqlite_that_is_too_old_is_refused_in_one_line_before_anything_is_made(
    file: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 2))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.37.2")
    assert cli.main([command, "-c", str(file)]) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert "SQLite 3.37.2" in line
    assert "needs 3.38 or later" in line
    assert "section mysql" in line
    assert not (file.parent / "data").exists()


async def test_the_oldest_sqlite_that_will_do_is_taken(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", OLDEST_SQLITE)
    async with open_database(config, Path(config["sqlite_file"])) as database:
        await prepare_schema(database, embedded=True)
