"""A flood of sign-ins is refused at once, and holds up no order."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from myaccount.access.operators import passwords
from myaccount.database.database import Database

from ..conftest import PATIENCE_SECONDS, Client, Section
from ..helpers.callers import ALL, client_with, new_key
from ..helpers.operators import PASSWORD, new_operator
from ..helpers.wallets import open_account, post

SIGN_INS = 1000
# So many are sent at the same time.
ATTACKERS = 100
SHOPS = 2


@pytest.fixture
def queue() -> Section:
    return {"access": "keys", "trusted_proxies": ["127.0.0.1"]}


async def _sign_in(client: Client, name: str, address: str, password: str) -> tuple[int, str]:
    """Return the status, and the seconds to wait."""
    fields = {"name": name, "password": password}
    headers = {"X-Forwarded-For": address, "X-Forwarded-Proto": "https"}
    async with client.post("/signin", data=fields, headers=headers, allow_redirects=False) as response:
        await response.read()
        return response.status, response.headers.get("Retry-After", "")


async def test_a_thousand_sign_ins_are_refused_at_once_and_no_order_meanwhile(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await new_operator(database, "alice")
    # An eighth of what it costs in use, and several times an order.
    monkeypatch.setattr(passwords, "COST", passwords.Cost(n=2**12))
    orders: list[tuple[int, str]] = []
    # How many orders were answered while each password was checked.
    meanwhile: list[int] = []
    is_right = passwords.is_right

    def counted(password: str, stored: str) -> bool:
        before = len(orders)
        result = is_right(password, stored)
        # However slow the machine is, orders go on. Without them, the event loop would wait for this.
        end = time.monotonic() + (PATIENCE_SECONDS if all(meanwhile) else 0)
        while len(orders) == before and not flood.done() and time.monotonic() < end:
            time.sleep(0.001)
        meanwhile.append(len(orders) - before)
        return result

    monkeypatch.setattr(passwords, "is_right", counted)

    async def attack(numbers: Iterator[int]) -> list[tuple[int, str]]:
        """Send the next of all that are left, and so on."""
        return [await _sign_in(client, f"n{n % 250}", f"198.51.100.{n % 7}", "wrong") for n in numbers]

    async def send_orders(shop: Client, number: int) -> None:
        for n in itertools.count():
            answer = await post(shop, "/recharge", orderId=f"o{number}-{n}", userId="u1", amount="1")
            orders.append((answer.status, answer.code))
            if flood.done():
                return

    async with client_with(client, await new_key(database, "shop", *ALL)) as shop:
        await open_account(shop, "u1", "a1")
        numbers = iter(range(SIGN_INS))
        flood = asyncio.gather(*[attack(numbers) for _ in range(ATTACKERS)])
        await asyncio.gather(*[send_orders(shop, number) for number in range(SHOPS)])
        answers = [answer for answers in await flood for answer in answers]
    statuses = Counter(status for status, _ in answers)
    assert statuses.keys() <= {401, 429, 503}
    assert all(wait == "1" for status, wait in answers if status == 503)
    # Nine in ten are refused without a look at the password.
    assert 0 < statuses[401] == len(meanwhile) <= SIGN_INS / 10
    assert Counter(orders) == {(200, "done"): len(orders)}
    # A thread checks it, and the orders go on.
    assert sum(meanwhile) >= len(meanwhile)
    assert (await _sign_in(client, "alice", "203.0.113.5", PASSWORD))[0] == 303
