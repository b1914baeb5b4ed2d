"""The bank test: many clients, several processes, orders sent twice, processes killed; and no cent astray."""

import asyncio
import os
import signal
from typing import Any

import pytest

from ..conftest import Section, eventually
from ..helpers.bank import HOT, BankOf, Sent, assert_tables_match_replies, check
from ..helpers.failpoints import POINTS
from ..helpers.servers import STOP_SECONDS
from ..helpers.services import Start

# `make soak` runs it for long.
ORDERS_EACH = int(os.environ.get("SOAK_ORDERS", "20"))
CLIENTS = 40


@pytest.mark.parametrize("fault", ["none", "killed anywhere", *POINTS])
async def test_no_cent_is_astray_and_every_answer_was_true(
    start: Start, bank_of: BankOf, backend: Section, fault: str
) -> None:
    sound = await asyncio.to_thread(start, "python3", "myaccount", **backend)
    other = await asyncio.to_thread(start, "python3", "tests/helpers/failpoints.py", fault, "5", **backend)
    bank = bank_of(sound, other)
    await bank.open()
    running = asyncio.ensure_future(bank.run(CLIENTS, ORDERS_EACH))
    if fault == "killed anywhere":
        await eventually(lambda: len(bank.history) > CLIENTS * ORDERS_EACH // 3)
        other.process.kill()
    await running
    assert len(bank.history) == CLIENTS * ORDERS_EACH
    if fault == "none":
        assert other.process.poll() is None
    else:
        assert await asyncio.to_thread(other.process.wait, STOP_SECONDS) == -signal.SIGKILL
    await assert_tables_match_replies(bank, sound.configuration)
    assert {"posted", "declined", "refused"} <= set().union(*(sent.outcomes for sent in bank.history))


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
