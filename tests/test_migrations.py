"""`myaccount migrate`, and what a start makes of a schema that is not this program's."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Connection, Engine, create_engine, event, inspect, text

from myaccount import cli
from myaccount.configuration import Config, load_configuration
from myaccount.ledger.errors import Unavailable
from myaccount.model.columns import metadata
from myaccount.resources import resource
from myaccount.store import migration_lock, migrations
from myaccount.store.database import Database, open_database
from myaccount.store.migrations import head_version, read_version, upgrade
from myaccount.store.schema import DatabaseNotReady, prepare_schema

from .conftest import Section
from .servers import MariaDB
from .services import CHECKOUT, ENVIRONMENT, Start
from .test_schema import VERSION, mysql_engine


@pytest.fixture
def backend(request: pytest.FixtureRequest, mysql_section: Section, mariadb: MariaDB) -> Section:
    """A database in which there is nothing."""
    if request.param == "sqlite":
        return {}
    return {"mysql": mysql_section | {"db": mariadb.new_database()}}


both = pytest.mark.parametrize("backend", ["sqlite", "mariadb"], indirect=True)
only_mariadb = pytest.mark.parametrize("backend", ["mariadb"], indirect=True)
only_sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def file(backend: Section, tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    settings = {"sqlite_file": str(tmp_path / "m.db"), "log_folder": str(tmp_path)}
    file.write_text(yaml.safe_dump(settings | backend))
    return file


@pytest.fixture
def config(file: Path) -> Config:
    return load_configuration(file, {})


@pytest.fixture
def engine(config: Config, mariadb: MariaDB) -> Iterator[Engine]:
    """Another's way to the database."""
    if "mysql" in config:
        engine = mysql_engine(mariadb, config["mysql"]["db"])
    else:
        engine = create_engine(f"sqlite:///{config['sqlite_file']}")
    yield engine
    engine.dispose()


def _run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def _tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


async def _start(config: Config) -> None:
    async with open_database(config, Path(config["sqlite_file"])) as database:
        await prepare_schema(database, embedded="mysql" not in config)


async def _migrate(config: Config) -> list[str]:
    """Return what was told."""
    told: list[str] = []
    async with open_database(config, Path(config["sqlite_file"])) as database:
        await database.migrate(partial(upgrade, tell=told.append))
    return told


@both
def test_a_database_is_migrated_once_and_then_there_is_nothing_to_do(
    file: Path, config: Config, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["migrate", "-c", str(file)]) == 0
    first = capsys.readouterr().out.splitlines()
    assert first[0].startswith("0001: The whole schema")
    assert first[1].endswith("is at version 0001.")
    assert _tables(engine) == {*metadata.tables, VERSION}
    assert cli.main(["migrate", "-c", str(file)]) == 0
    (again,) = capsys.readouterr().out.splitlines()
    assert again.startswith("There was nothing to do: the database")
    asyncio.run(_start(config))


