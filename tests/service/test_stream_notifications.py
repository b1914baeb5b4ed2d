"""How streams hear of new messages: in the process, and from other processes through Redis."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from myaccount.appkeys import notifications_key
from myaccount.listener import redis_notifications as notifications_module
from myaccount.listener.live_notifications import LiveNotifications
from myaccount.listener.redis_notifications import RedisLiveNotifications
from myaccount.main import create_app
from myaccount.settings.schema import CONFIGURATION, Config

from ..conftest import Client, ClientOf, Section, Server, eventually
from ..helpers.actions import open_users
from ..helpers.servers import Redis
from ..helpers.streams import WAIT_SECONDS, open_stream, recharge, until_welcome
from ..helpers.written import commands_of


class TestRedis:
    @pytest.fixture
    def queue(self, redis_section: Section) -> Section:
        return {"redis": redis_section}

    async def test_messages_from_another_process_arrive_on_a_stream(self, config: Config) -> None:
        async with Server(create_app(config)) as writing:
            config["listener"]["enabled"] = False
            async with Server(create_app(config)) as reading, ClientOf(writing) as one, ClientOf(reading) as other:
                await open_users(one, "u1")
                await until_welcome(one, "u1")
                async with open_stream(other, "u1") as stream:
                    for n in range(5):
                        await recharge(one, f"r{n}")
                    assert await stream.sources(5) == [f"r{n}" for n in range(5)]

    async def test_nothing_is_published_while_nobody_follows(
        self, config: Config, client: Client, redis_server: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(notifications_module, "FOLLOWED_SECONDS", 0.5)
        await open_users(client, "u1")

        def published(commands: Sequence[str]) -> int:
            return sum('\\"readers\\"' in command for command in commands)

        with commands_of(redis_server) as commands:
            for n in range(20):
                await recharge(client, f"r{n}")
            config["listener"]["enabled"] = False
            async with Server(create_app(config)) as server, ClientOf(server) as other:
                assert published(commands) == 0
                async with open_stream(other, "u1") as stream:
                    await recharge(client, "s")
                    assert await stream.sources(1) == ["s"]
            await eventually(lambda: not cast("Any", client.app[notifications_key])._is_followed_elsewhere())
            before = published(commands)
            await recharge(client, "t")
        assert published(commands) == before

    async def test_who_hears_of_subscribers_has_them_read_what_was_not_published(
        self, redis_section: Section, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        checked = CONFIGURATION.check({"redis": redis_section})["redis"]

        async def name() -> str:
            return "name"

        async with RedisLiveNotifications(checked, name) as one, RedisLiveNotifications(checked, name) as other:
            await eventually(lambda: one._connected and other._connected)
            one.publish(["u1"])
            with other.subscribe("u1") as notified:
                async with asyncio.timeout(WAIT_SECONDS):
                    await notified.wait()

    async def test_a_process_that_ends_sends_what_was_published_until_then(self, redis_section: Section) -> None:
        checked = CONFIGURATION.check({"redis": redis_section})["redis"]

        async def name() -> str:
            return "name"

        async with RedisLiveNotifications(checked, name) as other, asyncio.timeout(WAIT_SECONDS):
            with other.subscribe("u1") as notified:
                await eventually(lambda: other._connected)
                notified.clear()
                async with RedisLiveNotifications(checked, name) as one:
                    # It has heard of the subscriber.
                    await notified.wait()
                    notified.clear()
                    one.publish(["u1"])
                await notified.wait()

    async def test_a_stream_survives_a_restart_of_redis(self, config: Config, redis_server: Redis) -> None:
        async with Server(create_app(config)) as server, ClientOf(server) as client:
            await open_users(client, "u1")
            await until_welcome(client, "u1")
            async with open_stream(client, "u1") as stream:
                redis_server.kill()
                try:
                    await recharge(client, "r1")
                finally:
                    redis_server.start()
                assert await stream.sources(1) == ["r1"]
                await recharge(client, "r2")
                assert await stream.sources(1) == ["r2"]

    async def test_foreign_messages_on_the_channel_are_skipped(self, client: Client, redis_server: Redis) -> None:
        await open_users(client, "u1")
        await until_welcome(client, "u1")
        live = client.app[notifications_key]
        assert isinstance(live, RedisLiveNotifications)
        await eventually(lambda: live._connected)
        with redis_server.client() as redis:
            (channel,) = cast("list[str]", redis.pubsub_channels("myaccount:*:live"))
            for word in ("{", "5", "[[]]", '{"a": 1}'):
                redis.publish(channel, word)
        async with open_stream(client, "u1") as stream:
            await recharge(client, "r1")
            assert await stream.sources(1) == ["r1"]


async def test_subscribers_to_one_inbox_are_independent() -> None:
    live = LiveNotifications()
    with live.subscribe("u1") as one:
        with live.subscribe("u1") as two:
            live.notify(["u1", "u2"])
            assert one.is_set()
            assert two.is_set()
        one.clear()
        live.notify(["u1"])
        assert one.is_set()
