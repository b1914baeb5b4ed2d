"""Migration 0003: orders of version 0002 get their entries, once each, whatever interrupts it."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from myaccount.cli import entry as cli
from myaccount.database.database import open_database
from myaccount.database.start_errors import DatabaseNotReady
from myaccount.journal.verification import verify_books
from myaccount.migrations import runner
from myaccount.migrations.runner import head_version, read_version
from myaccount.settings.schema import Config

from ..helpers.engines import runs_on
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
    only_mariadb,
    prepare,
    run,
    run_script,
    tables_of,
    write_script,
)
from ..helpers.servers import MariaDB

__all__ = ["backend", "config", "engine", "file", "write_script"]

# An opening entry below zero, an account that paid itself, and another type, as the 2018 demo may have had them.
ROWS = (
    "INSERT INTO user (id, user_id, user_name, sex, card_num, created_at)"
    " VALUES (1, 'u1', 'N', 'F', '6', '2026-01-01'), (2, 'u2', 'N', 'F', '6', '2026-01-01')",
    "INSERT INTO account (id, account_id, account_type, user_id, currency, balance, floor, created_at) VALUES"
    " (2, 'a1', '01', 'u1', 'CNY', 6999, 0, '2026-01-01'), (3, 'a2', '01', 'u2', 'CNY', 3001, 0, '2026-01-01'),"
    " (4, 'a3', '01', NULL, 'CNY', -5000, -5000, '2026-01-01'), (5, 'a4', '01', 'u2', 'CNY', 0, 0, '2026-01-01')",
    "UPDATE account SET balance = -5000 WHERE id = 1",
    "INSERT INTO `order` (id, order_id, order_type, from_account, to_account, amount, from_balance, to_balance,"
    " status, reason, created_at) VALUES"
    " (1, 'opening 4', '00', 4, 1, 5000, -5000, 5000, 'posted', NULL, '2026-01-01'),"
    " (2, 'r1', '01', 1, 2, 10000, -5000, 10000, 'posted', NULL, '2026-01-01'),"
    " (5, 't1', '02', 2, 3, 3000, 7000, 3000, 'posted', NULL, '2026-01-02'),"
    " (6, 't2', '02', 3, 2, 99999, 3000, 7000, 'declined', 'insufficient_funds', '2026-01-01'),"
    " (8, 'self', '02', 2, 2, 100, 7000, 7000, 'posted', NULL, '2026-01-01'),"
    " (9, 'odd', '05', 2, 3, 1, 6999, 3001, 'posted', NULL, '2026-01-01'),"
    " (20, 'gone', '02', 2, 3, 1, 6998, 3002, 'posted', NULL, '2026-01-01')",
    # Its key is never given out again.
    "DELETE FROM `order` WHERE order_id = 'gone'",
)
ENTRIES = [
    (1, 1, "opening 4", 5000, 5000),
    (1, 2, "r1", -10000, -5000),
    (2, 1, "r1", 10000, 10000),
    (2, 2, "t1", -3000, 7000),
    (2, 3, "self", -100, 6900),
    (2, 4, "self", 100, 7000),
    (2, 5, "odd", -1, 6999),
    (3, 1, "t1", 3000, 3000),
    (3, 2, "odd", 1, 3001),
    (4, 1, "opening 4", -5000, -5000),
]
ORDERS = [
    (1, "opening 4", "00", 4, 1, 5000, "posted", None),
    (2, "r1", "01", 1, 2, 10000, "posted", None),
    (5, "t1", "02", 2, 3, 3000, "posted", None),
    (6, "t2", "02", 3, 2, 99999, "declined", "insufficient_funds"),
    (8, "self", "02", 2, 2, 100, "posted", None),
    (9, "odd", "02", 2, 3, 1, "posted", None),
]


async def _fill(config: Config, engine: Engine) -> None:
    """Make a database of version 0002 with the rows."""
    await migrate_to(config, "0001")
    run(engine, *ROWS)
    await migrate_to(config, "0002")


async def _check(config: Config, engine: Engine) -> None:
    """Check the database, which a later migration may have changed further."""
    _check_rows(engine)
    with engine.connect() as connection:
        assert read_version(connection) == head_version()
    await prepare(config)
    async with open_database(config, Path(config["sqlite_file"])) as database:
        assert [line async for line in verify_books(database, lambda done, count: None)] == []


def _check_rows(engine: Engine) -> None:
    with engine.connect() as connection:
        entries = text("SELECT account, number, order_id, amount, balance FROM entry ORDER BY account, number")
        assert connection.execute(entries).all() == ENTRIES
        assert (
            connection.execute(
                text(
                    "SELECT id, order_id, order_type, from_account, to_account, amount, status, reason"
                    " FROM `order` ORDER BY id"
                )
            ).all()
            == ORDERS
        )
        accounts = text("SELECT id, balance, floor, last_entry, held, frozen, status FROM account ORDER BY id")
        assert connection.execute(accounts).all() == [
            (1, -5000, None, 2, 0, "none", "open"),
            (2, 6999, 0, 5, 0, "none", "open"),
            (3, 3001, 0, 2, 0, "none", "open"),
            (4, -5000, -5000, 1, 0, "none", "open"),
            (5, 0, 0, 0, 0, "none", "open"),
        ]


@pytest.fixture
def small_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each part have the entries of two orders."""
    folder = tmp_path / "migrations"
    shutil.copytree(runner.MIGRATIONS, folder)
    (script,) = folder.glob("versions/0003_*.py")
    content = script.read_text("utf-8")
    assert content.count("PAGE_SIZE: Final = 20_000") == 1
    script.write_text(content.replace("PAGE_SIZE: Final = 20_000", "PAGE_SIZE: Final = 2"), "utf-8")
    monkeypatch.setattr(runner, "MIGRATIONS", folder)


