"""Faults of Redis and listeners under load: every change reaches each receiver, and each inbox exactly once."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from myaccount.database.database import open_database
from myaccount.database.times import utc_now
from myaccount.model.outbox import event
from myaccount.settings.loading import load_configuration

from ..conftest import Section, eventually
from ..helpers.bank import Bank, BankOf, assert_tables_match_replies
from ..helpers.dispatched import assert_all_dispatched
from ..helpers.failpoints import LISTENER_POINTS
from ..helpers.receivers import Answer, Endless, Receiving, hang
from ..helpers.servers import Redis, free_port
from ..helpers.services import ListenerAlone, Service, Start
from .conftest import HANGING_SECONDS

# `make soak` repeats each fault, and keeps Redis away for a minute.
ROUNDS = int(os.environ.get("SOAK_ROUNDS", "1"))
AWAY_SECONDS = 2 if ROUNDS == 1 else 60
KILLS = 4 * ROUNDS
CLIENTS = 20


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Redis]:
    """A separate Redis server, since the tests kill it."""
    server = Redis(tmp_path / "redis").start()
    yield server
    server.kill()


@pytest.fixture
def sections(mysql_section: Section, redis_server: Redis, receiver: Receiving) -> Section:
    # With a short timeout, deliveries of a killed process are retried soon.
    return {
        "mysql": mysql_section,
        "redis": {"host": "127.0.0.1", "port": redis_server.port},
        "callbacks": [{"url": receiver.url, "timeout_seconds": 5}],
    }


@dataclass
class Scene:
    """A bank under load on two services, to which a fault happens."""

    redis: Redis
    bank: Bank
    services: list[Service]
    start: Callable[[], Awaitable[Service]]

    async def goes_on(self) -> None:
        """Wait until each client has had several replies in a row without a refusal."""
        self.bank.untroubled = 0
        await eventually(lambda: self.bank.untroubled > 5 * CLIENTS, HANGING_SECONDS)

    async def replace(self) -> None:
        """Replace the second service by a new one."""
        self.services[1] = await self.start()
        self.bank.addresses[1] = self.services[1].address


Fault = Callable[[Scene], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def redis_loses_its_memory(scene: Scene) -> AsyncIterator[None]:
    scene.redis.kill()
    await asyncio.to_thread(scene.redis.start)
    yield


@asynccontextmanager
async def redis_is_away(scene: Scene) -> AsyncIterator[None]:
    """Orders are still accepted meanwhile."""
    scene.redis.kill()
    await scene.goes_on()
    await asyncio.sleep(AWAY_SECONDS)
    await scene.goes_on()
    await asyncio.to_thread(scene.redis.start)
    yield


@asynccontextmanager
async def redis_hangs(scene: Scene) -> AsyncIterator[None]:
    scene.redis.pause()
    await scene.goes_on()
    await asyncio.sleep(AWAY_SECONDS)
    scene.redis.resume()
    yield


@asynccontextmanager
async def redis_is_flushed(scene: Scene) -> AsyncIterator[None]:
    with scene.redis.client() as client:
        client.flushall()
    yield


@asynccontextmanager
async def a_service_is_ended(scene: Scene) -> AsyncIterator[None]:
    """SIGTERM: the service finishes what it accepted, and a new one replaces it."""
    assert await asyncio.to_thread(scene.services[1].end, signal.SIGTERM) == 0
    await scene.replace()
    yield


@asynccontextmanager
async def a_service_is_killed(scene: Scene) -> AsyncIterator[None]:
    scene.services[1].process.kill()
    await scene.replace()
    yield


FAULTS: tuple[Fault, ...] = (
    redis_loses_its_memory,
    redis_is_away,
    redis_hangs,
    redis_is_flushed,
    a_service_is_ended,
    a_service_is_killed,
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_after_a_fault_of_redis_or_a_service_nothing_is_lost_and_nothing_is_doubled(
    start: Start, bank_of: BankOf, redis_server: Redis, receiver: Receiving, sections: Section, fault: Fault
) -> None:
    async def another() -> Service:
        return await asyncio.to_thread(start, "python3", "myaccount", **sections)

    sound, other = await another(), await another()
    bank = bank_of(sound, other)
    await bank.open()
    stop = asyncio.Event()
    load = asyncio.ensure_future(bank.run_until(stop, CLIENTS))
    scene = Scene(redis_server, bank, [sound, other], another)
    for _ in range(ROUNDS):
        await scene.goes_on()
        async with fault(scene):
            await scene.goes_on()
    stop.set()
    await load
    await assert_tables_match_replies(bank, sound.configuration)
    await assert_all_dispatched(sound, receiver.receiver)


@pytest.mark.parametrize("point", LISTENER_POINTS)
async def test_a_listener_killed_between_taking_and_finishing_an_event_loses_and_doubles_nothing(
    start: Start, bank_of: BankOf, receiver: Receiving, sections: Section, point: str
) -> None:
    service = await asyncio.to_thread(start, "python3", "myaccount", **sections, listener={"enabled": False})
    bank = bank_of(service, service)
    await bank.open()
    stop = asyncio.Event()
    load = asyncio.ensure_future(bank.run_until(stop, CLIENTS))
    for times in range(KILLS):
        with ListenerAlone(service, "tests/helpers/failpoints.py", point, str(1 + times % 3)) as listener:
            # The load makes sure that the failpoint is reached.
            assert await asyncio.to_thread(listener.process.wait, 60) == -signal.SIGKILL, (
                listener.output.read_text()
            )
    stop.set()
    await load
    with ListenerAlone(service):
        await assert_all_dispatched(service, receiver.receiver)


async def test_a_poison_event_becomes_a_dead_letter_and_all_others_are_dispatched(
    start: Start, bank_of: BankOf, receiver: Receiving, sections: Section
) -> None:
    service = await asyncio.to_thread(start, "python3", "myaccount", **sections)
    bank = bank_of(service, service)
    await bank.open()
    load = asyncio.ensure_future(bank.run(CLIENTS, 30))
    config = load_configuration(str(service.configuration), {})
    async with open_database(config, Path(config["sqlite_file"])) as database:
        # All attempts but the last have failed already.
        poison = {"body": '[["transfer"]]', "attempts": 7, "due_at": utc_now(), "created_at": utc_now()}
        await database.write(lambda connection: connection.execute(event.insert(), poison))
    await load
    missing = "missing 3 required positional arguments: 'source_id', 'payer', and 'payee'"
    error = f"TypeError: Change.__new__() {missing}"
    await assert_all_dispatched(service, receiver.receiver, dead_letters=[error])


async def test_bad_receivers_delay_only_themselves_and_get_everything_in_the_end(
    start: Start,
    bank_of: BankOf,
    receiving: Callable[..., Awaitable[Receiving]],
    receiver: Receiving,
    sections: Section,
) -> None:
    bad = [await receiving() for _ in range(4)]
    answers: list[int | Answer] = [hang, 500, 302, Endless()]
    for one, answer in zip(bad, answers, strict=True):
        one.receiver.answers = [answer] * 3
    refusing = free_port()
    urls = [receiver.url, *[one.url for one in bad], f"http://127.0.0.1:{refusing}/hook"]
    sections = sections | {"callbacks": [{"url": url, "timeout_seconds": 1} for url in urls]}
    service = await asyncio.to_thread(start, "python3", "myaccount", **sections)
    bank = bank_of(service, service)
    await bank.open()
    await bank.run(CLIENTS, 20)
    late = await receiving(refusing)
    receivers = [one.receiver for one in (receiver, late, *bad)]
    await assert_all_dispatched(service, *receivers)
