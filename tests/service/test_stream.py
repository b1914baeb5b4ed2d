"""Live streams: each message once, in order, to its reader alone, from the beginning to the end of a stream."""

import asyncio

import pytest

from myaccount.appkeys import notifications_key
from myaccount.controller import stream as stream_module
from myaccount.inbox import feed as feed_module
from myaccount.inbox import queries as inbox_module
from myaccount.listener import live_notifications as live_module
from myaccount.listener.repeating import repeat
from myaccount.main import create_app
from myaccount.settings.schema import Config

from ..conftest import Client, ClientOf, Section, Server, eventually
from ..helpers.actions import open_users, send
from ..helpers.streams import WAIT_SECONDS, Stream, open_stream, recharge, until_welcome


@pytest.fixture(params=["memory", "redis"])
def queue(request: pytest.FixtureRequest) -> Section:
    return {} if request.param == "memory" else {"redis": request.getfixturevalue("redis_section")}


async def test_messages_come_live_and_only_to_their_reader(client: Client) -> None:
    await open_users(client, "u1", "u2")
    await until_welcome(client, "u1", "u2")
    async with (
        open_stream(client, "u1") as one,
        open_stream(client, "u2") as two,
        open_stream(client, "u1") as another,
    ):
        await recharge(client, "r1")
        await recharge(client, "r2", "u2")
        await recharge(client, "r3")
        assert await one.sources(2) == await another.sources(2) == ["r1", "r3"]
        number, row = await two.next()
        async with client.get("/messages", params={"userId": "u2", "pageSize": "1"}) as response:
            assert (await response.json())["result"] == [row]
        assert number == row["NID"]


async def test_a_decline_comes_live_to_its_payer_alone(unheard: Client) -> None:
    """Without an event, which nobody would dispatch here."""
    await open_users(unheard, "u1", "u2")
    await until_welcome(unheard, "u1", "u2")
    async with open_stream(unheard, "u1") as one, open_stream(unheard, "u2") as two:
        order = {"orderId": "d1", "fromuserId": "u1", "touserId": "u2", "amount": "9"}
        assert (await send(unheard, "/transfer", **order))[0] == 409
        _, row = await one.next()
        assert row["MESSAGE_TYPE"] == "decline"
        assert row["BODY"].pop("text")
        assert row["BODY"] == {
            "orderId": "d1", "amount": "9.00", "currency": "CNY", "reason": "insufficient_funds",
            "orderName": "transfer", "accountId": "a-u1", "entry": 0, "balance": "0.00",
        }  # fmt: skip
        await recharge(unheard, "r1", "u2")
        assert await two.sources(1) == ["r1"]


async def test_a_stream_continues_after_the_last_message_that_the_client_got(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (inbox_module, feed_module):
        monkeypatch.setattr(module, "FEED_LIMIT", 3)
    await open_users(client, "u1")
    await until_welcome(client, "u1")
    async with open_stream(client, "u1") as stream:
        await recharge(client, "r0")
        seen, _ = await stream.next()
    for n in range(1, 9):
        await recharge(client, f"r{n}")
    async with open_stream(client, "u1", seen) as stream:
        assert await stream.sources(8) == [f"r{n}" for n in range(1, 9)]
        await recharge(client, "r9")
        assert await stream.sources(1) == ["r9"]


async def test_an_invalid_last_event_id_begins_with_new_messages(client: Client) -> None:
    await open_users(client, "u1")
    await until_welcome(client, "u1")
    headers = {"Last-Event-ID": "99999999999999999999999"}
    async with client.get("/messages/stream", params={"userId": "u1"}, headers=headers) as response:
        await response.content.readuntil(b"\n\n")
        await recharge(client, "r1")
        assert await Stream(response).sources(1) == ["r1"]


async def test_a_quiet_stream_has_heartbeats(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "HEARTBEAT_SECONDS", 0.05)
    await open_users(client, "u1")
    async with asyncio.timeout(WAIT_SECONDS), open_stream(client, "u1") as stream:
        async for line in stream.response.content:
            if line.startswith(b": ping"):
                break


async def test_a_stream_without_notifications_reads_at_regular_intervals(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_users(client, "u1")
    await until_welcome(client, "u1")
    live = client.app[notifications_key]
    monkeypatch.setattr(type(live), "publish", lambda self, readers: None)
    async with open_stream(client, "u1") as stream:
        await recharge(client, "r1")
        # As the regular notification does.
        monkeypatch.setattr(live_module, "NOTIFY_ALL_SECONDS", 0.05)
        look = asyncio.create_task(repeat("look", live._notify_all_regularly))
        assert await stream.sources(1) == ["r1"]
        look.cancel()


async def test_a_client_that_disconnects_is_unsubscribed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "HEARTBEAT_SECONDS", 0.05)
    await open_users(client, "u1")
    live = client.app[notifications_key]
    async with open_stream(client, "u1"):
        assert live._subscribers

    def left() -> bool:
        live.notify_all()
        return not live._subscribers

    await eventually(left)


async def test_a_message_for_a_disconnected_client_is_no_failure(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    await open_users(client, "u1")
    live = client.app[notifications_key]
    async with open_stream(client, "u1") as stream:
        assert stream.response.connection is not None
        assert stream.response.connection.transport is not None
        stream.response.connection.transport.abort()
    for n in range(3):
        await recharge(client, f"r{n}")
    await eventually(lambda: not live._subscribers)
    assert "failed" not in caplog.text


async def test_clients_that_disconnect_before_their_stream_begins_are_no_failure(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    await open_users(client, "u1")
    request = b"GET /messages/stream?userId=u1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    for _ in range(50):
        _, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(request)
        await writer.drain()
        writer.transport.abort()
    # The service still serves other clients.
    async with open_stream(client, "u1") as stream:
        await recharge(client, "r1")
        while (await stream.next())[1]["MESSAGE_TYPE"] != "recharge":
            pass
    assert "failed" not in caplog.text


async def test_shutdown_closes_the_streams(config: Config) -> None:
    async with Server(create_app(config)) as server, ClientOf(server) as client:
        await open_users(client, "u1")
        async with open_stream(client, "u1") as stream:
            async with asyncio.timeout(WAIT_SECONDS):
                await server.close()
                while await stream.response.content.readline():
                    pass


async def test_a_stream_of_an_unknown_user_is_refused(client: Client) -> None:
    async with client.get("/messages/stream", params={"userId": "u1"}) as response:
        assert response.status == 404
        assert (await response.json(content_type=None))["code"] == "user_not_found"
    async with client.get("/messages/stream", params={"userId": "u1", "x": "1"}) as response:
        assert (await response.json(content_type=None))["field"] == "x"


async def test_each_stream_has_its_language(client: Client) -> None:
    await open_users(client, "u1")
    await until_welcome(client, "u1")
    async with client.get("/messages/stream", params={"userId": "u1", "language": "en"}) as response:
        await response.content.readuntil(b"\n\n")
        await recharge(client, "r1")
        assert (await Stream(response).next())[1]["TITLE"] == "Top-up of 1.00 CNY"
