"""Migration 0006: orders that were declined before get no second message, whatever interrupts it."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from sqlalchemy import Engine, select, text

from myaccount.database.database import open_database
from myaccount.journal.verification import verify_books
from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import Withdraw
from myaccount.migrations.runner import head_version, read_version
from myaccount.model.ledger import decline
from myaccount.settings.schema import Config

from ..helpers.catching_up import submit
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

ORDER = "order_id, order_type, from_account, to_account, amount, status, reason, created_at"
FILL = (
    "INSERT INTO user (user_id, user_name, sex, card_num, created_at) VALUES ('u1', 'U', 'F', '1', '2026-01-01')",
    "INSERT INTO account (id, account_id, account_type, user_id, currency, balance, floor, created_at, last_entry)"
    " VALUES (2, 'a1', '01', 'u1', 'CNY', 9, 0, '2026-01-01', 1),"
    " (3, 'a2', '01', 'u1', 'CNY', 0, 0, '2026-01-02', 0)",
    "UPDATE account SET balance = -9, last_entry = 1 WHERE id = 1",
    f"INSERT INTO `order` ({ORDER}) VALUES ('r1', '01', 1, 2, 9, 'posted', NULL, '2026-01-01'),"
    " ('w1', '03', 2, 1, 99, 'declined', 'insufficient_funds', '2026-01-02')",
    "INSERT INTO entry (account, number, order_id, amount, balance)"
    " VALUES (1, 1, 'r1', -9, -9), (2, 1, 'r1', 9, 9)",
    "INSERT INTO inbox_mark (account, number) VALUES (2, 1), (3, 0)",
)


async def _fill(config: Config, engine: Engine) -> None:
    """Make a database of version 0005 with a user, two accounts, an order and a decline."""
    await migrate_to(config, "0005")
    run(engine, *FILL)


async def _check(config: Config, engine: Engine, declined: int = 1) -> None:
    """Check that everything is kept, that no inbox is behind, and that the next decline has a message."""
    await prepare(config)
    with engine.connect() as connection:
        assert read_version(connection) == head_version()
        marks = text("SELECT account, number, declines FROM inbox_mark ORDER BY account")
        assert connection.execute(marks).all() == [(2, 1, 0), (3, 0, 0)]
        accounts = text("SELECT id, balance, last_entry, last_decline FROM account ORDER BY id")
        assert connection.execute(accounts).all() == [(1, -9, 1, 0), (2, 9, 1, 0), (3, 0, 0, 0)]
        statuses = text("SELECT status FROM `order`")
        assert sorted(connection.scalars(statuses)) == [*["declined"] * declined, "posted"]
    async with open_database(config, Path(config["sqlite_file"])) as database:
        assert await read_inboxes(database) == []
        await submit(database, [Withdraw("w2", "u1", Amount(5))])
        rows = await database.read(lambda connection: connection.execute(select(decline)))
        assert [tuple(row) for row in rows] == [(2, 1, "w2", 1, 9, None)]
        assert [row.source_id for row in await read_inboxes(database)] == ["w2"]
        assert [difference async for difference in verify_books(database, lambda *done: None)] == []


@both
async def test_orders_declined_before_get_no_number_and_no_second_message(config: Config, engine: Engine) -> None:
    await _fill(config, engine)
    await migrate(config)
    await _check(config, engine)


@both
async def test_an_interruption_anywhere_is_completed_by_the_next_with_the_declines_of_meanwhile(
    config: Config, mariadb: MariaDB, tmp_path: Path
) -> None:
    number, cut = 0, True
    while cut:
        number += 1
        with further_database(config, mariadb, tmp_path / f"{number}.db") as (copy, engine):
            await _fill(copy, engine)
            async with open_database(copy, Path(copy["sqlite_file"])) as database:
                cut = await cut_off(database, number, "0006")
            if cut:
                # By the service of the earlier version, which runs again.
                run(
                    engine,
                    f"INSERT INTO `order` ({ORDER})"
                    " VALUES ('w0', '03', 2, 1, 99, 'declined', 'insufficient_funds', '2026-01-02')",
                    "UPDATE inbox_mark SET number = 1 WHERE account = 2",
                )
            await migrate(copy)
            await _check(copy, engine, declined=2 if cut else 1)
    # A table, two columns, and the version.
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
    await assert_another_programs_table_is_refused(config, engine, "decline")
    await _check(config, engine)
