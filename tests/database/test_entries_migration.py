"""Migration 0003: orders of version 0002 get their entries, once each, whatever interrupts it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from myaccount.cli import entry as cli
from myaccount.database.database import open_database
from myaccount.database.start_errors import DatabaseNotReady
from myaccount.journal.verification import verify_books
from myaccount.migrations import runner
from myaccount.migrations.runner import read_version
from myaccount.settings.schema import Config

from ..helpers.engines import runs_on
from ..helpers.migrating import (
    backend,
    both,
    config,
    cut_off,
    engine,
    file,
    migrate,
    migrate_to,
    mysql_engine,
    only_mariadb,
    prepare,
    run,
    tables_of,
)
from ..helpers.servers import MariaDB

__all__ = ["backend", "config", "engine", "file"]

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
    with engine.connect() as connection:
        assert read_version(connection) == "0003"
        assert connection.execute(text("SELECT * FROM entry ORDER BY account, number")).all() == ENTRIES
        assert connection.execute(
            text(
                "SELECT id, order_id, order_type, from_account, to_account, amount, status, reason"
                " FROM `order` ORDER BY id"
            )
        ).all() == ORDERS
        accounts = text("SELECT id, balance, floor, last_entry, held, frozen, status FROM account ORDER BY id")
        assert connection.execute(accounts).all() == [
            (1, -5000, None, 2, 0, "none", "open"),
            (2, 6999, 0, 5, 0, "none", "open"),
            (3, 3001, 0, 2, 0, "none", "open"),
            (4, -5000, -5000, 1, 0, "none", "open"),
            (5, 0, 0, 0, 0, "none", "open"),
        ]
    await prepare(config)
    async with open_database(config, Path(config["sqlite_file"])) as database:
        assert [line async for line in verify_books(database, lambda done, count: None)] == []


@pytest.fixture
def small_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each part have the entries of two orders."""
    folder = tmp_path / "migrations"
    shutil.copytree(runner.MIGRATIONS, folder)
    (script,) = folder.glob("versions/0003_*.py")
    content = script.read_text("utf-8")
    assert content.count("PAGE_SIZE: Final = 50_000") == 1
    script.write_text(content.replace("PAGE_SIZE: Final = 50_000", "PAGE_SIZE: Final = 2"), "utf-8")
    monkeypatch.setattr(runner, "MIGRATIONS", folder)


@both
async def test_orders_get_their_entries(config: Config, engine: Engine) -> None:
    await _fill(config, engine)
    assert await migrate(config) == [
        "The orders have 10 entries. The tables of orders and accounts are changed now.",
        "1 orders had the type '05', which means something else now: they are transfers, '02'",
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
    backend: dict[str, Any], config: Config, engine: Engine, mariadb: MariaDB, tmp_path: Path, small_pages: None
) -> None:
    number, cut, parts = 0, True, set[int]()
    await _fill(config, engine)
    while cut:
        # Each change of a table takes OceanBase half a second.
        number += 3 if runs_on("oceanbase") else 1
        copy, copy_engine = await _copy(config, mariadb, tmp_path, number)
        async with open_database(copy, Path(copy["sqlite_file"])) as database:
            cut = await cut_off(database, number)
        if cut:
            with copy_engine.connect() as connection:
                assert read_version(connection) == "0002"
            if "entry" in tables_of(copy_engine):
                with copy_engine.connect() as connection:
                    parts.add(connection.scalar(text("SELECT COUNT(*) FROM entry")) or 0)
        await migrate(copy)
        await _check(copy, copy_engine)
        copy_engine.dispose()
        if "mysql" in copy:
            mariadb.drop_database(copy["mysql"]["db"])
    if "mysql" in config and not runs_on("oceanbase"):
        assert parts == {0, 4, 6, 10}


async def _copy(config: Config, mariadb: MariaDB, folder: Path, number: int) -> tuple[Config, Engine]:
    """Return a further database of version 0002 with the rows."""
    from sqlalchemy import create_engine

    copy: Any
    if "mysql" in config:
        copy = config | {"mysql": config["mysql"] | {"db": mariadb.new_database()}}
        copy_engine = mysql_engine(mariadb, copy["mysql"]["db"])
        await _fill(copy, copy_engine)
    else:
        copy = config | {"sqlite_file": f"{folder}/copy-{number}.db"}
        shutil.copy(config["sqlite_file"], copy["sqlite_file"])
        copy_engine = create_engine(f"sqlite:///{copy['sqlite_file']}")
    return copy, copy_engine
