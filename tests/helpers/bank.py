"""A bank under load, and a checker of its outcomes, after the bank tests of Jepsen.

Clients move money between a few hot and many cold accounts, over several processes. One order in ten is sent to
two of them at once. All replies are recorded, and compared with the tables at the end.
"""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.database.database import open_database
from myaccount.journal.verification import verify_books
from myaccount.model.ledger import account, order
from myaccount.settings.loading import load_configuration

HOT = ["h1", "h2", "h3"]
COLD = [f"c{n}" for n in range(40)]
START_CENTS = 2000
TWICE = 0.1
# The statuses that tell the outcome of an order.
CERTAIN = {200: "posted", 409: "declined", 404: "refused"}


@dataclass
class Sent:
    """An order and the outcomes in its replies. Without any, its outcome is unknown."""

    order_id: str
    payer: str
    payee: str
    cents: int
    outcomes: set[str] = field(default_factory=set)

    def form(self) -> dict[str, str]:
        amount = f"{self.cents // 100}.{self.cents % 100:02}"
        return {"orderId": self.order_id, "fromuserId": self.payer, "touserId": self.payee, "amount": amount}


class Bank:
    """The clients. `addresses` are those of the processes."""

    def __init__(self, session: aiohttp.ClientSession, addresses: Sequence[str], seed: int) -> None:
        self._session = session
        # Orders go to all of them, balance queries to the first.
        self.addresses = list(addresses)
        self._random = random.Random(seed)
        self.history: list[Sent] = []
        self.read_balances: list[str] = []
        # The Retry-After of each 503, and its text.
        self.retry_after: list[str | None] = []
        self.refusals: list[str] = []
        # The statuses that no client should get.
        self.unexpected_statuses: list[int] = []
        # The errors of the requests without a reply.
        self.lost: list[str] = []
        # The balance queries that failed, and why.
        self.unread: list[str] = []
        # The number of outcomes in succession, without a failed request between them.
        self.untroubled = 0

    async def open(self) -> None:
        async def open_one(user: str) -> None:
            fields = {
                "userId": user, "userName": "N", "sex": "F", "cardNum": "1", "accountId": f"a-{user}",
                "accountType": "01",
            }  # fmt: skip
            await self._post("/openacc", fields)
            await self._post(
                "/recharge", {"orderId": f"start-{user}", "userId": user, "amount": f"{START_CENTS // 100}"}
            )

        await asyncio.gather(*map(open_one, HOT + COLD))

    async def run(self, clients: int, orders_each: int) -> None:
        await asyncio.gather(*[self._client(number, range(orders_each)) for number in range(clients)])

    async def run_until(self, stop: asyncio.Event, clients: int) -> None:
        def numbers() -> Iterator[int]:
            return itertools.takewhile(lambda _: not stop.is_set(), itertools.count())

        await asyncio.gather(*[self._client(number, numbers()) for number in range(clients)])

    async def _client(self, number: int, orders: Iterable[int]) -> None:
        for n in orders:
            await self._order(f"o{number}-{n}")
            if n % 5 == 4:
                await asyncio.gather(*map(self._read, HOT + self._random.sample(COLD, 5)))

    async def settle(self) -> None:
        """Send each order with an unknown outcome again until it has one."""
        for sent in self.history:
            while not sent.outcomes:
                await self._send(sent, self.addresses[0])

    async def _order(self, order_id: str) -> None:
        # One in fifty pays a user who does not exist.
        payer, payee = self._random.sample([*HOT * 5, *COLD, "nobody"], 2)
        if payer == payee:
            payee = "c0" if payer != "c0" else "c1"
        sent = Sent(order_id, payer, payee, self._random.choice([1, 50, 700, 1999]))
        self.history.append(sent)
        times = 2 if self._random.random() < TWICE else 1
        await asyncio.gather(*[self._send(sent, a) for a in self._random.sample(self.addresses, times)])

    async def _send(self, sent: Sent, address: str) -> None:
        try:
            async with self._session.post(f"{address}/transfer", data=sent.form()) as response:
                outcome = CERTAIN.get(response.status)
                if response.status == 503:
                    self.retry_after.append(response.headers.get("Retry-After"))
                    self.refusals.append(await response.text())
                elif outcome is None:
                    self.unexpected_statuses.append(response.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            outcome = None
            self.lost.append(repr(error))
        if outcome is None:
            self.untroubled = 0
            # Give the service time to recover.
            await asyncio.sleep(0.05)
        else:
            self.untroubled += 1
            sent.outcomes.add(outcome)

    async def _read(self, user: str) -> None:
        try:
            async with self._session.post(f"{self.addresses[0]}/queryacc", data={"userId": user}) as response:
                if response.status != 200:
                    self.unread.append(await response.text())
                    return
                body = await response.json()
                self.read_balances.append(body["result"][0]["ACCOUNTS"][0]["BALANCE"])
        except (aiohttp.ClientError, TimeoutError) as error:
            self.unread.append(repr(error))

    async def _post(self, path: str, fields: dict[str, str]) -> None:
        was_refused = False
        while True:
            async with self._session.post(self.addresses[0] + path, data=fields) as response:
                if response.status != 503:
                    # After a 503 it may have been done all the same.
                    is_replay = was_refused and response.headers.get("Idempotent-Replayed") == "true"
                    assert response.status == 200 or is_replay, await response.text()
                    return
            was_refused = True
            # The service may be overloaded.
            await asyncio.sleep(0.05)


def check(
    history: Iterable[Sent],
    read_balances: Iterable[str],
    rows: Sequence[Mapping[str, Any]],
    balances: Mapping[str, int],
) -> list[str]:
    """Return what is wrong with the journal's transfers (`rows`) and the final balances by user id."""
    wrong = [f"a balance of {balance} was read" for balance in read_balances if balance.startswith("-")]
    journal = Counter(row["order_id"] for row in rows)
    by_id = {row["order_id"]: row for row in rows}
    expected = {user: START_CENTS if user in HOT + COLD else 0 for user in balances}
    for sent in history:
        if len(sent.outcomes) != 1:
            wrong.append(f"{sent.order_id} has the outcomes {sorted(sent.outcomes)}")
            continue
        (outcome,) = sent.outcomes
        times = journal.pop(sent.order_id, 0)
        if times != (0 if outcome == "refused" else 1):
            wrong.append(f"{sent.order_id} was {outcome} and is there {times} times")
        elif times:
            row = by_id[sent.order_id]
            found = (row["payer"], row["payee"], row["amount"], row["status"])
            if found != (sent.payer, sent.payee, sent.cents, outcome):
                wrong.append(f"{sent.order_id} was {outcome} and is there as {found}")
        if outcome == "posted":
            expected[sent.payer] -= sent.cents
            expected[sent.payee] += sent.cents
    wrong += [f"{order_id} was never sent" for order_id in journal]
    wrong += [
        f"{user} has {balances[user]} and should have {expected[user]}"
        for user in balances
        if balances[user] != expected[user]
    ]
    wrong += [f"{user} has {balance}, below the floor" for user, balance in balances.items() if balance < 0]
    return wrong


BankOf = Callable[..., Bank]


@pytest.fixture
async def bank_of() -> AsyncIterator[BankOf]:
    """A factory of banks. Their clients send to all the given services."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield lambda *services: Bank(session, [service.address for service in services], seed=1)


async def assert_tables_match_replies(bank: Bank, configuration: Path) -> None:
    """Compare the replies that clients got with the tables, once no outcome is unknown."""
    await bank.settle()
    assert bank.unexpected_statuses == []
    config = load_configuration(configuration, {})
    async with open_database(config, Path(config["sqlite_file"])) as database:
        # However long it takes.
        async with database.snapshot() as connection:
            assert check(bank.history, bank.read_balances, *await _tables(connection)) == []
        assert [difference async for difference in verify_books(database, lambda done, count: None)] == []


Found = tuple[Sequence[Mapping[str, Any]], dict[str, int]]


async def _tables(connection: AsyncConnection) -> Found:
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