@both
async def test_orders_get_their_entries(config: Config, engine: Engine) -> None:
    await _fill(config, engine)
    assert await migrate(config) == [
        "The orders have 10 entries. The tables of orders and accounts are changed now.",
        "order type '05' means something else now: its orders (1) are transfers, '02': 'odd'",
    ]
    await _check(config, engine)
    run(
        engine,
        "INSERT INTO `order` (order_id, order_type, from_account, to_account, amount, status, created_at)"
        " VALUES ('next', '02', 2, 3, 1, 'declined', '2026-01-01')",
    )
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT id FROM `order` WHERE order_id = 'next'")) > 20
        # The other columns have the values of an order that was never refunded, and names no other.
        rest = "refunded, fingerprint, target_order_id, bulk_id, note, reference"
        rows = connection.execute(text(f"SELECT DISTINCT {rest} FROM `order`")).all()
        assert rows == [(0, None, None, None, None, None)]


@both
async def test_orders_get_their_entries_in_parts(config: Config, engine: Engine, small_pages: None) -> None:
    await _fill(config, engine)
    await migrate(config)
    await _check(config, engine)


@both
async def test_an_interruption_anywhere_leaves_each_entry_once(
    config: Config, mariadb: MariaDB, tmp_path: Path, small_pages: None
) -> None:
    number, cut, parts = 0, True, set[int]()
    while cut:
        # Each change of a table takes OceanBase half a second.
        number += 4 if runs_on("oceanbase") else 1
        async with _database_of_version_0002(config, mariadb, tmp_path / f"{number}.db") as (copy, engine):
            async with open_database(copy, Path(copy["sqlite_file"])) as database:
                cut = await cut_off(database, number, "0003")
            if cut:
                with engine.connect() as connection:
                    assert read_version(connection) == "0002"
                    if "entry" in tables_of(engine):
                        parts.add(connection.scalar(text("SELECT COUNT(*) FROM entry")) or 0)
            await migrate_to(copy, "0003")
            _check_rows(engine)
    # SQLite has one transaction.
    if not runs_on("oceanbase"):
        assert parts == ({0, 4, 6, 10} if "mysql" in config else set())


@asynccontextmanager
async def _database_of_version_0002(
    config: Config, mariadb: MariaDB, sqlite_file: Path
) -> AsyncIterator[tuple[Config, Engine]]:
    """Give the configuration of a further database of version 0002 with the rows, and an engine on it."""
    with further_database(config, mariadb, sqlite_file) as (further, engine):
        await _fill(further, engine)
        yield further, engine


