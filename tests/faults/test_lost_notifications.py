"""A process that is killed before it notifies live streams: those of other processes read the database soon."""

import asyncio
import signal

import aiohttp
import pytest

from myaccount.appkeys import notifications_key
from myaccount.listener import live_notifications as live_module
from myaccount.listener import redis_notifications as notifications_module
from myaccount.listener.redis_notifications import RedisLiveNotifications
from myaccount.main import create_app
from myaccount.settings.schema import CONFIGURATION, Config

from ..conftest import ClientOf, Section, Server, eventually
from ..helpers.actions import open_users
from ..helpers.failpoints import BEFORE_THE_REPLIES
from ..helpers.inboxes import read_page
from ..helpers.services import Start

WAIT_SECONDS = 60


@pytest.fixture
def queue(redis_section: Section) -> Section:
    return {"redis": redis_section}


@pytest.mark.parametrize("backend", ["mariadb"], indirect=True)
async def test_streams_get_the_message_of_a_process_that_was_killed_after_its_commit(
    start: Start, config: Config, backend: Section, queue: Section, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "NOTIFY_ALL_SECONDS", 3600)
    async with Server(create_app(config)) as server, ClientOf(server) as client:
        await open_users(client, "u1")
        await read_page(client, userId="u1")
        command = ("python3", "tests/helpers/failpoints.py", BEFORE_THE_REPLIES, "1")
        other = await asyncio.to_thread(start, *command, **backend, **queue)
        live = client.app[notifications_key]
        assert isinstance(live, RedisLiveNotifications)
        async with client.get("/messages/stream", params={"userId": "u1"}) as stream:
            await eventually(lambda: len(live._heard_at) == 1)
            order = {"orderId": "r1", "userId": "u1", "amount": "1"}
            with pytest.raises(aiohttp.ClientError):
                async with client.session.post(f"{other.address}/recharge", data=order):
                    pass
            assert await asyncio.to_thread(other.process.wait, WAIT_SECONDS) == -signal.SIGKILL
            async with asyncio.timeout(WAIT_SECONDS):
                while b"r1" not in await stream.content.readline():
                    pass


async def test_a_process_that_ends_as_it_should_is_not_missed(
    redis_section: Section, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications_module, "LOST_SECONDS", 3600)
    monkeypatch.setattr(notifications_module, "LAST_SECONDS", WAIT_SECONDS)
    checked = CONFIGURATION.check({"redis": redis_section})["redis"]

    async def name() -> str:
        return "name"

    async with RedisLiveNotifications(checked, name) as live, asyncio.timeout(WAIT_SECONDS):
        with live.subscribe("u1"):
            await eventually(lambda: live._connected)
            async with RedisLiveNotifications(checked, name):
                await eventually(lambda: len(live._heard_at) == 1)
            await eventually(lambda: not live._heard_at)
