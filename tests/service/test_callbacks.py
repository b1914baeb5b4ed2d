"""Callbacks: each endpoint gets its changes at least once, and no endpoint delays another."""

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import select
from standardwebhooks import Webhook, WebhookVerificationError

from myaccount.appkeys import database_key, health_key
from myaccount.database import leases as leases_module
from myaccount.database.database import Database
from myaccount.database.leases import postpone
from myaccount.ledger.changes import ACCOUNT_CHANGES, CHANGE_TYPES
from myaccount.main import create_app
from myaccount.model.outbox import delivery, disabled_endpoint, event
from myaccount.outbox.dead_letters import resend_named
from myaccount.outbox.fan_out import fan_out
from myaccount.settings.callbacks import CallbackConfig, url_key
from myaccount.settings.schema import CONFIGURATION, Config
from myaccount.webhooks import endpoint as endpoint_module
from myaccount.webhooks.deliveries import Delivery
from myaccount.webhooks.endpoint import Endpoint, open_endpoints

from ..conftest import PATIENCE_SECONDS, ClientOf, Section, Server, eventually
from ..helpers.actions import open_users, send
from ..helpers.every_change import CALLBACKS, request_every_change
from ..helpers.inboxes import until_dispatched
from ..helpers.receivers import Endless, Receiving, hang, source_of
from ..helpers.servers import free_port

SECRET = f"whsec_{base64.b64encode(b'k' * 32).decode()}"


@pytest.fixture
def config(backend: Section, receiver: Receiving, tmp_path: Path) -> Config:
    return _config(backend, tmp_path, [{"url": receiver.url}])


def _config(backend: Section, tmp_path: Path, callbacks: list[dict[str, object]]) -> Config:
    files = {"sqlite_file": str(tmp_path / "myaccount.db"), "log_folder": str(tmp_path), "port": free_port()}
    # No order is refused, and no request to a receiver given up, because the machine stands still.
    patient = {"journal": {"waiting_seconds": PATIENCE_SECONDS}}
    endpoints = [{"timeout_seconds": PATIENCE_SECONDS, **callback} for callback in callbacks]
    checked: Config = CONFIGURATION.check(files | patient | backend | {"callbacks": endpoints})
    return checked


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(leases_module, "FIRST_PAUSE_SECONDS", 0.05)


async def _deliveries(database: Database) -> list[Any]:
    return list(await database.read(lambda connection: connection.execute(select(delivery))))


async def _until_delivered(database: Database) -> None:
    async def delivered() -> bool:
        return not await _deliveries(database)

    await eventually(delivered)


async def _until_dead_letters(database: Database) -> list[Any]:
    async def dead_letters() -> bool:
        rows = await _deliveries(database)
        return bool(rows) and all(row.due_at is None for row in rows)

    await eventually(dead_letters)
    return await _deliveries(database)


async def test_each_change_has_the_field_names_of_the_requests(
    client: ClientOf, database: Database, receiver: Receiving
) -> None:
    await open_users(client, "u1", "u2")
    await send(client, "/recharge", orderId="r1", userId="u1", amount="5")
    await send(client, "/transfer", orderId="t1", fromuserId="u1", touserId="u2", amount="2.50")
    await send(client, "/transfer", orderId="t2", fromuserId="u1", touserId="u2", amount="99")
    # What was refused or replayed changed nothing.
    await send(client, "/transfer", orderId="t1", fromuserId="u1", touserId="u2", amount="2.50")
    await send(client, "/transfer", orderId="t3", fromuserId="u1", touserId="nobody", amount="1")
    changes: list[dict[str, Any]] = []

    async def all_told() -> bool:
        changes[:] = [change for call in receiver.receiver.calls for change in call.changes]
        return len(changes) >= 5

    await eventually(all_told)
    await _until_delivered(database)
    sides = {
        "fromuserId": "u1", "fromaccountId": "a-u1", "fromEntry": 2, "fromBalance": "2.50",
        "touserId": "u2", "toaccountId": "a-u2", "toEntry": 1, "toBalance": "2.50",
    }  # fmt: skip
    assert sorted(changes, key=lambda change: (change["type"], source_of(change))) == [
        {"type": "account_opened", "userId": "u1", "accountId": "a-u1", "currency": "CNY", "entry": 0},
        {"type": "account_opened", "userId": "u2", "accountId": "a-u2", "currency": "CNY", "entry": 0},
        {"type": "decline", "orderId": "t2", "amount": "99.00", "currency": "CNY", **sides,
         "reason": "insufficient_funds", "orderName": "transfer"},
        {"type": "recharge", "orderId": "r1", "amount": "5.00", "currency": "CNY", "userId": "u1",
         "accountId": "a-u1", "entry": 1, "balance": "5.00"},
        {"type": "transfer", "orderId": "t1", "amount": "2.50", "currency": "CNY", **sides},
    ]  # fmt: skip
    for call in receiver.receiver.calls:
        body = json.loads(call.text)
        assert body["type"] == "changes"
        assert datetime.fromisoformat(body["timestamp"]).tzinfo is not None
        assert "webhook-signature" not in call.headers
        assert call.headers["content-type"] == "application/json"


