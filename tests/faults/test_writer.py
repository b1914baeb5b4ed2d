"""A failed journal writer ends its process, since no other task answers its orders."""

import asyncio
from pathlib import Path
from urllib.error import HTTPError, URLError

import aiohttp
import pytest

from myaccount.database.database import Database
from myaccount.errors import Unavailable
from myaccount.journal.writer import Journal
from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import Recharge
from myaccount.observability.metrics import BATCH_COMMANDS

from ..conftest import Client, Section, eventually
from ..helpers.actions import open_users
from ..helpers.broken_once import BREAK_ONCE
from ..helpers.deployments import session, workers_of
from ..helpers.failpoints import BROKEN
from ..helpers.servers import STOP_SECONDS
from ..helpers.services import Start

__all__ = ["session"]


async def test_every_order_is_answered_and_the_failure_is_raised_at_the_end(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_users(client, "u1")
    broken = asyncio.Event()

    def fail(size: float) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(BATCH_COMMANDS, "observe", fail)
    journal = Journal(database, lambda event_id: None, broken=broken.set)
    async with asyncio.timeout(60):
        await journal.__aenter__()
        orders = [asyncio.ensure_future(journal.submit(Recharge(f"r{n}", "u1", Amount(1, 2)))) for n in range(5)]
        await broken.wait()
        late = journal.submit(Recharge("late", "u1", Amount(1, 2)))
        answers = await asyncio.gather(*orders, late, return_exceptions=True)
        with pytest.raises(ZeroDivisionError):
            await journal.__aexit__()
    assert {type(answer) for answer in answers} == {Unavailable}


async def test_the_process_ends_and_says_why(start: Start) -> None:
    service = await asyncio.to_thread(start, "python3", "tests/helpers/failpoints.py", BROKEN, "1")

    def recharge() -> None:
        service.post("/openacc", userId="u1", userName="N", sex="F", cardNum="1", accountId="a1", accountType="01")
        service.post("/recharge", orderId="r1", userId="u1", amount="1")

    with pytest.raises((HTTPError, URLError, ConnectionError)):
        await asyncio.to_thread(recharge)
    assert await asyncio.to_thread(service.process.wait, STOP_SECONDS) not in (0, None)
    output = service.output.read_text("utf-8")
    assert "CRITICAL" in output
    assert "The journal writer failed" in output


async def test_gunicorn_replaces_the_worker_and_every_order_is_answered(
    start: Start, mysql_section: Section, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    broken = tmp_path / "break once"
    service = await asyncio.to_thread(
        start,
        *("gunicorn", "tests.helpers.broken_once", "--workers", "2"),
        by_environment=True,
        environment={BREAK_ONCE: str(broken)},
        mysql=mysql_section,
    )
    opening = {"userId": "u1", "userName": "N", "sex": "F", "cardNum": "1", "accountId": "a1", "accountType": "01"}

    async def post(path: str, **fields: str) -> int:
        async with session.post(service.address + path, data=fields) as response:
            await response.read()
        return response.status

    async def recharge(number: int) -> int:
        return await post("/recharge", orderId=f"r{number}", userId="u1", amount="1")

    assert await post("/openacc", **opening) == 200
    workers = workers_of(service)
    assert len(workers) == 2
    broken.touch()
    # Without a reply this raises an error.
    statuses = await asyncio.gather(*map(recharge, range(40)))
    assert set(statuses) <= {200, 503}
    assert 503 in statuses
    await eventually(lambda: len(workers_of(service)) == 2 and workers_of(service) != workers)
    assert len(workers & workers_of(service)) == 1
    assert [await recharge(number) for number in range(50)] == [200] * 50
    async with session.post(f"{service.address}/queryacc", data={"userId": "u1"}) as response:
        (user,) = (await response.json())["result"]
    assert user["ACCOUNTS"][0]["BALANCE"] == "50.00"
    assert service.output.read_text("utf-8").count("The journal writer failed") == 1
