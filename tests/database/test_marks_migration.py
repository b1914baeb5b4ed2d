"""Migration 0005: inboxes have the messages about everything that is there, whatever interrupts it."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from sqlalchemy import Engine, text

from myaccount.database.database import open_database
from myaccount.migrations.runner import head_version, read_version
from myaccount.settings.schema import Config

from ..helpers.inboxes import read_inboxes
from ..helpers.migrating import (
    assert_another_programs_table_is_refused,
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
    write_script,
)
from ..helpers.servers import MariaDB

__all__ = ["backend", "config", "engine", "file", "write_script"]

FILL = (
    "INSERT INTO user (user_id, user_name, sex, card_num, created_at) VALUES ('u1', 'U', 'F', '1', '2026-01-01')",
    "INSERT INTO account (id, account_id, account_type, user_id, currency, balance, floor, created_at, last_entry)"
    " VALUES (2, 'a1', '01', 'u1', 'CNY', 7, 0, '2026-01-01', 2),"
    " (3, 'a2', '01', 'u1', 'CNY', 0, 0, '2026-01-02', 0)",
    "UPDATE account SET balance = -7, last_entry = 2 WHERE id = 1",
    "INSERT INTO `order` (order_id, order_type, from_account, to_account, amount, status, created_at)"
    " VALUES ('r1', '01', 1, 2, 9, 'posted', '2026-01-01'), ('w1', '03', 2, 1, 2, 'posted', '2026-01-02')",
    "INSERT INTO entry (account, number, order_id, amount, balance)"
    " VALUES (1, 1, 'r1', -9, -9), (2, 1, 'r1', 9, 9), (2, 2, 'w1', -2, 7), (1, 2, 'w1', 2, -7)",
)
ENTRIES = [(1, 1, "r1", -9, -9), (1, 2, "w1", 2, -7), (2, 1, "r1", 9, 9), (2, 2, "w1", -2, 7)]


async def _fill(config: Config, engine: Engine) -> None:
    """Make a database of version 0004 with a user, two accounts and two orders."""
    await migrate_to(config, "0004")
    run(engine, *FILL)


async def _check(config: Config, engine: Engine, last: int = 2) -> None:
    """Check that every row is kept, and that no inbox is behind."""
    await prepare(config)
    with engine.connect() as connection:
        assert read_version(connection) == head_version()
        marks = connection.execute(text("SELECT account, number FROM inbox_mark ORDER BY account")).all()
        assert marks == [(2, last), (3, 0)]
        entries = text(
            "SELECT account, number, order_id, amount, balance, held FROM entry ORDER BY account, number"
        )
        assert connection.execute(entries).all() == [(*row, None) for row in ENTRIES]
    async with open_database(config, Path(config["sqlite_file"])) as database:
        assert await read_inboxes(database) == []


@both
async def test_entries_are_kept_and_their_messages_are_not_written_again(config: Config, engine: Engine) -> None:
    await _fill(config, engine)
    await migrate(config)
    await _check(config, engine)


@both
async def test_an_interruption_anywhere_is_completed_by_the_next_with_the_entries_of_meanwhile(
    config: Config, mariadb: MariaDB, tmp_path: Path
) -> None:
    number, cut = 0, True
    while cut:
        number += 1
        with further_database(config, mariadb, tmp_path / f"{number}.db") as (copy, engine):
            await _fill(copy, engine)
            async with open_database(copy, Path(copy["sqlite_file"])) as database:
                cut = await cut_off(database, number, "0005")
            if cut:
                # By the service of the earlier version, which runs again.
                run(engine, "UPDATE account SET last_entry = 3 WHERE id = 2")
            await migrate(copy)
            await _check(copy, engine, last=3 if cut else 2)
    # A column, a table, its rows, and the version.
    assert number > 4


@both
async def test_the_script_does_the_same(
    write_script: Callable[[], Awaitable[Path]], config: Config, engine: Engine, mariadb: MariaDB
) -> None:
    await _fill(config, engine)
    run_script(await write_script(), config, engine, mariadb)
    await _check(config, engine)


@both
async def test_another_programs_table_is_left_alone(config: Config, engine: Engine) -> None:
    await _fill(config, engine)
    await assert_another_programs_table_is_refused(config, engine, "inbox_mark")
    await _check(config, engine)
