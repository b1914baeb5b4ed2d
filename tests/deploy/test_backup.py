"""A backup made under load has all orders acknowledged before it, balances, and can be served."""

import asyncio
import sqlite3
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import yaml

from ..conftest import Section, eventually
from ..helpers.bank import Bank, BankOf
from ..helpers.servers import MariaDB, program
from ..helpers.services import PATIENT, Service, Start, run_command

CLIENTS = 20


@asynccontextmanager
async def _under_load(start: Start, bank_of: BankOf, **sections: object) -> AsyncIterator[tuple[Service, Bank]]:
    service = await asyncio.to_thread(start, "python3", "myaccount", **PATIENT, **sections)
    bank = bank_of(service, service)
    await bank.open()
    stop = asyncio.Event()
    load = asyncio.ensure_future(bank.run_until(stop, CLIENTS))
    await eventually(lambda: bank.untroubled > 5 * CLIENTS)
    yield service, bank
    bank.untroubled = 0
    # The service answered all the time, and still does.
    await eventually(lambda: bank.untroubled > 5 * CLIENTS)
    stop.set()
    await load
    assert (bank.lost, bank.retry_after) == ([], [])


def _posted(bank: Bank) -> set[str]:
    return {sent.order_id for sent in bank.history if "posted" in sent.outcomes}


def _run(service: Service, *words: str) -> "subprocess.CompletedProcess[str]":
    return run_command("myaccount", *words, "-c", str(service.configuration))


def _verified(service: Service, folder: Path, **sections: object) -> None:
    """Check that the books balance in the database that the changed configuration names."""
    file = folder / "restored.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(service.configuration.read_text()) | sections))
    verified = run_command("myaccount", "verify", "-c", str(file))
    assert (verified.returncode, verified.stdout) == (0, "The books balance.\n")


async def test_the_embedded_file_is_copied_under_load(start: Start, bank_of: BankOf, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    async with _under_load(start, bank_of) as (service, bank):
        acknowledged = _posted(bank)
        made = await asyncio.to_thread(_run, service, "backup", str(copy))
        assert (made.returncode, made.stdout) == (0, f"The database was copied to {copy}.\n"), made.stderr
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("copy.db*")] == ["copy.db"]
    with closing(sqlite3.connect(copy)) as connection:
        found = {order_id for (order_id,) in connection.execute("SELECT order_id FROM `order`")}
    assert acknowledged <= found
    assert acknowledged
    # Later orders are not in it: it is a snapshot.
    assert _posted(bank) - found
    _verified(service, tmp_path, sqlite_file=str(copy))
    restored = await asyncio.to_thread(start, "python3", "myaccount", sqlite_file=str(copy))
    assert restored.post("/querorder", orderId=acknowledged.pop())["STATUS"] == "posted"


def test_a_backup_never_overwrites_a_file(start: Start, tmp_path: Path) -> None:
    service = start("python3", "myaccount")
    there = tmp_path / "there.db"
    there.write_text("mine")
    refused = _run(service, "backup", str(there))
    assert refused.returncode == 1
    assert refused.stderr == f"myaccount cannot back up the database: {there} exists already: name a new file\n"
    assert there.read_text() == "mine"
    refused = _run(service, "backup", str(tmp_path / "nowhere" / "copy.db"))
    assert refused.returncode == 1
    assert "nowhere" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_backup_without_a_database_is_refused(start: Start, tmp_path: Path) -> None:
    service = start("python3", "myaccount")
    file = service.configuration
    file.write_text(yaml.safe_dump({"sqlite_file": str(tmp_path / "never.db")}))
    refused = _run(service, "backup", str(tmp_path / "copy.db"))
    assert refused.returncode == 1
    assert "never.db does not exist" in refused.stderr
    assert not (tmp_path / "copy.db").exists()
    assert _run(service, "backup").returncode == 2
    assert _run(service, "verify", str(tmp_path / "copy.db")).returncode == 2


async def test_mariadb_is_dumped_under_load_and_restored(
    start: Start, bank_of: BankOf, mariadb: MariaDB, mysql_section: Section, tmp_path: Path
) -> None:
    dump = tmp_path / "dump.sql"
    async with _under_load(start, bank_of, mysql=mysql_section) as (service, bank):
        refused = await asyncio.to_thread(_run, service, "backup", str(tmp_path / "copy.db"))
        assert refused.returncode == 1
        assert "mariadb-dump --single-transaction" in refused.stderr
        acknowledged = _posted(bank)
        await asyncio.to_thread(_dump, mariadb, mysql_section["db"], dump)
    restored = mariadb.new_database()
    mariadb.run_script(restored, dump)
    with mariadb.connect(database=restored) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT order_id FROM `order`")
        found = {order_id for (order_id,) in cursor.fetchall()}
    assert acknowledged <= found
    assert acknowledged
    assert _posted(bank) - found
    _verified(service, tmp_path, mysql=mysql_section | {"db": restored})


def _dump(mariadb: MariaDB, database: str, file: Path) -> None:
    """Dump the database as docs/operations.rst shows."""
    words = [program("mariadb-dump", "mariadb-client"), "--no-defaults", "--single-transaction"]
    words += ["--skip-lock-tables", "--host=127.0.0.1", f"--port={mariadb.port}", f"--user={mariadb.user}"]
    with file.open("wb") as output:
        subprocess.run([*words, f"--password={mariadb.password}", database], stdout=output, check=True)