@only_mariadb
async def test_an_older_program_cannot_write_into_a_migration_that_was_interrupted(
    config: Config, engine: Engine, small_pages: None
) -> None:
    """Else it would write orders without entries."""
    await _fill(config, engine)
    order = (
        "INSERT INTO `order` (order_id, order_type, from_account, to_account, amount, from_balance, to_balance,"
        " status, created_at) VALUES ('t9', '02', 2, 3, 1, 6998, 3002, 'posted', '2026-01-01')"
    )
    unfinished = 0
    for number in range(1, 100):
        async with open_database(config, Path()) as database:
            if not await cut_off(database, number, "0003"):
                break
        with engine.connect() as connection:
            entries = "entry" in tables_of(engine) and connection.scalar(text("SELECT COUNT(*) FROM entry"))
        if entries:
            unfinished += 1
            with pytest.raises(DBAPIError):
                run(engine, order)
    assert unfinished > 1


@both
async def test_a_wrong_number_of_the_last_entry_is_reported_and_corrected(config: Config, engine: Engine) -> None:
    await _fill(config, engine)
    run(engine, "UPDATE account SET last_entry = 3 WHERE account_id = 'a1'")
    report = await migrate(config)
    assert report[1] == "account 'a1': it had 3 as the number of its last entry: that is 5 now"
    await _check(config, engine)


@both
async def test_another_programs_table_is_left_alone(config: Config, engine: Engine) -> None:
    await _fill(config, engine)
    run(engine, "CREATE TABLE hold (id INTEGER PRIMARY KEY, words VARCHAR(10))")
    before = tables_of(engine)
    with pytest.raises(DatabaseNotReady, match=r"has a table hold, .* Nothing was changed\. Rename that table"):
        await migrate(config)
    assert tables_of(engine) == before
    run(engine, "DROP TABLE hold")
    await migrate(config)
    await _check(config, engine)


@both
async def test_a_copy_of_the_orders_under_the_name_it_needs_is_left_alone(
    file: Path, config: Config, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    await _fill(config, engine)
    run(engine, "CREATE TABLE order_0002 AS SELECT * FROM `order`")
    before = tables_of(engine)
    with pytest.raises(DatabaseNotReady, match=r"has a table order_0002 beside the table order, .*Rename that"):
        await migrate(config)
    assert tables_of(engine) == before
    if "mysql" in config:
        # Nor is there a script that would alter it.
        assert await asyncio.to_thread(cli.main, ["migrate", "--sql", "-c", str(file)]) != 0
        assert "order_0002 beside the table order" in capsys.readouterr().err
    run(engine, "DROP TABLE order_0002")
    await migrate(config)
    await _check(config, engine)


@both
async def test_at_most_20_orders_of_another_type_are_listed(config: Config, engine: Engine) -> None:
    await _fill(config, engine)
    rows = [f"({100 + n}, 'x{n}', '04', 2, 3, 1, 0, 0, 'declined', '2026-01-01')" for n in range(21)]
    run(
        engine,
        "INSERT INTO `order` (id, order_id, order_type, from_account, to_account, amount, from_balance,"
        f" to_balance, status, created_at) VALUES {', '.join(rows)}",
    )
    ids = ", ".join(f"'x{n}'" for n in range(20))
    assert (await migrate(config))[1] == (
        f"order type '04' means something else now: its orders (21) are transfers, '02': {ids} and 1 more"
    )


@both
async def test_the_script_makes_the_entries(
    write_script: Callable[[], Awaitable[Path]], config: Config, engine: Engine, mariadb: MariaDB
) -> None:
    await _fill(config, engine)
    run_script(await write_script(), config, engine, mariadb)
    await _check(config, engine)


@only_mariadb
async def test_the_script_completes_an_interrupted_migration(
    file: Path,
    write_script: Callable[[], Awaitable[Path]],
    config: Config,
    mariadb: MariaDB,
    small_pages: None,
) -> None:
    """From wherever it was interrupted."""
    settings = yaml.safe_load(file.read_text())
    number, cut = 0, True
    while cut:
        number += 5
        async with _database_of_version_0002(config, mariadb, Path()) as (copy, engine):
            async with open_database(copy, Path()) as database:
                if not (cut := await cut_off(database, number, "0003")):
                    break
            file.write_text(yaml.safe_dump(settings | {"mysql": copy["mysql"]}))
            mariadb.run_script(copy["mysql"]["db"], await write_script())
            await _check(copy, engine)
    assert number >= 30
