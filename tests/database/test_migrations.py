"""`myaccount migrate`: each migration runs once and completely, despite other migrations and interruptions."""

import asyncio
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text

from myaccount.cli import entry as cli
from myaccount.database import freshness, migration_lock
from myaccount.database.database import open_database
from myaccount.errors import Unavailable
from myaccount.migrations import startup
from myaccount.migrations.runner import head_version, read_version
from myaccount.model import access  # noqa: F401 - the metadata has its tables
from myaccount.model.columns import metadata
from myaccount.settings.paths import resource
from myaccount.settings.schema import Config

from ..conftest import eventually
from ..helpers.engines import runs_on
from ..helpers.migrating import (
    VERSION,
    backend,
    both,
    config,
    cut_off,
    engine,
    file,
    migrate,
    migrate_to,
    only_mariadb,
    only_sqlite,
    prepare,
    run,
    run_script,
    tables_of,
)
from ..helpers.servers import MariaDB
from ..helpers.services import CHECKOUT, ENVIRONMENT, run_command

__all__ = ["backend", "config", "engine", "file"]


@both
def test_a_database_is_migrated_once_and_then_there_is_nothing_to_do(
    file: Path, config: Config, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["migrate", "-c", str(file)]) == 0
    first = capsys.readouterr().out.splitlines()
    assert first[0].startswith("0001: The whole schema")
    assert first[1].startswith("0002: Accounts know the number of their last entry")
    assert first[2].startswith("0003: Entries, holds, refunds and bulks")
    assert first[3].startswith("0004: API keys, operators with their sessions, and the audit log")
    assert first[4].startswith("0005: Inboxes get the messages about entries from the entries")
    assert first[5].startswith("0006: Inboxes get the messages about declines from the declines")
    assert first[6].endswith("is at version 0006.")
    assert tables_of(engine) == {*metadata.tables, VERSION}
    assert cli.main(["migrate", "-c", str(file)]) == 0
    (again,) = capsys.readouterr().out.splitlines()
    assert again.startswith("There was nothing to do: the database")
    asyncio.run(prepare(config))


