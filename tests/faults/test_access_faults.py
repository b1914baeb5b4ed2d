"""While Redis or the database is away, keys keep their rates, and nobody who is known is called unknown."""

import asyncio
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from myaccount.database.database import open_database
from myaccount.settings.schema import CONFIGURATION

from ..conftest import Section, eventually
from ..helpers.callers import bearer
from ..helpers.deployments import PATIENT_GUNICORN, start_gunicorn, workers_of
from ..helpers.engines import new_server
from ..helpers.operators import PASSWORD, new_operator
from ..helpers.persistent_callers import Asked, Callers, Reply
from ..helpers.servers import MariaDB, Redis
from ..helpers.services import Service, Start, run_command

WORKERS: Final = 2
RATE: Final = 20
SHARE: Final = RATE // WORKERS
# What a worker may have taken for itself, and not used before the other one's request was refused.
TAKEN: Final = 1
SECONDS: Final = 4


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """A server of its own, since it is killed."""
    server = new_server(tmp_path_factory.mktemp("access") / "mariadb").start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A server of its own, since it is killed."""
    server = Redis(tmp_path_factory.mktemp("access") / "redis").start()
    yield server
    server.kill()


@pytest.fixture
async def service(start: Start, mysql_section: Section, redis_section: Section) -> Service:
    sections = {"mysql": mysql_section, "redis": redis_section, "access": "keys"}
    return await asyncio.to_thread(start_gunicorn, start, WORKERS, **sections)


@pytest.fixture
async def patient_service(start: Start, mysql_section: Section, redis_section: Section) -> Service:
    """A service that does not take its database to be away because the machine stands still."""
    sections = {"mysql": mysql_section, "redis": redis_section, "access": "keys"}
    command = (*PATIENT_GUNICORN, "--workers", str(WORKERS))
    return await asyncio.to_thread(start, *command, by_environment=True, **sections)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield session


def _new_key(service: Service, name: str, scopes: str, *more: str) -> dict[str, str]:
    command = ("python3", "-m", "myaccount", "keys", "-c", str(service.configuration), "create")
    return bearer(run_command(*command, "--name", name, "--scopes", scopes, *more).stdout.strip())


def _refused_seconds(replies: list[Reply], since: int) -> set[int]:
    return {int(reply.began) for reply in replies if reply.status == 429 and reply.began >= since}


async def test_while_redis_is_away_no_key_passes_its_rate_and_no_worker_refuses_it_below_its_share(
    patient_service: Service, session: aiohttp.ClientSession, redis_server: Redis
) -> None:
    service, callers = patient_service, Callers(patient_service, session)
    key = await asyncio.to_thread(_new_key, service, "shop", "orders:read", "--rate", f"{RATE}/s")
    replies = callers.replies

    async def go_on(since: int = 0) -> None:
        """Wait until requests were refused in further seconds."""
        known = len(replies)
        await eventually(lambda: len(_refused_seconds(replies[known:], since)) >= SECONDS)

    async with callers.sending({"shop": Asked("POST", "/querorder", {"orderId": "o1"}, key)}, times=6):
        await go_on()
        redis_server.kill()
        away_from = int(time.time()) + 1
        await go_on(away_from)
        away_until = int(time.time())
        await asyncio.to_thread(redis_server.start)
        await eventually(lambda: _counts_in(redis_server))
        await go_on()
    assert {reply.status for reply in replies} == {404, 429}
    assert len({reply.worker for reply in replies}) == WORKERS
    # A second that Redis counted in part has at most the rate and all shares.
    certain = Counter(int(reply.began) for reply in _allowed(replies) if int(reply.began) == int(reply.ended))
    assert max(certain.values()) <= 2 * RATE
    assert all(certain[second] <= RATE for second in range(away_from, away_until))
    assert away_until - away_from >= SECONDS - 2
    for second, by_worker in _allowed_by_second(replies).items():
        for reply in replies:
            if reply.status == 429 and int(reply.began) == int(reply.ended) == second:
                enough = sum(by_worker.values()) >= RATE - WORKERS * TAKEN
                assert enough or by_worker[reply.worker] >= SHARE, (second, by_worker, reply)


def _counts_in(redis_server: Redis) -> bool:
    with redis_server.client() as client:
        return any(":rates:shop:" in key for key in client.scan_iter())


def _allowed(replies: list[Reply]) -> list[Reply]:
    return [reply for reply in replies if reply.status == 404]


def _allowed_by_second(replies: list[Reply]) -> dict[int, Counter[str]]:
    """Return how many requests each worker may have allowed in each second."""
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for reply in replies:
        for second in range(int(reply.began), int(reply.ended) + 1):
            found[second][reply.worker] += reply.status != 429
    return found


async def test_while_the_database_is_away_nobody_who_is_known_is_called_unknown(
    service: Service, session: aiohttp.ClientSession, mariadb: MariaDB, mysql_section: Section
) -> None:
    callers = Callers(service, session)
    every = await asyncio.to_thread(_new_key, service, "all", "accounts:open,tokens,orders:read")
    limited = await asyncio.to_thread(_new_key, service, "limited", "orders:read", "--rate", "100000/s")
    user = {"userId": "u1", "userName": "N", "sex": "F", "cardNum": "1", "accountId": "a1", "accountType": "01"}
    async with session.post(f"{service.address}/openacc", data=user, headers=every) as response:
        assert response.status == 200
    async with session.post(f"{service.address}/usertoken", data={"userId": "u1"}, headers=every) as response:
        token = (await response.json())["TOKEN"]
    query = Asked("POST", "/querorder", {"orderId": "o1"}, every)
    asked = {
        "key": query,
        "limited key": query._replace(headers=limited),
        "token": Asked("POST", "/queryacc", {"userId": "u1"}, bearer(token)),
        "operator": Asked("GET", "/account", {}, await _cookie(service, session, mysql_section)),
    }

    async def all_see(*statuses: int, workers: int = WORKERS) -> None:
        """Wait until each caller has seen one of these statuses, and so many workers gave it."""
        known = len(callers.replies)

        def seen() -> bool:
            found = {(reply.caller, reply.worker) for reply in callers.replies[known:] if reply.status in statuses}
            return {caller for caller, _ in found} == asked.keys() and len({w for _, w in found}) >= workers

        await eventually(seen)

    async with callers.sending(asked):
        await all_see(200, 404)
        mariadb.kill()
        await all_see(503)
        # A worker that starts meanwhile knows nobody yet.
        old = workers_of(service)
        before = {reply.worker for reply in callers.replies}
        os.kill(min(old), signal.SIGKILL)
        await eventually(lambda: len(workers_of(service) - old) == 1)
        await eventually(lambda: not {reply.worker for reply in callers.replies} <= before)
        await all_see(503)
        await asyncio.to_thread(mariadb.start)
        await all_see(200, 404)
    found = {caller: {reply.status for reply in callers.replies if reply.caller == caller} for caller in asked}
    assert found == {"key": {404, 503}, "limited key": {404, 503}, "token": {200, 503}, "operator": {200, 503}}


async def _cookie(service: Service, session: aiohttp.ClientSession, mysql_section: Section) -> dict[str, str]:
    """Return the header of a new operator's session."""
    async with open_database(CONFIGURATION.check({"mysql": mysql_section}), Path()) as database:
        await new_operator(database, "alice")
    fields = {"name": "alice", "password": PASSWORD}
    async with session.post(f"{service.address}/signin", data=fields, allow_redirects=False) as response:
        assert response.status == 303
        return {"Cookie": f"myaccount={response.cookies['myaccount'].value}"}
