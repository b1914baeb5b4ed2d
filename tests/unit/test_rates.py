"""Requests of a key are counted by the second, and few of them ask who counts for all processes."""

import asyncio
import time

import pytest

from myaccount.access.rates import Granted, Rate, Rates

SHOP = Rate("shop", 3)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which the test moves on."""
    times = [1000.0]
    monkeypatch.setattr(time, "time", lambda: times[0])
    return times


async def _count(rates: Rates, rate: Rate, requests: int) -> int:
    return sum(await asyncio.gather(*(rates.allow(rate) for _ in range(requests))))


async def test_a_second_has_so_many_requests_and_the_next_one_as_many(now: list[float]) -> None:
    rates = Rates()
    assert await _count(rates, SHOP, 2) == 2
    now[0] += 0.9
    assert await _count(rates, SHOP, 9) == 1
    now[0] += 0.1
    assert await _count(rates, SHOP, 9) == 3
    # Another name has a rate of its own, and a rate may change.
    assert await _count(rates, Rate("other", 1), 9) == 1


class Counter:
    """Grants two requests at a time, up to five a second."""

    def __init__(self) -> None:
        self.asked = 0
        self.left = 5

    async def take(self, rate: Rate, second: int) -> Granted:
        self.asked += 1
        await asyncio.sleep(0)
        count = min(2, self.left)
        self.left -= count
        return Granted(count, more=count > 0)


async def test_requests_that_come_together_ask_once_for_several(now: list[float]) -> None:
    counter = Counter()
    rates = Rates(counter.take)
    assert await _count(rates, SHOP, 4) == 4
    assert counter.asked == 2
    assert await _count(rates, SHOP, 100) == 1
    # One request got the last grant, one learnt that there is no more, and the others believed it.
    assert counter.asked == 4
