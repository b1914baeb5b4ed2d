"""A key is revoked while 256 clients send orders with it: each process refuses it within a second, for good."""

import asyncio
import itertools
import time
from pathlib import Path
from typing import NamedTuple

import aiohttp
from sqlalchemy import select

from myaccount.database.database import open_database
from myaccount.model.ledger import order
from myaccount.settings.loading import load_configuration
from myaccount.settings.paths import working_path

from ..conftest import Section, eventually
from ..helpers.callers import bearer
from ..helpers.services import PATIENT, Service, Start, run_command

CLIENTS = 256
# Before the key is revoked, each client has had so many replies.
WARM = 2
GUARANTEE_SECONDS = 1
USER = {"userId": "u1", "userName": "N", "sex": "F", "cardNum": "1", "accountId": "a1", "accountType": "01"}


class Reply(NamedTuple):
    """A reply to an order."""

    order_id: str
    status: int


class Clients:
    """Each has a connection of its own and sends order after order, until the key must not work any more."""

    def __init__(self, session: aiohttp.ClientSession, services: list[Service]) -> None:
        self._session = session
        self._addresses = [service.address for service in services]
        self.replies: list[list[Reply]] = [[] for _ in range(CLIENTS)]
        # When the command that revoked the key had ended.
        self.revoked_at: float | None = None

    async def run(self) -> None:
        await asyncio.gather(*map(self._send, range(CLIENTS)))

    async def _send(self, number: int) -> None:
        address = self._addresses[number % len(self._addresses)]
        for n in itertools.count():
            began = time.monotonic()
            fields = {"orderId": f"o{number}-{n}", "userId": "u1", "amount": "1"}
            async with self._session.post(f"{address}/recharge", data=fields) as response:
                await response.read()
            self.replies[number].append(Reply(fields["orderId"], response.status))
            if self.revoked_at is not None and began > self.revoked_at + GUARANTEE_SECONDS:
                return


async def _recharges(configuration: Path) -> dict[str, str]:
    """Return the ids of the recharges in the books, with the keys that made them."""
    config = load_configuration(configuration, {})
    query = select(order.c.order_id, order.c.made_by).where(order.c.order_type == "01")
    async with open_database(config, working_path(config["sqlite_file"])) as database:
        rows = await database.read(lambda connection: connection.execute(query))
    return {row.order_id: row.made_by for row in rows}


async def test_a_key_that_is_revoked_while_256_clients_use_it_makes_no_order_a_second_later(
    start: Start, backend: Section
) -> None:
    # One process serves the embedded file.
    count = 2 if backend else 1
    services = [
        await asyncio.to_thread(start, "python3", "myaccount", access="keys", **PATIENT, **backend)
        for _ in range(count)
    ]
    command = ("python3", "-m", "myaccount", "keys", "-c", str(services[0].configuration))
    scopes = ("--scopes", "accounts:open,money:in")
    key = (await asyncio.to_thread(run_command, *command, "create", "--name", "shop", *scopes)).stdout.strip()
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=connector, headers=bearer(key), timeout=timeout) as session:
        async with session.post(f"{services[0].address}/openacc", data=USER) as response:
            assert response.status == 200
        clients = Clients(session, services)
        load = asyncio.ensure_future(clients.run())
        await eventually(lambda: load.done() or min(map(len, clients.replies)) >= WARM)
        before = [len(replies) for replies in clients.replies]
        assert (await asyncio.to_thread(run_command, *command, "revoke", "shop")).returncode == 0
        clients.revoked_at = time.monotonic()
        await load
    for known, replies in zip(before, clients.replies, strict=True):
        statuses = [reply.status for reply in replies]
        # Each process lets in first and refuses then. The last request began when the key must not work any more.
        works = statuses.count(200)
        assert statuses == [200] * works + [401] * (len(statuses) - works)
        assert known <= works < len(statuses)
    done = {reply.order_id for replies in clients.replies for reply in replies if reply.status == 200}
    assert await _recharges(services[0].configuration) == dict.fromkeys(done, key.split("_")[1])