@both
def test_the_status_tells_the_versions_and_changes_nothing(
    file: Path, config: Config, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["migrate", "--status", "-c", str(file)]
    assert cli.main(command) == 0
    printed = capsys.readouterr().out
    assert "The database's version: none. This program's: 0001." in printed
    assert "To be run: 0001: The whole schema" in printed
    if "mysql" in config:
        assert _tables(engine) == set()
    else:
        assert not Path(config["sqlite_file"]).exists()
    cli.main(["migrate", "-c", str(file)])
    capsys.readouterr()
    assert cli.main(command) == 0
    assert capsys.readouterr().out == (
        "The database's version: 0001. This program's: 0001.\nNothing is to be run.\n"
    )


@both
def test_the_sql_is_printed_and_not_run_and_makes_the_schema(
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
        assert _tables(engine) == set()
        assert resource("sql/sql.sql").read_text("utf-8").endswith(script.read_text("utf-8"))
        mariadb.run_script(config["mysql"]["db"], script)
    else:
        assert not Path(config["sqlite_file"]).exists()
        assert script.read_text().count("BEGIN") == script.read_text().count("COMMIT") == 1
        connection = engine.raw_connection()
        connection.executescript(script.read_text("utf-8"))
        connection.close()
    asyncio.run(_start(config))
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
    command = ["python3", "-m", "myaccount", "migrate", "-c", str(file)]
    programs = [
        subprocess.Popen(
            command, cwd=CHECKOUT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(5)
    ]
    printed = [program.communicate(timeout=60)[0] for program in programs]
    assert [program.returncode for program in programs] == [0] * 5, printed
    assert sorted("nothing to do" in text for text in printed) == [False, True, True, True, True]
    with engine.connect() as connection:
        assert read_version(connection) == head_version()
        assert connection.scalar(text("SELECT COUNT(*) FROM account")) == 1


@only_sqlite
def test_several_embedded_starts_at_once_do_not_trip_over_each_other(config: Config) -> None:
    async def start_all() -> None:
        await asyncio.gather(*(asyncio.to_thread(asyncio.run, _start(config)) for _ in range(5)))

    asyncio.run(start_all())


@only_mariadb
async def test_a_migration_waits_for_another_hosts_and_then_says_so(
    config: Config, mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_lock, "MIGRATION_WAIT_SECONDS", 1)
    with mariadb.connect(database=config["mysql"]["db"]) as other, other.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK(CONCAT('myaccount.', MD5(DATABASE())), 0)")
        with pytest.raises(Unavailable, match="migrated by another program for 1 seconds"):
            await _migrate(config)
    # Another database's is its own.
    await _migrate(config)


@only_mariadb
async def test_a_table_in_use_is_not_waited_for_without_end(
    config: Config, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_lock, "TABLE_WAIT_SECONDS", 1)
    await _migrate(config)
    _run(engine, f"DELETE FROM {VERSION}", "DELETE FROM account")
    with engine.connect() as other:
        other.exec_driver_sql("SELECT * FROM event")
        with pytest.raises(Unavailable, match=r"The database failed: .*Lock wait timeout"):
            await _migrate(config)
    await _migrate(config)


async def cut_off(database: Database, number: int) -> bool:
    """Migrate, cut off before the change of that number; return whether there was one."""
    done = 0

    def cut(connection: Connection, cursor: object, statement: str, *rest: Any) -> None:
        nonlocal done
        done += not statement.startswith(("SELECT", "SHOW", "DESCRIBE", "PRAGMA"))
        if done >= number:
            raise OSError("cut off")

    event.listen(database._engine.sync_engine, "before_cursor_execute", cut)
    try:
        await database.migrate(partial(upgrade, tell=lambda line: None))
    except OSError:
        return True
    return False


@both
async def test_a_migration_that_is_cut_off_anywhere_is_completed_by_the_next(
    config: Config, engine: Engine
) -> None:
    number, cut = 0, True
    while cut:
        number += 1
        async with open_database(config, Path(config["sqlite_file"])) as database:
            cut = await cut_off(database, number)
        if cut and "mysql" not in config:
            assert _tables(engine) == set()
        await _migrate(config)
        await _start(config)
        with engine.begin() as connection:
            assert connection.scalar(text("SELECT COUNT(*) FROM account")) == 1
            indexes = [index for table in metadata.tables for index in inspect(connection).get_indexes(table)]
            assert len(indexes) >= 9
            for table in reversed(metadata.sorted_tables):
                connection.exec_driver_sql(f"DROP TABLE `{table.name}`")
            connection.exec_driver_sql(f"DROP TABLE {VERSION}")
    # Ten tables and their indexes.
    assert number > 20


@only_mariadb
async def test_a_server_without_the_schema_is_refused_at_start_with_what_to_run(
    config: Config, mariadb: MariaDB, engine: Engine
) -> None:
    with pytest.raises(DatabaseNotReady, match=r"has no schema yet.*Run:  myaccount migrate -c FILE") as raised:
        await _start(config)
    assert "\n" not in str(raised.value)
    assert mariadb.password not in str(raised.value)


NEXT = '''
"""A folder may be closed."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.execute("ALTER TABLE team ADD COLUMN closed INTEGER")
    op.execute("{last}")
'''


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the program be one that needs version 0002, which ends in a statement."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrations.MIGRATIONS, folder)

    def write(last: str) -> None:
        (folder / "versions" / "0002_closed.py").write_text(NEXT.format(last=last).lstrip())
        monkeypatch.setattr(migrations, "MIGRATIONS", folder)

    return write


TEAM = "INSERT INTO team (team_id, team_name, created_at) VALUES ('t', 'T', '2026-01-01 00:00:00')"


@both
async def test_a_schema_that_is_behind_is_migrated_by_itself_or_refused_and_keeps_what_it_holds(
    file: Path,
    config: Config,
    engine: Engine,
    next_version: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    await _migrate(config)
    _run(engine, TEAM)
    next_version("UPDATE team SET closed = 0")
    for words in ("--status", "--sql"):
        assert await asyncio.to_thread(cli.main, ["migrate", words, "-c", str(file)]) == 0
    printed = capsys.readouterr().out
    assert (
        "The database's version: 0001. This program's: 0002.\nTo be run: 0002: A folder may be closed." in printed
    )
    assert "UPDATE alembic_version SET version_num='0002'" in printed
    assert "CREATE TABLE" not in printed
    if "mysql" in config:
        with pytest.raises(DatabaseNotReady, match="is at version 0001, and this program needs version 0002"):
            await _start(config)
        await _migrate(config)
    await _start(config)
    with engine.connect() as connection:
        assert read_version(connection) == "0002"
        assert connection.exec_driver_sql("SELECT team_id, closed FROM team").all() == [("t", 0)]


@only_sqlite
async def test_a_migration_of_the_embedded_file_that_fails_leaves_it_as_it_was(
    config: Config, engine: Engine, next_version: Callable[[str], None]
) -> None:
    await _migrate(config)
    next_version("UPDATE nowhere SET closed = 0")
    with pytest.raises(DatabaseNotReady, match="The database failed: no such table: nowhere"):
        await _start(config)
    assert "closed" not in {column["name"] for column in inspect(engine).get_columns("team")}
    with engine.connect() as connection:
        assert read_version(connection) == "0001"


@both
async def test_a_schema_that_is_newer_is_refused_everywhere(
    file: Path, config: Config, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    await _migrate(config)
    _run(engine, f"UPDATE {VERSION} SET version_num = '0999'")
    with pytest.raises(
        DatabaseNotReady, match=r"at version 0999, and this program is older: .* up to 0001\. Install"
    ):
        await _start(config)
    for words in ([], ["--status"], ["--sql"]):
        assert await asyncio.to_thread(cli.main, ["migrate", *words, "-c", str(file)]) == 1
        assert "myaccount cannot migrate: the database" in capsys.readouterr().err


@both
async def test_what_an_earlier_checkout_set_up_is_taken_over_as_it_is(
    file: Path, config: Config, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    await _migrate(config)
    _run(
        engine,
        f"DROP TABLE {VERSION}",
        TEAM,
    )
    assert await asyncio.to_thread(cli.main, ["migrate", "--sql", "-c", str(file)]) == 0
    script = capsys.readouterr().out
    assert script.count("CREATE TABLE") == 1
    assert "-- The tables are there already" in script
    if "mysql" in config:
        assert "they are kept as they are" in (await _migrate(config))[0]
    await _start(config)
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
async def test_an_earlier_schema_that_is_not_this_one_is_refused_with_what_it_lacks(
    file: Path, config: Config, engine: Engine, spoil: list[str], lacks: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await _migrate(config)
    _run(engine, f"DROP TABLE {VERSION}", *spoil)
    before = _tables(engine)
    with pytest.raises(DatabaseNotReady, match=f"lacks {lacks}.*Move it elsewhere"):
        await _migrate(config)
    assert _tables(engine) == before
    assert await asyncio.to_thread(cli.main, ["migrate", "-c", str(file)]) == 1
    assert "Traceback" not in capsys.readouterr().err
    with pytest.raises(DatabaseNotReady):
        await _start(config)


@both
async def test_another_programs_tables_are_left_alone(config: Config, engine: Engine) -> None:
    _run(engine, "CREATE TABLE message (id INTEGER PRIMARY KEY, words VARCHAR(10))")
    with pytest.raises(DatabaseNotReady, match=r"another program's: it lacks the tables .* message\.reader_id"):
        await _migrate(config)
    assert _tables(engine) == {"message"}


@both
async def test_a_database_without_the_external_account_is_refused_at_start(config: Config, engine: Engine) -> None:
    await _migrate(config)
    _run(engine, "DELETE FROM account")
    with pytest.raises(DatabaseNotReady, match="lacks the external account"):
        await _start(config)


@both
def test_alembic_is_loaded_only_where_something_is_migrated(file: Path, config: Config) -> None:
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
    # As a start does, it looks whether the schema is this program's.
    assert not loads_alembic("events")


def test_the_service_refuses_in_one_line_a_schema_that_it_cannot_work_on(
    start: Start, mariadb: MariaDB, mysql_section: Section, tmp_path: Path
) -> None:
    file = tmp_path / "config.yaml"
    empty = mysql_section | {"db": mariadb.new_database()}
    file.write_text(yaml.safe_dump({"mysql": empty, "log_folder": str(tmp_path)}))
    refused = subprocess.run(
        ["python3", "myaccount", "-c", str(file)],
        cwd=CHECKOUT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert line.startswith("myaccount cannot serve: the database test_")
    assert line.endswith("Run:  myaccount migrate -c FILE  (the same configuration)")
