"""Opening the embedded file: whole, or cancelled without anything left."""

import asyncio
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from myaccount.database.file_connection import connect


def _workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "_connection_worker_thread" in thread.name]


@pytest.fixture(autouse=True)
def _earlier_ones_have_ended() -> None:
    """A connection is closed a moment before its thread ends."""
    for worker in _workers():
        worker.join(60)


async def test_an_opened_connection_is_closed_as_aiosqlite_s_own(tmp_path: Path) -> None:
    connection = await connect(str(tmp_path / "money.db"), isolation_level=None)
    (worker,) = _workers()
    # Or a statement that never ends would keep the process.
    assert worker.daemon
    assert [tuple(row) for row in await connection.execute_fetchall("SELECT 1")] == [(1,)]
    await connection.close()
    worker.join()


async def test_a_closed_connection_holds_no_lock_even_if_a_statement_is_left(tmp_path: Path) -> None:
    file = str(tmp_path / "money.db")
    connection = await connect(file, isolation_level=None)
    await connection.execute("CREATE TABLE t (x)")
    await connection.execute("BEGIN IMMEDIATE")
    await connection.execute("INSERT INTO t VALUES (1), (2)")
    unfinished = await connection.execute("SELECT x FROM t")
    assert await unfinished.fetchone() == (1,)
    await connection.close()
    other = await connect(file, isolation_level=None, timeout=0)
    await other.execute("BEGIN IMMEDIATE")
    assert await other.execute_fetchall("SELECT x FROM t") == []
    await other.close()
    del unfinished


async def test_a_file_that_cannot_be_opened_is_the_driver_s_error(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        await connect(str(tmp_path / "none" / "money.db"))
    assert _workers() == []


@pytest.mark.parametrize("folder", [".", "none"])
async def test_a_cancelled_opening_leaves_no_thread(tmp_path: Path, folder: str) -> None:
    for rounds in range(20):
        opening = asyncio.create_task(connect(str(tmp_path / folder / "money.db")))
        # Cancelled before it begins, at once, and after it has opened.
        for _ in range(rounds % 4):
            await asyncio.sleep(0)
        opening.cancel()
        with suppress(asyncio.CancelledError, sqlite3.OperationalError):
            connection = await opening
            (worker,) = _workers()
            await connection.close()
            worker.join()
        assert _workers() == []


async def test_the_thread_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    began = asyncio.Event()
    loop = asyncio.get_running_loop()
    open_file = sqlite3.connect

    def slow(*arguments: object, **more: object) -> sqlite3.Connection:
        loop.call_soon_threadsafe(began.set)
        go_on.wait()
        return open_file(tmp_path / "money.db")

    monkeypatch.setattr(sqlite3, "connect", slow)
    opening = asyncio.create_task(connect(str(tmp_path / "money.db")))
    await began.wait()
    opening.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not opening.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert _workers() == []
