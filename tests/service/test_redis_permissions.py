"""The permissions that docs/operations.rst gives Redis's user: none is missing, and none is too much."""

import pytest

from myaccount.access import shared_counts
from myaccount.access.rates import Rate
from myaccount.access.shared_counts import SharedCounts
from myaccount.listener import redis_queue as redis_queue_module
from myaccount.listener.redis_notifications import RedisLiveNotifications
from myaccount.listener.redis_queue import RedisQueue
from myaccount.settings.schema import CONFIGURATION

from ..conftest import PATIENCE_SECONDS, Section, eventually
from ..helpers.acl import permissions
from ..helpers.servers import Redis


async def _stream() -> str:
    return "myaccount:test:events"


async def _rates() -> str:
    return "myaccount:test:rates"


async def _channel() -> str:
    return "myaccount:test:live"


async def test_each_permission_is_used_and_none_is_missing(
    redis_section: Section, redis_server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What dead processes left is looked for at once.
    monkeypatch.setattr(redis_queue_module, "CLAIM_SECONDS", 0)
    monkeypatch.setattr(redis_queue_module, "DEAD_MILLISECONDS", 0)
    user = {"user": "limited", "password": "secret"}
    config = CONFIGURATION.check({"redis": redis_section | user})["redis"]
    monkeypatch.setattr(shared_counts, "PATIENCE_SECONDS", PATIENCE_SECONDS)
    with redis_server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "limited", "on", ">secret", *permissions())
        admin.acl_log_reset()
        admin.config_resetstat()
        async with (
            RedisQueue(config, _stream) as queue,
            RedisLiveNotifications(config, _channel) as live,
            SharedCounts(config, _rates) as counts,
        ):
            assert await queue.redis_state() == "ok"
            assert (await counts.take(Rate("shop", 3), 7)).more
            await eventually(lambda: bool(admin.keys("myaccount:test:rates-processes:*")))
            queue.announce(1)
            await eventually(lambda: admin.exists("myaccount:test:events") == 1)
            while not (messages := await queue.take()):
                pass
            await queue.acknowledge(messages)
            dead = ("myaccount:test:events", redis_queue_module.GROUP, "dead")
            admin.xgroup_createconsumer(*dead)
            await eventually(lambda: all(each["idle"] > 0 for each in admin.xinfo_consumers(*dead[:2])))
            queue.announce(2)
            await queue.take()
            assert await queue.redis_state() == "ok"
            await eventually(lambda: live._connected)
            users = [client["user"] for client in admin.client_list()]
        called = {name.removeprefix("cmdstat_") for name in admin.info("commandstats")}
        refused = admin.acl_log()
        admin.acl_deluser("limited")
    assert "limited" in users
    assert refused == []
    keys_and_channels = {"~myaccount:*", "&myaccount:*"}
    assert {permission for permission in permissions() if permission[0] != "+"} == keys_and_channels
    assert {permission[1:] for permission in permissions() if permission[0] == "+"} - called == set()
