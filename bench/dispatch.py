"""How soon messages come on streams, with the listener and a callback for every change on."""

import asyncio
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from subprocess import Popen
from typing import Any

import aiohttp

from tests.helpers.servers import free_port

from .databases import BenchMariaDB
from .processes import processes, resident_mib
from .servers import my_account, service

SECRET = "whsec_" + "c2VjcmV0" * 4

DELAY_RATE = 1000
DELAY_SECONDS = 20
WATCHED = 50
STREAMS = 5000


class DispatchingService:
    """A service that dispatches every event, and how late it is."""

    def __init__(self, address: str, process: "Popen[bytes]") -> None:
        self.address = address
        self._process = process

    def delay(self) -> dict[str, Any]:
        """Return the milliseconds from just before an order's commit to its message on the payee's stream."""
        delays = asyncio.run(_delays(self.address))
        return {"rate": DELAY_RATE, **_quantiles(delays)}

    def streams(self) -> dict[str, Any]:
        """Return the memory of a process with so many streams open, and how late a message comes on them."""
        before = resident_mib(processes(self._process))
        delays, after = asyncio.run(_streams(self.address, lambda: resident_mib(processes(self._process))))
        return {"rate": STREAMS, "before_mib": before, "worker_mib": after, **_quantiles(delays)}


@contextmanager
def dispatching_service(
    folder: Path, mariadb: BenchMariaDB, redis: dict[str, Any], workers: int, accounts: int
) -> Iterator[DispatchingService]:
    """Run a service that dispatches every event, and a receiver of its callback."""
    receiver = f"http://127.0.0.1:{(port := free_port())}/"
    sections = {
        "mysql": mariadb.mysql_section(mariadb.filled_database(accounts)),
        "redis": redis,
        "callbacks": [{"url": receiver, "secret": SECRET}],
    }
    with (
        service(["bench.peers.receiver", str(port)], receiver, {}),
        my_account(folder, workers, **sections) as (address, process),
    ):
        yield DispatchingService(address, process)


def _quantiles(delays: list[float]) -> dict[str, float]:
    return {"p50_ms": statistics.median(delays) * 1000, "p99_ms": statistics.quantiles(delays, n=100)[98] * 1000}


async def _delays(address: str) -> list[float]:
    """Send transfers at a steady rate, one in twenty to a user whose stream is open."""
    delays: dict[str, float] = {}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        watchers = [await _watch(session, address, f"u{n}", delays) for n in range(1, WATCHED + 1)]
        began = time.monotonic()
        orders = []
        for n in range(DELAY_RATE * DELAY_SECONDS):
            payee = 1 + n // 20 % WATCHED if n % 20 == 0 else 100 + n % 5000
            orders.append(asyncio.create_task(_transfer(session, address, f"delay-{n}", 6000 + n % 3000, payee)))
            if n % 10 == 0:
                await asyncio.sleep(max(0, began + n / DELAY_RATE - time.monotonic()))
        await asyncio.gather(*orders)
        watched = {f"delay-{n}" for n in range(0, DELAY_RATE * DELAY_SECONDS, 20)}
        await _until(lambda: watched <= delays.keys())
        for watcher in watchers:
            watcher.cancel()
    return [delays[order] for order in watched]


async def _streams(address: str, memory: Any) -> tuple[list[float], float]:
    delays: dict[str, float] = {}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        watchers: list[asyncio.Task[None]] = []
        for start in range(1, STREAMS + 1, 100):
            opening = [_watch(session, address, f"u{n}", delays) for n in range(start, start + 100)]
            watchers += await asyncio.gather(*opening)
        # A few at a time, or this client would be what is late.
        for start in range(1, STREAMS + 1, 10):
            orders = [
                _transfer(session, address, f"stream-{n}", 6000 + n % 3000, n) for n in range(start, start + 10)
            ]
            await asyncio.gather(*orders)
        await _until(lambda: len(delays) == STREAMS)
        resident = memory()
        for watcher in watchers:
            watcher.cancel()
    return list(delays.values()), resident


async def _watch(
    session: aiohttp.ClientSession, address: str, user_id: str, delays: dict[str, float]
) -> "asyncio.Task[None]":
    """Follow an inbox, once the stream is open, and note how long after its order each message comes."""
    response = await session.get(
        f"{address}/messages/stream", params={"userId": user_id}, timeout=aiohttp.ClientTimeout(total=None)
    )
    await response.content.readuntil(b"\n\n")

    async def follow() -> None:
        with suppress(RuntimeError):
            # Until the session is closed.
            async for line in response.content:
                if line.startswith(b"data: "):
                    row = json.loads(line.removeprefix(b"data: "))
                    created = datetime.fromisoformat(row["CREATE_TIME"]).timestamp()
                    delays[row["BODY"]["orderId"]] = time.time() - created

    return asyncio.create_task(follow())


async def _transfer(session: aiohttp.ClientSession, address: str, order: str, payer: int, payee: int) -> None:
    form = {"orderId": order, "fromuserId": f"u{payer}", "touserId": f"u{payee}", "amount": "0.01"}
    async with session.post(f"{address}/transfer", data=form) as response:
        if response.status != 200:
            raise RuntimeError(await response.text())


async def _until(condition: Any) -> None:
    async with asyncio.timeout(60):
        # No event says when.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
