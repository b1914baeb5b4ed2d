"""Empty databases of both kinds, and their migration."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from alembic import command
from sqlalchemy import Connection, Engine, create_engine, event, inspect

from myaccount.cli import entry as cli
from myaccount.database.database import Database, open_database
from myaccount.database.start_errors import DatabaseNotReady
from myaccount.migrations import runner
from myaccount.migrations.runner import upgrade
from myaccount.migrations.startup import prepare_schema
from myaccount.settings.loading import load_configuration
from myaccount.settings.schema import Config

from ..conftest import Section
from .servers import MariaDB

# Alembic's own table.
VERSION = "alembic_version"


def mysql_engine(mariadb: MariaDB, database: str) -> Engine:
    return create_engine(
        f"mysql+pymysql://{mariadb.user}:{mariadb.password}@{mariadb.host}:{mariadb.port}/{database}"
    )


def run_script(script: Path, config: Config, engine: Engine, mariadb: MariaDB) -> None:
    """Run a script of SQL on the database, as an administrator does."""
    if "mysql" in config:
        mariadb.run_script(config["mysql"]["db"], script)
    else:
        embedded = engine.raw_connection()
        embedded.executescript(script.read_text("utf-8"))
        embedded.close()


@contextmanager
def further_database(config: Config, mariadb: MariaDB, sqlite_file: Path) -> Iterator[tuple[Config, Engine]]:
    """Give the configuration of a further empty database, of the same kind, and an engine on it."""
    if "mysql" in config:
        config = config | {"mysql": config["mysql"] | {"db": mariadb.new_database()}}
        engine = mysql_engine(mariadb, config["mysql"]["db"])
    else:
        config = config | {"sqlite_file": str(sqlite_file)}
        engine = create_engine(f"sqlite:///{sqlite_file}")
    yield config, engine
    engine.dispose()
    if "mysql" in config:
        mariadb.drop_database(config["mysql"]["db"])


@pytest.fixture
def backend(request: pytest.FixtureRequest, mysql_section: Section, mariadb: MariaDB) -> Section:
    """An empty database."""
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
def write_script(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[], Awaitable[Path]]:
    """Writes what `myaccount migrate --sql` prints to a file, and returns its path."""

    async def write() -> Path:
        assert await asyncio.to_thread(cli.main, ["migrate", "--sql", "-c", str(file)]) == 0
        script = tmp_path / "script.sql"
        script.write_text(capsys.readouterr().out, "utf-8")
        return script

    return write


@pytest.fixture
def config(file: Path) -> Config:
    return load_configuration(file, {})


@pytest.fixture
def engine(config: Config, mariadb: MariaDB) -> Iterator[Engine]:
    """A second engine on the service's database."""
    if "mysql" in config:
        engine = mysql_engine(mariadb, config["mysql"]["db"])
    else:
        engine = create_engine(f"sqlite:///{config['sqlite_file']}")
    yield engine
    engine.dispose()


def run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def tables_of(engine: Engine) -> set[str]:
    """Return the names of the tables, without that of OceanBase's migration lock."""
    return set(inspect(engine).get_table_names()) - {"migration_lock"}


async def prepare(config: Config) -> None:
    async with open_database(config, Path(config["sqlite_file"])) as database:
        await prepare_schema(database)


async def migrate(config: Config) -> list[str]:
    """Return the report."""
    lines: list[str] = []
    async with open_database(config, Path(config["sqlite_file"])) as database:
        await database.migrate(partial(upgrade, report=lines.append))
    return lines


async def migrate_to(config: Config, version: str) -> None:
    """Migrate as a program of that version did."""

    async with open_database(config, Path(config["sqlite_file"])) as database:
        await database.migrate(partial(_upgrade, version=version))


def _upgrade(connection: Connection, version: str) -> None:
    alembic = runner._alembic(connection=connection, dialect=connection.dialect.name, report=lambda line: None)
    command.upgrade(alembic, version)


async def cut_off(database: Database, number: int, version: str = "head") -> bool:
    """Migrate to the version, interrupted before the change of that number; return whether there was one."""
    done = 0

    def cut(connection: Connection, cursor: object, statement: str, *rest: Any) -> None:
        nonlocal done
        done += not statement.startswith(("SELECT", "SHOW", "DESCRIBE", "PRAGMA"))
        if done >= number:
            raise OSError("cut off")

    event.listen(database._engine.sync_engine, "before_cursor_execute", cut)
    try:
        await database.migrate(partial(_upgrade, version=version))
    except OSError:
        return True
    return False


async def assert_another_programs_table_is_refused(config: Config, engine: Engine, name: str) -> None:
    """Check that a migration that makes a table of that name refuses to start, and then works without it."""
    run(engine, f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, words VARCHAR(10))")
    before = tables_of(engine)
    sentence = f"has a table {name}, which is another program's, and this program needs the name. "
    with pytest.raises(DatabaseNotReady, match=re.escape(sentence + "Nothing was changed. Rename that table")):
        await migrate(config)
    assert tables_of(engine) == before
    run(engine, f"DROP TABLE {name}")
    await migrate(config)