async def test_without_callbacks_the_service_calls_itself_at_each_opening(
    backend: Section, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "myaccount.access")
    files = {"sqlite_file": str(tmp_path / "myaccount.db"), "log_folder": str(tmp_path), "port": free_port()}
    config: Config = CONFIGURATION.check(files | backend)
    async with Server(create_app(config), port=config["port"]) as server, ClientOf(server) as client:
        await open_users(client, "u1")
        await eventually(lambda: "POST /opeacclistentest 200" in caplog.text)


async def test_each_endpoint_gets_every_change_of_the_types_that_it_subscribes_to(
    backend: Section, tmp_path: Path, receiving: Callable[..., Awaitable[Receiving]]
) -> None:
    receivers = {change_type: await receiving() for change_type in CHANGE_TYPES}
    endpoints: list[dict[str, object]] = [
        {"url": receiver.url, "events": [change_type]} for change_type, receiver in receivers.items()
    ]
    found: dict[str, list[dict[str, Any]]] = {}

    async def all_told() -> bool:
        for change_type, receiver in receivers.items():
            found[change_type] = [change for call in receiver.receiver.calls for change in call.changes]
        return sum(map(len, found.values())) >= len(CALLBACKS)

    app = create_app(_config(backend, tmp_path, endpoints))
    async with Server(app) as server, ClientOf(server) as client:
        await request_every_change(client)
        await eventually(all_told)
        await _until_delivered(app[database_key])
    assert all({change["type"] for change in found[change_type]} == {change_type} for change_type in CHANGE_TYPES)
    changes = [change for of_type in found.values() for change in of_type]
    settings = [change.pop("changeId") for change in changes if "changeId" in change]
    assert len(set(settings)) == len(settings) == 4
    expected = [
        {"type": change_type} | fields | ({} if change_type in ACCOUNT_CHANGES else {"orderId": source})
        for (change_type, source), fields in CALLBACKS.items()
    ]
    assert _without_times(changes) == _without_times(expected)


