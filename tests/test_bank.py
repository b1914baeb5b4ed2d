"""The bank test: many clients, several processes, orders sent twice, processes killed; and no cent astray."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.configuration import CONFIGURATION
from myaccount.model.tables import account, order
from myaccount.service.verification import verify_books
from myaccount.store.database import Database, open_database

from .bank import HOT, Bank, Sent, check
from .conftest import Section
from .services import Service, Start

# `make soak` runs it for long.
ORDERS_EACH = int(os.environ.get("SOAK_ORDERS", "40"))
CLIENTS = 40

Found = tuple[Sequence[Mapping[str, Any]], dict[str, int]]


async def _tables(database: Database) -> Found:
    async def work(connection: AsyncConnection) -> Found:
        accounts = {
            row.id: row for row in await connection.execute(select(account).where(account.c.user_id.is_not(None)))
        }
        rows = [
            {
                "order_id": row.order_id,
                "payer": accounts[row.from_account].user_id,
                "payee": accounts[row.to_account].user_id,
                "amount": row.amount,
                "status": row.status,
            }
            for row in await connection.execute(select(order).where(order.c.order_type == "02"))
        ]
        return rows, {row.user_id: row.balance for row in accounts.values()}

    return await database.read(work)


@pytest.mark.parametrize("kill", [False, True], ids=["undisturbed", "a process killed"])
async def test_no_cent_is_astray_and_every_answer_was_true(
    start: Start, backend: Section, tmp_path: Path, kill: bool
) -> None:
    services = [await asyncio.to_thread(start, "python3", "myaccount", **backend) for _ in range(2)]
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        bank = Bank(session, [service.address for service in services], seed=1)
        await bank.open()
        running = asyncio.ensure_future(bank.run(CLIENTS, ORDERS_EACH))
        if kill:
            await _kill_in_the_middle(services[1], bank, CLIENTS * ORDERS_EACH)
        await running
        await bank.settle()
    assert len(bank.history) == CLIENTS * ORDERS_EACH
    assert {"posted", "declined", "refused"} <= set().union(*(sent.outcomes for sent in bank.history))

    config = CONFIGURATION.check({"sqlite_file": f"{tmp_path}/money.db", **backend})
    async with open_database(config, tmp_path / "money.db") as database:
        assert check(bank.history, bank.read_balances, *await _tables(database)) == []
        assert [difference async for difference in verify_books(database, lambda done, count: None)] == []


async def _kill_in_the_middle(service: Service, bank: Bank, orders: int) -> None:
    while len(bank.history) < orders // 3:  # noqa: ASYNC110 - the clients make it so
        await asyncio.sleep(0.005)
    service.process.kill()
    service.process.wait()


class TestTheChecker:
    """It sees what it should: a history and its tables, right but for what each test plants."""

    HISTORY = (
        Sent("o1", "h1", "h2", 500, {"posted"}),
        Sent("o2", "h2", "h3", 9999, {"declined"}),
        Sent("o3", "h1", "nobody", 1, {"refused"}),
    )

    @pytest.fixture
    def rows(self) -> list[dict[str, Any]]:
        return [
            {"order_id": "o1", "payer": "h1", "payee": "h2", "amount": 500, "status": "posted"},
            {"order_id": "o2", "payer": "h2", "payee": "h3", "amount": 9999, "status": "declined"},
        ]

    @pytest.fixture
    def balances(self) -> dict[str, int]:
        return dict(zip(HOT, (1500, 2500, 2000), strict=True))

    def test_nothing_is_wrong(self, rows: list[dict[str, Any]], balances: dict[str, int]) -> None:
        assert check(self.HISTORY, ["0.00"], rows, balances) == []

    def test_a_double_posting(self, rows: list[dict[str, Any]], balances: dict[str, int]) -> None:
        balances |= {"h1": 1000, "h2": 3000}
        assert check(self.HISTORY, [], [*rows, rows[0]], balances) == [
            "o1 was posted and is there 2 times",
            "h1 has 1000 and should have 1500",
            "h2 has 3000 and should have 2500",
        ]

    def test_a_lost_posting(self, rows: list[dict[str, Any]]) -> None:
        assert check(self.HISTORY, [], rows[1:], dict.fromkeys(HOT, 2000)) == [
            "o1 was posted and is there 0 times",
            "h1 has 2000 and should have 1500",
            "h2 has 2000 and should have 2500",
        ]

    def test_a_refused_order_that_is_there(self, rows: list[dict[str, Any]], balances: dict[str, int]) -> None:
        rows.append({"order_id": "o3", "payer": "h1", "payee": "h2", "amount": 1, "status": "posted"})
        assert check(self.HISTORY, [], rows, balances) == ["o3 was refused and is there 1 times"]

    def test_a_balance_below_the_floor(self, rows: list[dict[str, Any]], balances: dict[str, int]) -> None:
        assert check(self.HISTORY, ["-0.01"], rows, balances) == ["a balance of -0.01 was read"]

    def test_two_answers_for_one_order(self, rows: list[dict[str, Any]], balances: dict[str, int]) -> None:
        history = [*self.HISTORY, Sent("o4", "h1", "h2", 1, {"posted", "declined"})]
        assert check(history, [], rows, balances) == ["o4 has the outcomes ['declined', 'posted']"]
