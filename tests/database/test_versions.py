"""Starts and migrations on a schema of another version, or of another program."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from sqlalchemy import Engine, inspect, text

from myaccount.cli import entry as cli
from myaccount.database.start_errors import DatabaseNotReady
from myaccount.migrations import runner as migrations
from myaccount.migrations.runner import head_version, read_version
from myaccount.settings.schema import Config

from ..conftest import Section
from ..helpers.migrating import (
    VERSION,
    backend,
    both,
    config,
    engine,
    file,
    migrate,
    migrate_to,
    only_mariadb,
    only_sqlite,
    prepare,
    run,
    tables_of,
)
from ..helpers.servers import MariaDB
from ..helpers.services import run_command

__all__ = ["backend", "config", "engine", "file"]


@only_mariadb
async def test_at_start_a_server_without_the_schema_is_refused_with_the_command_to_run(
    config: Config, mariadb: MariaDB, engine: Engine
) -> None:
    with pytest.raises(DatabaseNotReady, match=r"has no schema yet.*Run:  myaccount migrate -c FILE") as raised:
        await prepare(config)
    assert "\n" not in str(raised.value)
    assert mariadb.password not in str(raised.value)


NEXT = '''
"""A folder may be closed."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade():
    op.execute("ALTER TABLE team ADD COLUMN closed INTEGER")
    op.execute("{last}")
'''


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make the program need version 0007, whose last statement is given."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrations.MIGRATIONS, folder)

    def write(last: str) -> None:
        (folder / "versions" / "0007_closed.py").write_text(NEXT.format(last=last).lstrip())
        monkeypatch.setattr(migrations, "MIGRATIONS", folder)

    return write


TEAM = "INSERT INTO team (team_id, team_name, created_at) VALUES ('t', 'T', '2026-01-01 00:00:00')"


@both
async def test_an_older_schema_is_upgraded_or_refused_and_keeps_its_data(
    file: Path,
    config: Config,
    engine: Engine,
    next_version: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    await migrate(config)
    run(engine, TEAM)
    next_version("UPDATE team SET closed = 0")
    for words in ("--status", "--sql"):
        assert await asyncio.to_thread(cli.main, ["migrate", words, "-c", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "The database's version: 0006. This program's: 0007.\nTo run: 0007: A folder may be closed." in printed
    assert "UPDATE alembic_version SET version_num='0007'" in printed
    assert "CREATE TABLE" not in printed
    if "mysql" in config:
        with pytest.raises(DatabaseNotReady, match="is at version 0006, and this program needs version 0007"):
            await prepare(config)
        await migrate(config)
    await prepare(config)
    with engine.connect() as connection:
        assert read_version(connection) == "0007"
        assert connection.exec_driver_sql("SELECT team_id, closed FROM team").all() == [("t", 0)]


@only_sqlite
async def test_a_failed_migration_leaves_the_embedded_file_unchanged(
    config: Config, engine: Engine, next_version: Callable[[str], None]
) -> None:
    await migrate(config)
    next_version("UPDATE nowhere SET closed = 0")
    with pytest.raises(DatabaseNotReady, match="The database failed: no such table: nowhere"):
        await prepare(config)
    assert "closed" not in {column["name"] for column in inspect(engine).get_columns("team")}
    with engine.connect() as connection:
        assert read_version(connection) == "0006"


@both
async def test_a_newer_schema_is_refused_everywhere(
    file: Path, config: Config, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    await migrate(config)
    run(engine, f"UPDATE {VERSION} SET version_num = '0999'")
    with pytest.raises(
        DatabaseNotReady, match=r"at version 0999, and this program is older: .* up to 0006\. Install"
    ):
        await prepare(config)
    for words in ([], ["--status"], ["--sql"]):
        assert await asyncio.to_thread(cli.main, ["migrate", *words, "-c", str(file)]) == 1
        assert "myaccount cannot migrate: the database" in capsys.readouterr().err


@both
async def test_a_schema_that_an_earlier_checkout_made_is_kept(
    file: Path, config: Config, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    await migrate_to(config, "0001")
    run(
        engine,
        f"DROP TABLE {VERSION}",
        TEAM,
    )
    assert await asyncio.to_thread(cli.main, ["migrate", "--sql", "-c", str(file)]) == 0
    script = capsys.readouterr().out
    assert script.count("CREATE TABLE user") == 0
    assert "-- The tables are there already" in script
    if "mysql" in config:
        assert "they are kept as they are" in (await migrate(config))[0]
    await prepare(config)
    with engine.connect() as connection:
        assert read_version(connection) == head_version()
        assert connection.scalar(text("SELECT COUNT(*) FROM team")) == 1


@pytest.mark.parametrize(
    ("spoil", "lacks"),
    [
        (["ALTER TABLE message DROP COLUMN title"], r"the columns message\.title"),
        (["DROP TABLE event"], "the tables event"),
        (
            ["DELETE FROM account", TEAM],
            "the external account",
        ),
    ],
)
@both
async def test_a_different_schema_is_refused_with_what_it_lacks(
    file: Path, config: Config, engine: Engine, spoil: list[str], lacks: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await migrate_to(config, "0001")
    run(engine, f"DROP TABLE {VERSION}", *spoil)
    before = tables_of(engine)
    with pytest.raises(DatabaseNotReady, match=f"lacks {lacks}.*Move it elsewhere"):
        await migrate(config)
    assert tables_of(engine) == before
    assert await asyncio.to_thread(cli.main, ["migrate", "-c", str(file)]) == 1
    assert "Traceback" not in capsys.readouterr().err
    with pytest.raises(DatabaseNotReady):
        await prepare(config)


@both
async def test_another_programs_tables_are_left_alone(config: Config, engine: Engine) -> None:
    run(engine, "CREATE TABLE message (id INTEGER PRIMARY KEY, words VARCHAR(10))")
    with pytest.raises(DatabaseNotReady, match=r"another program's: it lacks the tables .* message\.reader_id"):
        await migrate(config)
    assert tables_of(engine) == {"message"}


@both
async def test_a_database_without_the_external_account_is_refused_at_start(config: Config, engine: Engine) -> None:
    await migrate(config)
    run(engine, "DELETE FROM account")
    with pytest.raises(DatabaseNotReady, match="lacks the external account"):
        await prepare(config)


def test_the_service_refuses_an_unsuitable_schema_in_one_line(
    mariadb: MariaDB, mysql_section: Section, tmp_path: Path
) -> None:
    file = tmp_path / "config.yaml"
    empty = mysql_section | {"db": mariadb.new_database()}
    file.write_text(yaml.safe_dump({"mysql": empty, "log_folder": str(tmp_path)}))
    refused = run_command("python3", "myaccount", "-c", str(file))
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert line.startswith("myaccount cannot serve: the database test_")
    assert line.endswith(f"Run:  myaccount migrate -c {file}")