def _without_times(changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the changes in one order, without the ends of holds."""
    return sorted(
        ({name: value for name, value in change.items() if name != "expiresAt"} for change in changes),
        key=lambda change: json.dumps(change, sort_keys=True),
    )


class TestSigned:
    @pytest.fixture
    def config(self, backend: Section, receiver: Receiving, tmp_path: Path) -> Config:
        return _config(backend, tmp_path, [{"url": receiver.url, "secret": SECRET}])

    async def test_a_signature_is_valid_for_the_library_of_standard_webhooks(
        self, client: ClientOf, receiver: Receiving
    ) -> None:
        await open_users(client, "üser-用户")
        await receiver.receiver.until_called(1)
        (call,) = receiver.receiver.calls
        assert Webhook(SECRET).verify(call.text, call.headers)["data"] == call.changes
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(call.text.replace("用户", "用戶"), call.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(f"whsec_{base64.b64encode(b'x' * 32).decode()}").verify(call.text, call.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(call.text, call.headers | {"webhook-id": "msg_other"})

    async def test_each_attempt_has_its_own_timestamp_and_signature_and_the_same_id(
        self, quick: None, monkeypatch: pytest.MonkeyPatch, client: ClientOf, receiver: Receiving
    ) -> None:
        now = 2_000_000_000.0
        monkeypatch.setattr(time, "time", lambda: now)
        receiver.receiver.answers = [500]
        await open_users(client, "u1")
        await receiver.receiver.until_called(1)
        now += 100
        await receiver.receiver.until_called(2)
        first, second = receiver.receiver.calls
        assert first.webhook_id == second.webhook_id
        times = [int(call.headers["webhook-timestamp"]) for call in (first, second)]
        assert times == [2_000_000_000, 2_000_000_100]
        assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


@pytest.mark.parametrize("answer", [500, 302, 404, 204, hang])
async def test_a_failed_request_is_retried_and_a_successful_one_is_not(
    quick: None, client: ClientOf, database: Database, config: Config, receiver: Receiving, answer: Any
) -> None:
    callback = config["callbacks"][0]

    async def hang_once(request: web.Request) -> web.StreamResponse:
        # This request ends soon, and the next one has its time.
        callback["timeout_seconds"] = PATIENCE_SECONDS
        return await hang(request)

    if answer is hang:
        callback["timeout_seconds"] = 0.3
    receiver.receiver.answers = [hang_once if answer is hang else answer]
    await open_users(client, "u1")
    await _until_called_and_delivered(receiver, database)
    assert len(receiver.receiver.calls) == (1 if answer == 204 else 2)
    assert len({call.webhook_id for call in receiver.receiver.calls}) == 1


async def test_of_an_endless_reply_only_a_part_is_read_and_its_status_counts(
    client: ClientOf, database: Database, config: Config, receiver: Receiving
) -> None:
    answer = Endless()
    receiver.receiver.answers = [answer]
    await open_users(client, "u1")
    await _until_called_and_delivered(receiver, database)
    assert len(receiver.receiver.calls) == 1
    # What was read, and what both ends of the connection buffer.
    assert answer.sent_bytes < 64 * 1024 + 16 * 2**20


async def _until_called_and_delivered(receiver: Receiving, database: Database) -> None:
    await receiver.receiver.until_called(1)
    await _until_delivered(database)


async def test_a_receiver_that_refuses_connections_does_not_delay_others(
    quick: None, backend: Section, tmp_path: Path, receiving: Callable[..., Awaitable[Receiving]]
) -> None:
    good = await receiving()
    refusing = f"http://127.0.0.1:{free_port()}/hook"
    config = _config(backend, tmp_path, [{"url": refusing}, {"url": good.url}])
    app = create_app(config)
    async with Server(app) as server, ClientOf(server) as client:
        await open_users(client, "u1")
        await good.receiver.until_called(1)

        async def failed() -> bool:
            return [row.error for row in await _deliveries(app[database_key])] == [
                "the request failed: connection refused"
            ]

        await eventually(failed)


async def test_a_receiver_that_hangs_slows_neither_orders_nor_other_receivers(
    backend: Section, tmp_path: Path, receiving: Callable[..., Awaitable[Receiving]]
) -> None:
    slow, good = await receiving(), await receiving()
    released = asyncio.Event()

    async def held(request: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    slow.receiver.answers = [held] * 1000
    config = _config(backend, tmp_path, [{"url": slow.url, "timeout_seconds": 3600}, {"url": good.url}])
    async with Server(create_app(config)) as server, ClientOf(server) as client:
        users = [f"u{n}" for n in range(3 * endpoint_module.REQUESTS_AT_ONCE)]
        try:
            for user in users:
                await open_users(client, user)
            await eventually(lambda: set(good.receiver.received()) == {f"a-{user}" for user in users})
            assert len(slow.receiver.calls) <= endpoint_module.REQUESTS_AT_ONCE
        finally:
            slow.receiver.answers.clear()
            released.set()


async def test_an_endpoint_that_answered_410_gets_nothing_until_it_is_enabled_and_loses_nothing(
    quick: None, client: ClientOf, database: Database, receiver: Receiving, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.receiver.answers = [410]
    await open_users(client, "u1")

    async def disabled() -> bool:
        found = await database.read(lambda connection: connection.execute(select(disabled_endpoint)))
        return found.first() is not None

    await eventually(disabled)
    # In the same transaction: the request that was answered 410 is not sent again later.
    refused = await database.read(lambda connection: connection.execute(select(delivery)))
    assert [row.due_at for row in refused] == [None]
    await open_users(client, "u2", "u3")
    await until_dispatched(database)
    rows = await _until_dead_letters(database)
    assert {row.error for row in rows} == {"the endpoint answered 410: it is disabled"}
    assert len(rows) >= 2

    async def counted() -> bool:
        found = {(name, *labels): value for name, value, labels in await client.app[health_key].samples()}
        return found.get(("deliveries_set_aside", "127.0.0.1")) == len(rows)

    await eventually(counted)
    assert len(receiver.receiver.calls) == 1
    assert caplog.text.count("and is disabled") == 1
    assert await resend_named(database, url_key(receiver.url)) == (len(rows), True)
    await _until_delivered(database)
    assert receiver.receiver.received() == {"a-u1": 1, "a-u2": 1, "a-u3": 1}
    assert not list(await database.read(lambda connection: connection.execute(select(disabled_endpoint))))
    await open_users(client, "u4")
    await eventually(lambda: "a-u4" in receiver.receiver.received())


async def test_an_endpoint_with_a_name_gets_deliveries_from_before_it_had_one(
    quick: None, backend: Section, tmp_path: Path, receiver: Receiving
) -> None:
    config = _config(backend, tmp_path, [{"url": receiver.url}])
    config["listener"]["enabled"] = False
    app = create_app(config)
    async with Server(app) as server, ClientOf(server) as client:
        await open_users(client, "u1")
        ids = [row.id for row in await app[database_key].read(lambda c: c.execute(select(event.c.id)))]
        subscriptions = {url_key(receiver.url): ["account_opened"]}
        await app[database_key].write(lambda c: fan_out(c, ids, subscriptions, datetime(2026, 1, 1)))
        assert [row.endpoint for row in await _deliveries(app[database_key])] == [url_key(receiver.url)]
        await open_users(client, "u2")
        ids = [row.id for row in await app[database_key].read(lambda c: c.execute(select(event.c.id)))]
        await app[database_key].write(
            lambda c: fan_out(c, ids, {"shop": ["account_opened"]}, datetime(2026, 1, 1))
        )
    config = _config(backend, tmp_path, [{"name": "shop", "url": receiver.url}])
    app = create_app(config)
    async with Server(app):
        await _until_delivered(app[database_key])
    assert receiver.receiver.received() == {"a-u1": 1, "a-u2": 1}


async def test_after_a_failover_no_other_delivery_with_the_same_id_is_removed_or_postponed(
    client: ClientOf, database: Database, receiver: Receiving
) -> None:
    """The replica had lost deliveries, and other ones got their ids."""
    now = datetime(2026, 1, 1)
    row = {"endpoint": "none", "body": "{}", "attempts": 0, "due_at": now, "created_at": now}
    rows = [row | {"webhook_id": "msg_new_1"}, row | {"webhook_id": "msg_new_2"}]
    await database.write(lambda connection: connection.execute(delivery.insert(), rows))
    before = await _deliveries(database)
    one, two = (row.id for row in before)
    sent = {
        Delivery(one, "msg_lost_1", "{}"): None,
        Delivery(two, "msg_lost_2", "{}"): "the endpoint answered 500",
    }
    no_session: Any = None
    callback: CallbackConfig = {"url": receiver.url, "events": [], "timeout_seconds": 1, "trust_env": False}
    endpoint = Endpoint(database, no_session, callback)
    await database.write(partial(endpoint._settle, sent))
    assert await _deliveries(database) == before
    same = {Delivery(one, "msg_new_1", "{}"): None, Delivery(two, "msg_new_2", "{}"): "the endpoint answered 500"}
    await database.write(partial(endpoint._settle, same))
    assert [(row.id, row.attempts) for row in await _deliveries(database)] == [(two, 1)]


async def test_an_endpoint_that_fails_has_a_warning_once_a_minute(
    quick: None, client: ClientOf, database: Database, receiver: Receiving, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.receiver.answers = [500, 503, 500]
    await open_users(client, "u1")
    await _until_called_and_delivered(receiver, database)
    assert len(receiver.receiver.calls) == 4
    (line,) = [record for record in caplog.records if "failed: the endpoint answered" in record.getMessage()]
    assert line.levelname == "WARNING"
    assert line.getMessage().startswith(f"The callback {url_key(receiver.url)} (127.0.0.1) failed: the endpoint")


async def test_a_delivery_that_one_process_is_sending_is_not_sent_by_another(
    quick: None, client: ClientOf, database: Database, config: Config, receiver: Receiving
) -> None:
    receiver.receiver.answers = [hang]
    await open_users(client, "u1")
    await receiver.receiver.until_called(1)
    async with open_endpoints(database, config["callbacks"]) as endpoints:
        for _ in range(3):
            await endpoints[0].deliver()
    assert len(receiver.receiver.calls) == 1


async def test_after_its_last_attempt_a_delivery_is_a_dead_letter_and_later_ones_are_sent(
    quick: None, monkeypatch: pytest.MonkeyPatch, client: ClientOf, database: Database, receiver: Receiving
) -> None:
    monkeypatch.setattr(endpoint_module, "ATTEMPTS", 2)
    receiver.receiver.answers = [500, 503]
    await open_users(client, "u1")
    (row,) = await _until_dead_letters(database)
    assert (row.attempts, row.error) == (2, "the endpoint answered 503")
    await open_users(client, "u2")
    await receiver.receiver.until_called(3)
    assert [call.changes[0]["userId"] for call in receiver.receiver.calls] == ["u1", "u1", "u2"]
    assert (await resend_named(database, "all")).rows == 1
    await receiver.receiver.until_called(4)
    await _until_delivered(database)


async def test_the_exponential_backoff_has_jitter_and_lasts_about_a_day(
    client: ClientOf, database: Database
) -> None:
    now = datetime(2026, 1, 1)
    row = {"endpoint": "none", "webhook_id": "msg", "body": "{}", "attempts": 0, "due_at": now, "created_at": now}
    await database.write(lambda connection: connection.execute(delivery.insert(), row))
    (id_,) = [row.id for row in await _deliveries(database)]
    pauses = []
    for _ in range(endpoint_module.ATTEMPTS - 1):
        await database.write(
            lambda connection: postpone(connection, delivery, {id_: "no"}, now, endpoint_module.ATTEMPTS)
        )
        (row_now,) = await _deliveries(database)
        pauses.append((row_now.due_at - now).total_seconds())
    for number, pause in enumerate(pauses):
        assert 5 * 2**number * 0.8 <= pause <= 5 * 2**number * 1.2
    assert any(pause != 5 * 2**number for number, pause in enumerate(pauses))
    assert 18 * 3600 < sum(pauses) < 30 * 3600
    await database.write(
        lambda connection: postpone(connection, delivery, {id_: "no"}, now, endpoint_module.ATTEMPTS)
    )
    (row_now,) = await _deliveries(database)
    assert row_now.due_at is None


async def test_unfinished_deliveries_of_a_stopped_service_are_sent_by_the_next(
    quick: None, monkeypatch: pytest.MonkeyPatch, config: Config, receiver: Receiving
) -> None:
    # The lease is longer than the timeout by this.
    monkeypatch.setattr(endpoint_module, "MARGIN_SECONDS", 0.1)
    config["callbacks"][0]["timeout_seconds"] = 0.5
    receiver.receiver.answers = [hang]
    async with Server(create_app(config)) as server, ClientOf(server) as client:
        await open_users(client, "u1")
        await receiver.receiver.until_called(1)
    config["callbacks"][0]["timeout_seconds"] = PATIENCE_SECONDS
    async with Server(create_app(config)):
        await receiver.receiver.until_called(2)
    first, second = receiver.receiver.calls
    assert first.webhook_id == second.webhook_id


@pytest.mark.not_on("oceanbase", because="it is too slow for two services at once on two processors")
async def test_two_processes_deliver_each_request_once(config: Config, receiver: Receiving) -> None:
    users = [f"u{n}" for n in range(40)]
    async with Server(create_app(config)) as one, Server(create_app(config)), ClientOf(one) as client:
        await asyncio.gather(*[open_users(client, user) for user in users])
        await eventually(lambda: receiver.receiver.received().total() == len(users))
    assert len({call.webhook_id for call in receiver.receiver.calls}) == len(receiver.receiver.calls)
