"""A failed journal writer ends its process, since no other task answers its orders."""

import asyncio
from collections.abc import Iterable
from urllib.error import HTTPError, URLError

import pytest

from myaccount.database.database import Database
from myaccount.errors import Unavailable
from myaccount.journal import settling as settling_module
from myaccount.journal.writer import Journal
from myaccount.ledger.commands import Recharge
from myaccount.ledger.money import Amount

from ..conftest import Client
from ..helpers.actions import open_users
from ..helpers.failpoints import BROKEN
from ..helpers.services import STOP_SECONDS, Start


async def test_every_order_is_answered_and_the_failure_is_raised_at_the_end(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_users(client, "u1")
    broken = asyncio.Event()

    def fail(counted: Iterable[object]) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(settling_module, "count_orders", fail)
    journal = Journal(database, lambda event_id: None, broken=broken.set)
    async with asyncio.timeout(20):
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
