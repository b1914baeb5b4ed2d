"""Migration 0004: two tables get a column, and the signing key is made once, whatever interrupts it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from myaccount.cli import entry as cli
from myaccount.database.database import open_database
from myaccount.database.start_errors import DatabaseNotReady
from myaccount.migrations.runner import head_version, read_version
from myaccount.settings.schema import Config

from ..helpers.migrating import (
    backend,
    both,
    config,
    cut_off,
    engine,
    file,
    further_database,
    migrate,
    migrate_to,
    prepare,
    run,
    run_script,
    tables_of,
    write_script,
)
from ..helpers.servers import MariaDB

__all__ = ["backend", "config", "engine", "file", "write_script"]

ORDER = (
    "INSERT INTO `order` (id, order_id, order_type, from_account, to_account, amount, status, created_at)"
    " VALUES (7, 't1', '02', 2, 3, 1, 'declined', '2026-01-01')"
)
CHANGE = (
    "INSERT INTO account_change (id, change_id, account, setting, value, reason, created_at)"
    " VALUES (8, 'c1', 2, 'frozen', 'all', 'x', '2026-01-01')"
)
MADE = {"api_key", "audit", "operator", "session", "signing_key"}


async def _fill(config: Config, engine: Engine) -> None:
    """Make a database of version 0003 with an order and a change of an account."""
    await migrate_to(config, "0003")
    run(engine, ORDER)
    run(engine, CHANGE)


async def _check(config: Config, engine: Engine) -> str:
    """Check that the migration is complete, and return the signing key's secret."""
    await prepare(config)
    assert tables_of(engine) >= MADE
    with engine.connect() as connection:
        assert read_version(connection) == head_version()
        assert connection.execute(text("SELECT id, order_id, made_by FROM `order`")).all() == [(7, "t1", None)]
        assert connection.execute(text("SELECT id, change_id, made_by FROM account_change")).all() == [
            (8, "c1", None)
        ]
        ((id_, secret, age),) = connection.execute(
            text("SELECT id, secret, seen_at > '2026-01-01' FROM signing_key")
        ).all()
        assert (id_, age) == (1, 1)
        assert len(bytes.fromhex(secret)) == 32
        assert secret == secret.lower()
        return str(secret)


@both
async def test_orders_are_kept_and_each_database_has_a_secret_of_its_own(
    config: Config, engine: Engine, mariadb: MariaDB, tmp_path: Path
) -> None:
    await _fill(config, engine)
    await migrate(config)
    secret = await _check(config, engine)
    async with _database_of_version_0003(config, mariadb, tmp_path / "other.db") as (other, other_engine):
        await migrate(other)
        assert await _check(other, other_engine) != secret


@both
async def test_an_interruption_anywhere_is_completed_by_the_next(
    config: Config, mariadb: MariaDB, tmp_path: Path
) -> None:
    number, cut = 0, True
    while cut:
        number += 1
        async with _database_of_version_0003(config, mariadb, tmp_path / f"{number}.db") as (copy, engine):
            async with open_database(copy, Path(copy["sqlite_file"])) as database:
                cut = await cut_off(database, number, "0004")
            await migrate(copy)
            await _check(copy, engine)
    # Five tables with seven indexes, two columns, a row, and the version.
    assert number > 15


@both
async def test_the_script_makes_a_secret_and_is_completed_after_an_interruption(
    write_script: Callable[[], Awaitable[Path]], config: Config, engine: Engine, mariadb: MariaDB
) -> None:
    await _fill(config, engine)
    script = await write_script()
    if "mysql" not in config:
        run_script(script, config, engine, mariadb)
        await _check(config, engine)
        return
    made, version, _ = script.read_text("utf-8").partition("UPDATE alembic_version SET version_num='0004'")
    assert version
    script.write_text(made)
    mariadb.run_script(config["mysql"]["db"], script)
    with engine.connect() as connection:
        secret = connection.scalar(text("SELECT secret FROM signing_key"))
    # All is made but for the version. The secret stays.
    await write_script()
    mariadb.run_script(config["mysql"]["db"], script)
    assert await _check(config, engine) == secret


@both
async def test_another_programs_table_is_left_alone(
    file: Path, config: Config, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    await _fill(config, engine)
    run(engine, "CREATE TABLE session (id INTEGER PRIMARY KEY, words VARCHAR(10))")
    before = tables_of(engine)
    with pytest.raises(DatabaseNotReady, match=r"has a table session, .* Nothing was changed\. Rename that table"):
        await migrate(config)
    assert await asyncio.to_thread(cli.main, ["migrate", "--sql", "-c", str(file)]) != 0
    assert "has a table session" in capsys.readouterr().err
    assert tables_of(engine) == before
    run(engine, "DROP TABLE session")
    await migrate(config)
    await _check(config, engine)


@asynccontextmanager
async def _database_of_version_0003(
    config: Config, mariadb: MariaDB, sqlite_file: Path
) -> AsyncIterator[tuple[Config, Engine]]:
    """Give the configuration of a further database of version 0003 with an order, and an engine on it."""
    with further_database(config, mariadb, sqlite_file) as (further, engine):
        await _fill(further, engine)
        yield further, engine