@both
def test_the_status_shows_the_versions_and_changes_nothing(
    file: Path, config: Config, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["migrate", "--status", "-c", str(file)]
    assert cli.main(command) == 0
    printed = capsys.readouterr().out
    assert "The database's version: none. This program's: 0006." in printed
    assert "To run: 0001: The whole schema" in printed
    if "mysql" in config:
        assert tables_of(engine) == set()
    else:
        assert not Path(config["sqlite_file"]).exists()
    cli.main(["migrate", "-c", str(file)])
    capsys.readouterr()
    assert cli.main(command) == 0
    assert capsys.readouterr().out == ("The database's version: 0006. This program's: 0006.\nNothing to run.\n")


@both
def test_the_sql_is_printed_and_makes_the_schema(
    file: Path,
    config: Config,
    engine: Engine,
    mariadb: MariaDB,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["migrate", "--sql", "-c", str(file)]) == 0
    script = tmp_path / "script.sql"
    script.write_text(capsys.readouterr().out, "utf-8")
    if "mysql" in config:
        assert tables_of(engine) == set()
        assert resource("sql/sql.sql").read_text("utf-8").endswith(script.read_text("utf-8"))
    else:
        assert not Path(config["sqlite_file"]).exists()
        assert script.read_text().count("BEGIN") == script.read_text().count("COMMIT") == 1
    run_script(script, config, engine, mariadb)
    asyncio.run(prepare(config))
    assert cli.main(["migrate", "--sql", "-c", str(file)]) == 0
    assert capsys.readouterr().out.startswith("-- There is nothing to do")


@pytest.mark.parametrize(
    "words", [["--status"], ["verify", "--sql"], ["migrate", "--status", "--sql"], ["migrate", "--resend", "all"]]
)
def test_the_options_go_with_their_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        cli.main(words)
    assert raised.value.code == 2
    assert "--" in capsys.readouterr().err


@both
def test_several_programs_may_migrate_at_once(file: Path, config: Config, engine: Engine) -> None:
    with ThreadPoolExecutor(5) as pool:
        done = list(pool.map(lambda _: run_command("myaccount", "migrate", "-c", str(file)), range(5)))
    assert [program.returncode for program in done] == [0] * 5, "".join(program.stderr for program in done)
    assert sorted("nothing to do" in program.stdout for program in done) == [False, True, True, True, True]
    with engine.connect() as connection:
        assert read_version(connection) == head_version()
        assert connection.scalar(text("SELECT COUNT(*) FROM account")) == 1


@only_sqlite
def test_several_starts_on_one_embedded_file_succeed_at_once(config: Config) -> None:
    async def start_all() -> None:
        await asyncio.gather(*(asyncio.to_thread(asyncio.run, prepare(config)) for _ in range(5)))

    asyncio.run(start_all())


@only_mariadb
async def test_a_migration_waits_for_that_of_another_host_and_then_gives_up(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_lock, "MIGRATION_WAIT_SECONDS", 1)
    async with (
        open_database(config, Path()) as other,
        other._engine.connect() as connection,
        migration_lock.migration_lock(connection, other._probe_engine),
    ):
        with pytest.raises(Unavailable, match="migrated by another program for 1 seconds"):
            await migrate(config)
    # The lock is that of one database only.
    await migrate(config)


@only_mariadb
@pytest.mark.not_on("oceanbase", because="a change of a table waits for no transaction there")
async def test_a_version_that_another_program_changes_is_waited_for(
    config: Config, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "LOCK_TIMEOUT_SECONDS", 60)
    monkeypatch.setattr(startup, "TRANSACTION_TIMEOUT_SECONDS", 60)
    await migrate(config)

    def change() -> None:
        # There and back. It locks the first table, and waits for the second.
        run(engine, f"RENAME TABLE {VERSION} TO a, a TO {VERSION}, bulk TO b, b TO bulk")

    async def waiting(count: int) -> None:
        def are_waiting() -> bool:
            with engine.connect() as connection:
                rows = connection.exec_driver_sql("SHOW PROCESSLIST")
                return [row.State for row in rows].count("Waiting for table metadata lock") == count

        await eventually(lambda: asyncio.to_thread(are_waiting))

    with engine.connect() as other:
        other.exec_driver_sql("SELECT * FROM bulk")
        changing = asyncio.create_task(asyncio.to_thread(change))
        await waiting(1)
        async with open_database(config, Path()) as database:
            reading = asyncio.create_task(startup.schema_version(database))
            await waiting(2)
            other.rollback()
            await changing
            assert await reading == head_version()


@only_mariadb
@pytest.mark.not_on("oceanbase", because="a change of a table waits for no transaction there")
async def test_the_wait_for_a_table_in_use_is_limited(
    config: Config, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_lock, "TABLE_WAIT_SECONDS", 1)
    await migrate_to(config, "0002")
    with engine.connect() as other:
        other.exec_driver_sql("SELECT * FROM `order`")
        with pytest.raises(Unavailable, match=r"The database failed: .*Lock wait timeout"):
            await migrate(config)
    await migrate(config)


@both
async def test_a_migration_that_is_interrupted_anywhere_is_completed_by_the_next(
    config: Config, engine: Engine
) -> None:
    number, cut = 0, True
    while cut:
        # Each change of a table takes OceanBase half a second. test_entries_migration.py and
        # test_access_migration.py interrupt the later migrations before each.
        number += 10 if runs_on("oceanbase") else 4
        async with open_database(config, Path(config["sqlite_file"])) as database:
            cut = await cut_off(database, number)
        if cut and "mysql" not in config:
            assert tables_of(engine) == set()
        await migrate(config)
        await prepare(config)
        with engine.begin() as connection:
            assert connection.scalar(text("SELECT COUNT(*) FROM account")) == 1
            if not runs_on("oceanbase"):
                # SQLAlchemy cannot inspect OceanBase's tables.
                tables = inspect(connection)
                assert sum(len(tables.get_indexes(table)) for table in metadata.tables) >= 9
            for table in reversed(metadata.sorted_tables):
                connection.exec_driver_sql(f"DROP TABLE `{table.name}`")
            connection.exec_driver_sql(f"DROP TABLE {VERSION}")
    # There are 15 tables and their indexes.
    assert number > 20


@both
def test_alembic_is_imported_only_if_there_is_something_to_migrate(file: Path, config: Config) -> None:
    command = ["python3", "-X", "importtime", "-m", "myaccount"]

    def loads_alembic(*words: str) -> bool:
        done = subprocess.run(
            [*command, *words, "-c", str(file)], cwd=CHECKOUT, env=ENVIRONMENT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return "alembic" in done.stderr

    assert loads_alembic("migrate")
    assert not loads_alembic("migrate")
    assert not loads_alembic("migrate", "--status")
    # Like a start, this command only compares versions.
    assert not loads_alembic("events")
