"""Restarts, and processes killed, under load behind nginx: no promise is broken, and hardly anyone notices."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import pytest
import yaml

from ..conftest import Section, eventually
from ..helpers.bank import Bank, BankOf, assert_tables_match_replies
from ..helpers.deployments import (
    PATIENT_GUNICORN,
    Nginx,
    NginxBefore,
    Supervisord,
    answers,
    nginx_before,
    port_of,
    roll,
    sections,
    session,
    start_gunicorn,
    workers_of,
)
from ..helpers.servers import MariaDB, free_port
from ..helpers.services import PATIENT, Service, Start
from .conftest import HANGING_SECONDS

__all__ = ["nginx_before", "sections", "session"]

# `make soak` restarts as often as it should ever be done in a day.
RESTARTS = 20 if int(os.environ.get("SOAK_ROUNDS", "1")) > 1 else 3
CLIENTS = 40

UnderLoad = Callable[[], AbstractAsyncContextManager[tuple[Service, Nginx, Bank]]]


@pytest.fixture
def under_load(start: Start, nginx_before: NginxBefore, bank_of: BankOf, sections: Section) -> UnderLoad:
    """Run gunicorn behind nginx, with clients who move money for as long as the context lasts."""

    @asynccontextmanager
    async def under_load() -> AsyncIterator[tuple[Service, Nginx, Bank]]:
        # So what refuses an order is a restart, and not a machine that stands still.
        command = (*PATIENT_GUNICORN, "--workers", "3")
        service = await asyncio.to_thread(start, *command, by_environment=True, **PATIENT, **sections)
        nginx = await asyncio.to_thread(nginx_before, port_of(service))
        bank = bank_of(nginx, nginx)
        await bank.open()
        stop = asyncio.Event()
        load = asyncio.ensure_future(bank.run_until(stop, CLIENTS))
        await _goes_on(bank)
        yield service, nginx, bank
        await _goes_on(bank)
        stop.set()
        await load

    return under_load


async def _goes_on(bank: Bank) -> None:
    """Wait until each client has had several answers, and not one refusal among them."""
    bank.untroubled = 0
    await eventually(lambda: bank.untroubled > 5 * CLIENTS, HANGING_SECONDS)


async def test_no_client_notices_rolling_restarts(under_load: UnderLoad) -> None:
    async with under_load() as (service, nginx, bank):
        stop = asyncio.Event()
        openings = asyncio.ensure_future(_open_until(stop, nginx.address))
        for _ in range(RESTARTS):
            await asyncio.to_thread(roll, service)
            await _goes_on(bank)
        stop.set()
        assert await openings > RESTARTS
    assert (bank.lost, bank.refusals, bank.unexpected_statuses, bank.unread) == ([], [], [], [])
    await assert_tables_match_replies(bank, service.configuration)


async def _open_until(stop: asyncio.Event, address: str) -> int:
    """Open accounts, one after the other, each of which must succeed at once; return how many."""
    count = 0
    async with aiohttp.ClientSession() as session:
        while not stop.is_set():
            count += 1
            fields = {
                "userId": f"new{count}", "userName": "N", "sex": "F", "cardNum": "1", "accountId": f"new{count}",
                "accountType": "01",
            }  # fmt: skip
            async with session.post(f"{address}/openacc", data=fields) as response:
                assert response.status == 200, await response.text()
    return count


async def test_a_worker_killed_under_load_is_replaced_and_breaks_no_promise(under_load: UnderLoad) -> None:
    async with under_load() as (service, _, bank):
        for _ in range(RESTARTS):
            killed = workers_of(service).pop()
            os.kill(killed, signal.SIGKILL)
            await eventually(lambda: killed not in workers_of(service) and len(workers_of(service)) == 3)  # noqa: B023
            await _goes_on(bank)
    # Another worker takes nearly every request. The others get a 503.
    assert bank.lost == []
    assert set(bank.retry_after) <= {"1"}
    await assert_tables_match_replies(bank, service.configuration)


async def test_a_worker_that_comes_while_the_database_is_away_serves_once_it_is_back(
    start: Start, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    mariadb = await asyncio.to_thread(MariaDB(tmp_path / "mariadb").start)
    mysql = {"host": "127.0.0.1", "port": mariadb.port, "db": mariadb.new_ledger()}
    mysql |= {"user": mariadb.user, "password": mariadb.password}
    service = await asyncio.to_thread(start_gunicorn, start, 2, mysql=mysql)
    try:
        await asyncio.to_thread(mariadb.kill)
        before = workers_of(service)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        await eventually(lambda: not before & workers_of(service) and len(workers_of(service)) == 2)
        order = {"orderId": "r1", "userId": "u1", "amount": "1"}
        async with session.post(f"{service.address}/recharge", data=order) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
        await asyncio.to_thread(mariadb.start)
        fields = {"userId": "u1", "userName": "N", "sex": "F", "cardNum": "1", "accountId": "a"}
        fields["accountType"] = "01"
        async with session.post(f"{service.address}/openacc", data=fields) as response:
            assert response.status == 200
        async with session.post(f"{service.address}/recharge", data=order) as response:
            assert response.status == 200
        assert service.process.poll() is None
    finally:
        await asyncio.to_thread(mariadb.kill)


async def test_sigterm_under_load_ends_all_workers_soon_and_breaks_no_promise(
    start: Start, under_load: UnderLoad, sections: Section
) -> None:
    async with under_load() as (service, _, bank):
        assert await asyncio.to_thread(service.end, signal.SIGTERM) == 0, service.output.read_text()
        assert "SIGKILL" not in service.output.read_text()
        # Without any worker, nginx answers 503.
        refused = len(bank.retry_after)
        await eventually(lambda: len(bank.retry_after) > refused)
        again = await asyncio.to_thread(_started_again, start, service, sections)
    assert set(bank.retry_after) == {"1"}
    await assert_tables_match_replies(bank, again.configuration)


def _started_again(start: Start, service: Service, sections: Section) -> Service:
    return start_gunicorn(start, port=port_of(service), **sections)


GUNICORN_PROGRAM = """\
[program:gunicorn]
command=/opt/myaccount/.venv/bin/gunicorn myaccount --workers 2
directory=/opt/myaccount
user=myaccount
environment=MYACCOUNT_CONFIG="/etc/myaccount/config.yaml"
startretries=0
stopwaitsecs=35
stdout_logfile=/var/log/myaccount/gunicorn.log
redirect_stderr=true
"""


async def test_a_killed_master_leaves_no_orphan_and_is_brought_back(
    bank_of: BankOf, nginx_before: NginxBefore, sections: Section, tmp_path: Path
) -> None:
    port = free_port()
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"port": port, "sqlite_file": str(tmp_path / "none.db"), **sections}))
    supervisord = Supervisord(tmp_path / "supervisord", file, GUNICORN_PROGRAM)
    await asyncio.to_thread(supervisord.start)
    try:
        await eventually(partial(answers, port))
        nginx = await asyncio.to_thread(nginx_before, port)
        bank = bank_of(nginx, nginx)
        await bank.open()
        stop = asyncio.Event()
        load = asyncio.ensure_future(bank.run_until(stop, CLIENTS))
        await _goes_on(bank)
        (master,) = supervisord.children()
        orphans = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        assert len(orphans) == 2
        os.kill(master, signal.SIGKILL)
        await eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in orphans), HANGING_SECONDS)
        await eventually(lambda: supervisord.children() not in ([], [master]))
        await _goes_on(bank)
        stop.set()
        await load
        await assert_tables_match_replies(bank, file)
    finally:
        await asyncio.to_thread(supervisord.stop)
