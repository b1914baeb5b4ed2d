"""A database of the 2018 demo is converted in place: every balance kept to the cent, every deviation reported."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp.test_utils import TestServer

from myaccount.cli import entry as cli
from myaccount.database.database import open_database
from myaccount.database.start_errors import DatabaseNotReady
from myaccount.journal.verification import verify_books
from myaccount.main import create_app
from myaccount.migrations.runner import known_versions, upgrade
from myaccount.settings.loading import load_configuration
from myaccount.settings.schema import Config

from ..conftest import Client, Section
from ..helpers.actions import balance, send
from ..helpers.demo import Demo
from ..helpers.migrating import cut_off, migrate
from ..helpers.servers import MariaDB, free_port
from ..helpers.services import run_command
from ..service.test_exchanges import EXCHANGES

MOVES = ("/openacc", "/recharge", "/transfer")


@pytest.fixture
def demo(request: pytest.FixtureRequest, mariadb: MariaDB) -> Iterator[Demo]:
    demo = Demo(mariadb, **getattr(request, "param", {}))
    yield demo
    demo.connection.close()


without_keys = pytest.mark.parametrize("demo", [{"keys": False}], indirect=True)


@pytest.fixture
def file(demo: Demo, mysql_section: Section, tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    settings = {"port": free_port(), "mysql": mysql_section | {"db": demo.database}, "log_folder": str(tmp_path)}
    file.write_text(yaml.safe_dump(settings))
    return file


@pytest.fixture
def config(file: Path) -> Config:
    return load_configuration(file, {})


async def _check_books(config: Config, demo: Demo) -> None:
    """Check that the books balance, and that each balance is that of the demo."""
    async with open_database(config, Path()) as database:
        assert [line async for line in verify_books(database, lambda done, count: None)] == []
    cents = dict(demo.rows("SELECT account_id, balance FROM account WHERE id > 1"))
    assert cents == {
        account_id: 100 * (amount or 0) for account_id, amount in demo.balances("demo_account").items()
    }
    # The last entry of each account has the same balance.
    last = dict.fromkeys((key for (key,) in demo.rows("SELECT id FROM account")), 0)
    last |= dict(demo.rows("SELECT account, balance FROM entry ORDER BY account, number"))
    assert last == dict(demo.rows("SELECT id, balance FROM account"))


def _open(demo: Demo, *user_ids: str) -> None:
    for user_id in user_ids:
        fields = {"userId": user_id, "userName": "N", "sex": "F", "cardNum": "1", "accountType": "01"}
        assert demo.open_account(fields | {"accountId": f"a-{user_id}"}) == 1


@pytest.mark.parametrize(
    "demo", [{}, {"payer_of_recharge": ""}], indirect=True, ids=["recharged by NULL", "recharged by nobody"]
)
def test_the_data_of_the_contracts_exchanges_is_converted(
    demo: Demo, config: Config, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for exchange in EXCHANGES:
        if exchange["request"]["path"] in MOVES and exchange["request"]["method"] == "POST":
            result = demo.request(exchange["request"]["path"], exchange["request"]["form"])
            assert result == exchange["demo"].get("json", {"result": None})["result"], exchange["name"]
    left = {"a1": Decimal(1021), "a2": Decimal(-970), "a3": Decimal(0)}
    assert demo.balances() == left
    originals = {name: demo.rows(f"SELECT * FROM `{name}`") for name in ("user", "account", "order")}
    assert cli.main(["migrate", "-c", str(file)]) == 0
    report = capsys.readouterr().out.splitlines()
    # A line for each version and the last line follow.
    assert report[1 : -1 - len(known_versions())] == [
        "account 'a2': its balance of -970.00 is below zero: that is its floor from now on",
        "order 'r3': 'nobody' has no account, so that its 5.00 moved nothing: not entered",
        "order 'r4': its amount is -50.00: entered the other way round",
        "order 't3': the payee 'nobody' has no account: entered between 'u1' and the outside",
        "order 't4': the payer 'nobody' has no account: entered between 'u1' and the outside",
        "3 users, 3 accounts and 9 orders of the demo: 8 orders and 0 opening entries are in the journal. "
        "The balances add up to 51.00.",
        "The orders have 16 entries. The tables of orders and accounts are changed now.",
    ]
    assert report[-1].endswith("is at version 0006.")
    assert {name: demo.rows(f"SELECT * FROM demo_{name}") for name in originals} == originals
    asyncio.run(_check_books(config, demo))
    assert cli.main(["verify", "-c", str(file)]) == 0
    assert capsys.readouterr().out == "The books balance.\n"
    assert cli.main(["migrate", "-c", str(file)]) == 0
    assert "There was nothing to do" in capsys.readouterr().out


async def test_the_service_continues_where_the_demo_ended(
    demo: Demo, config: Config, aiohttp_client: Callable[..., Awaitable[Client]]
) -> None:
    _open(demo, "u1", "u2")
    demo.recharge({"orderId": "r1", "userId": "u1", "amount": "100"})
    demo.transfer({"orderId": "t1", "fromuserId": "u1", "touserId": "u2", "amount": "30"})
    demo.transfer({"orderId": "t2", "fromuserId": "u1", "touserId": "nobody", "amount": "5"})
    demo.transfer({"orderId": "t3", "fromuserId": "u2", "touserId": "u1", "amount": "40"})
    demo.transfer({"orderId": "t4", "fromuserId": "u1", "touserId": "u1", "amount": "1"})
    demo.execute("UPDATE account SET BALANCE = BALANCE + 7 WHERE USER_ID = 'u1'")
    await migrate(config)
    client = await aiohttp_client(TestServer(create_app(config), port=config["port"]))
    _, body, _ = await send(client, "/queryacc", userId="u1")
    (row,) = body["result"]
    assert (row["ID"], row["USER_ID"], row["ACCOUNTS"][0]["BALANCE"]) == (16, "u1", "112.00")
    _, order, _ = await send(client, "/querorder", orderId="t1")
    assert (order["FROM_USER_ID"], order["TO_USER_ID"], order["AMOUNT"]) == ("u1", "u2", "30.00")
    assert (order["ORDER_TYPE"], order["STATUS"]) == ("02", "posted")
    _, order, _ = await send(client, "/querorder", orderId="r1")
    assert (order["FROM_USER_ID"], order["TO_USER_ID"], order["ORDER_TYPE"]) == (None, "u1", "01")
    _, order, _ = await send(client, "/querorder", orderId="t2")
    assert (order["FROM_USER_ID"], order["TO_USER_ID"]) == ("u1", None)
    assert (await send(client, "/querorder", orderId="t4"))[0] == 200
    # No client can use the id of the opening entry.
    for path, fields in (("/querorder", {}), ("/recharge", {"userId": "u1", "amount": "7"})):
        status, problem, _ = await send(client, path, orderId="opening 2", **fields)
        assert (status, problem["code"], problem["field"]) == (400, "invalid_request", "orderId")
    # The demo's orders are known, and new ones are posted.
    sent = {"orderId": "t1", "fromuserId": "u1", "touserId": "u2", "amount": "30"}
    assert await send(client, "/transfer", **sent) == (200, {"result": 1}, True)
    assert (await send(client, "/transfer", **sent | {"orderId": "t9", "amount": "0.50"}))[0] == 200
    assert await balance(client, "u2") == "-9.50"
    status, problem, _ = await send(client, "/transfer", orderId="t10", fromuserId="u2", touserId="u1", amount="1")
    assert (status, problem["code"]) == (409, "insufficient_funds")
    async with open_database(config, Path()) as database:
        assert [line async for line in verify_books(database, lambda done, count: None)] == []


@without_keys
async def test_whatever_was_in_the_tables_is_kept_and_reported(demo: Demo, config: Config) -> None:
    _open(demo, "u1", "u2", "u 3", "张三")
    # A second account of u1; a user without a row, in two spellings; and ids that no client can use.
    demo.execute(
        "INSERT INTO account (ACCOUNT_ID, ACCOUNT_TYPE, USER_ID, BALANCE)"
        " VALUES ('b1', '01', 'U1', 0), ('g1', '01', 'ghost', 0), ('g2', '01', 'GHOST', 0), ('', '', '', 9)"
    )
    moves = [("r1", "u1", "10"), ("r2", "GHOST", "20"), ("R3", "U2", "5"), ("r 4", "u 3", "1"), ("r5", "", "1")]
    for order_id, user_id, amount in moves:
        demo.recharge({"orderId": order_id, "userId": user_id, "amount": amount})
    demo.transfer({"orderId": "opening 2", "fromuserId": "U1", "touserId": "u2", "amount": "3"})
    demo.execute("UPDATE account SET BALANCE = BALANCE - 6 WHERE ACCOUNT_ID = 'a-u2'")
    demo.execute("ALTER TABLE user MODIFY SEX varchar(2)")
    demo.execute("UPDATE user SET SEX = NULL WHERE USER_ID = 'u2'")
    demo.execute("ALTER TABLE account MODIFY USER_ID varchar(45), MODIFY BALANCE decimal(10,0)")
    demo.execute("INSERT INTO account (ACCOUNT_ID, ACCOUNT_TYPE, BALANCE) VALUES ('n1', '01', NULL)")
    report = await migrate(config)
    await _check_books(config, demo)
    assert report[1:] == [
        "user '': had an account and no row: entered, with an empty name",
        "user '': no client can use it, since it is empty, or has white space or control characters",
        "user 'ghost': had an account and no row: entered, with an empty name",
        "user 'u2': the name, sex or card number was NULL: entered as empty text",
        "user 'u 3': no client can use it, since it is empty, or has white space or control characters",
        "account 'a-u 3': no client can use it, since it is empty, or has white space or control characters",
        "account 'b1': it is not the first of user 'u1': all orders of the user are entered on the first",
        "account 'g2': it is not the first of user 'ghost': all orders of the user are entered on the first",
        "account '': no client can use it, since it is empty, or has white space or control characters",
        "account 'n1': its balance was NULL: entered as 0.00",
        "account 'n1': it belongs to no user: kept, and no client can use it",
        "account 'a-u2': its orders do not explain -6.00 of its balance of 2.00: "
        "that is its opening entry, order opening  3",
        "account 'b1': its orders do not explain 7.00 of its balance of 7.00: "
        "that is its opening entry, order opening  6",
        "account 'g2': its orders do not explain 20.00 of its balance of 20.00: "
        "that is its opening entry, order opening  8",
        "account '': its orders do not explain 9.00 of its balance of 10.00: "
        "that is its opening entry, order opening  9",
        "order 'r 4': no client can use it, since it is empty, or has white space or control characters",
        "order 'opening 2': no client can use it, since it is empty, or has white space or control characters",
        "4 users, 9 accounts and 6 orders of the demo: 6 orders and 4 opening entries are in the journal. "
        "The balances add up to 67.00.",
        "The orders have 20 entries. The tables of orders and accounts are changed now.",
    ]
    holders = demo.rows(
        "SELECT account_id, user_id FROM account WHERE account_id IN ('b1', 'g1', 'g2') ORDER BY id"
    )
    assert holders == [("b1", "u1"), ("g1", "ghost"), ("g2", "ghost")]


@without_keys
async def test_data_that_cannot_be_converted_is_named_before_anything_is_changed(
    demo: Demo, config: Config
) -> None:
    _open(demo, "u1", "u2", "u1")
    for order_id in ("r1", "r2", "r2", "r1"):
        demo.recharge({"orderId": order_id, "userId": "u2", "amount": "1"})
    demo.execute("UPDATE account SET ACCOUNT_ID = 'outside CNY' WHERE ID = 2")
    before = [demo.rows(f"CHECKSUM TABLE `{name}`") for (name,) in demo.rows("SHOW TABLES")]
    with pytest.raises(DatabaseNotReady, match=r"Nothing was changed") as raised:
        await migrate(config)
    said = str(raised.value)
    assert "user has rows whose USER_ID is NULL or not unique: 'u1'" in said
    assert "account has rows whose ACCOUNT_ID is NULL or not unique: 'a-u1'" in said
    assert "order has rows whose ORDER_ID is NULL or not unique: 'r1', 'r2'" in said
    assert "account has an ACCOUNT_ID that this program reserves: 'outside CNY'" in said
    assert "\n" not in said
    assert [demo.rows(f"CHECKSUM TABLE `{name}`") for (name,) in demo.rows("SHOW TABLES")] == before
    for name in ("user", "account", "order"):
        demo.execute(f"DELETE FROM `{name}`")
    await migrate(config)


async def test_a_conversion_that_is_interrupted_anywhere_is_completed_by_the_next(
    demo: Demo, mariadb: MariaDB, mysql_section: Section, tmp_path: Path
) -> None:
    number, cut = 0, True
    while cut:
        # Before every fifth change only: test_migrations.py interrupts a migration without a demo more often.
        number += 5
        other = Demo(mariadb)
        _open(other, "u1", "u2")
        other.recharge({"orderId": "r1", "userId": "u1", "amount": "10"})
        other.execute("UPDATE account SET BALANCE = BALANCE + 7 WHERE USER_ID = 'u2'")
        config: Any = {"mysql": mysql_section | {"db": other.database}, "sqlite_file": ""}
        async with open_database(config, Path()) as database:
            # The later versions' own tests interrupt those.
            cut = await cut_off(database, number, "0001")
        await migrate(config)
        await _check_books(config, other)
        assert len(other.rows("SELECT id FROM `order`")) == 2
        other.connection.close()
        mariadb.drop_database(other.database)
    assert number > 25


async def test_the_report_comes_before_the_commit(demo: Demo, config: Config) -> None:
    _open(demo, "u1")
    demo.execute("UPDATE account SET BALANCE = 7")
    lines: list[str] = []

    def look(line: str) -> None:
        if "opening" in line:
            # The table exists, and its rows are not committed yet.
            assert demo.rows("SELECT COUNT(*) FROM account") == [(0,)]
            lines.append(line)

    async with open_database(config, Path()) as database:
        await database.migrate(partial(upgrade, report=look))
    assert len(lines) == 2
    assert demo.rows("SELECT COUNT(*) FROM account") == [(2,)]


def test_several_hosts_may_convert_it_at_once(demo: Demo, config: Config, file: Path) -> None:
    _open(demo, "u1", "u2")
    demo.recharge({"orderId": "r1", "userId": "u1", "amount": "10"})
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: run_command("myaccount", "migrate", "-c", str(file)), range(3)))
    assert [program.returncode for program in done] == [0] * 3, done
    assert sorted("nothing to do" in program.stdout for program in done) == [False, True, True]
    asyncio.run(_check_books(config, demo))


def test_the_script_says_what_a_script_cannot_do(
    demo: Demo, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _open(demo, "u1")
    tables = demo.rows("SHOW TABLES")
    assert cli.main(["migrate", "--sql", "-c", str(file)]) == 0
    script = capsys.readouterr().out
    assert "-- The demo's tables are here. `myaccount migrate` itself renames them" in script
    assert "CREATE TABLE `order`" in script
    assert cli.main(["migrate", "--status", "-c", str(file)]) == 0
    assert demo.rows("SHOW TABLES") == tables


async def test_many_orders_are_read_page_by_page(demo: Demo, config: Config) -> None:
    _open(demo, "u1", "u2")
    demo.execute(
        "INSERT INTO `order` (ORDER_ID, ORDER_TYPE, FROM_USER_ID, AMOUNT, TO_USER_ID)"
        " SELECT CONCAT('t', seq), '02', 'u1', 1, 'u2' FROM seq_1_to_12001"
    )
    demo.execute("UPDATE account SET BALANCE = IF(USER_ID = 'u1', -12001, 12001)")
    report = await migrate(config)
    assert "12001 orders of the demo: 12001 orders and 0 opening" in report[-2]
    await _check_books(config, demo)


async def test_the_way_back_is_open(demo: Demo, config: Config) -> None:
    _open(demo, "u1")
    demo.recharge({"orderId": "r1", "userId": "u1", "amount": "10"})
    await migrate(config)
    demo.execute("SET foreign_key_checks = 0")
    for (name,) in demo.rows("SHOW TABLES"):
        if not name.startswith("demo_"):
            demo.execute(f"DROP TABLE `{name}`")
    demo.execute("RENAME TABLE demo_user TO user, demo_account TO account, demo_order TO `order`")
    demo.recharge({"orderId": "r2", "userId": "u1", "amount": "10"})
    await migrate(config)
    await _check_books(config, demo)
