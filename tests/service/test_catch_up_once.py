"""Each message is there once: beside processes of the version before, and however many read and dispatch."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.appkeys import database_key
from myaccount.database.database import Database
from myaccount.journal.writer import Journal
from myaccount.ledger.changes import CHANGE_TYPES, DECLINE, Change
from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import Recharge, Transfer
from myaccount.ledger.references import AccountId
from myaccount.main import create_app
from myaccount.model.inbox import counter, inbox_mark
from myaccount.model.ledger import account, decline
from myaccount.model.outbox import event
from myaccount.settings.schema import Config

from ..conftest import Client, ClientOf, Server
from ..helpers.actions import open_users, send, transfer
from ..helpers.catching_up import eventually_marked, sources, submit
from ..helpers.inboxes import (
    add_team,
    new_message,
    read_inboxes,
    read_page,
    rows_of,
    until_dispatched,
    write,
)
from ..helpers.journals import addition

ONE = Amount(1)


async def _as_the_version_before(connection: AsyncConnection) -> None:
    """Make of all events what that version would have inserted: its changes say nothing of catching up."""
    fields = Change._fields.index("inboxes_catch_up")
    for row in list(await connection.execute(select(event).with_for_update())):
        changes = [change[:fields] for change in json.loads(row.body)]
        await connection.execute(event.update().where(event.c.id == row.id).values(body=json.dumps(changes)))


async def test_events_of_the_version_before_give_their_messages_once(unheard: Client, config: Config) -> None:
    """It made no declines, and the migration has set the marks to the accounts' last entries."""
    database = unheard.app[database_key]
    await open_users(unheard, "u1", "u2")
    async with Journal(database, lambda event_id: None, callback_types=CHANGE_TYPES) as journal:
        await journal.submit(Recharge("r1", "u1", Amount(9)))
        await journal.submit(Transfer("t1", "u1", "u2", ONE))
        await journal.submit(Transfer("d1", "u1", "u2", Amount(99)))
    last = select(account.c.id, account.c.last_entry).where(account.c.user_id.is_not(None))
    marks = insert(inbox_mark).from_select(["account", "number"], last)

    async def as_migrated(connection: AsyncConnection) -> None:
        await _as_the_version_before(connection)
        await connection.execute(decline.delete())
        await connection.execute(account.update().values(last_decline=0))
        await connection.execute(inbox_mark.delete())
        await connection.execute(marks)

    await database.write(as_migrated)
    config["listener"]["enabled"] = True
    app = create_app(config)
    async with Server(app):
        await until_dispatched(app[database_key])
    await submit(database, [Transfer("t2", "u1", "u2", ONE)])
    found = Counter((row.reader_id, row.message_type, row.source_id) for row in await read_inboxes(database))
    assert found == Counter(
        [
            ("u1", "account_opened", "a-u1"), ("u2", "account_opened", "a-u2"), ("u1", "recharge", "r1"),
            ("u1", "transfer_out", "t1"), ("u2", "transfer_in", "t1"), ("u1", DECLINE, "d1"),
            ("u1", "transfer_out", "t2"), ("u2", "transfer_in", "t2"),
        ]
    )  # fmt: skip


@pytest.mark.parametrize("first", ["the event", "the inbox"])
async def test_a_process_of_the_version_before_beside_this_one_gives_no_message_twice(
    unheard: Client, config: Config, first: str
) -> None:
    """Its events tell of entries after the marks, which the inbox meets as well."""
    database = unheard.app[database_key]
    await open_users(unheard, "u1", "u2")
    async with Journal(database, lambda event_id: None, callback_types=CHANGE_TYPES) as journal:
        await journal.submit(addition("u1", "b"))
        await journal.submit(Recharge("r1", "u1", Amount(9)))
        await journal.submit(Transfer("t1", "u1", "u2", ONE))
        await journal.submit(Transfer("t2", "u1", AccountId("b"), ONE))
        await journal.submit(Transfer("d1", "u1", "u2", Amount(99)))
    await database.write(_as_the_version_before)
    if first == "the inbox":
        await read_inboxes(database)
    config["listener"]["enabled"] = True
    async with Server(create_app(config)) as server, ClientOf(server) as client:
        await until_dispatched(client.app[database_key])
        await transfer(client, "t3", "u1", "u2", "0.01")
        page = await read_page(client, userId="u1", pageSize="50")
        rows = await read_inboxes(database)
    assert sorted(sources(page["result"])) == sorted(
        [
            ("account_opened", ""), ("account_added", ""), ("recharge", "r1"), ("decline", "d1"),
            *[(f"transfer_{way}", "t2") for way in ("out", "in")], ("transfer_out", "t1"), ("transfer_out", "t3"),
        ]
    )  # fmt: skip
    assert page["total"] == page["unread"] == 8
    assert Counter(row.message_type for row in rows if row.reader_id == "u2") == Counter(
        {"account_opened": 1, "transfer_in": 2}
    )
    await eventually_marked(database, {"a-u1": 4, "b": 1, "a-u2": 2}, {"a-u1": 1})


async def test_messages_that_a_process_of_the_version_before_has_written_are_passed(unheard: Client) -> None:
    """It has dispatched its events itself, and set no marks."""
    database = unheard.app[database_key]
    await open_users(unheard, "u1", "u2")
    await send(unheard, "/recharge", orderId="r1", userId="u1", amount="9")
    await write(
        database,
        new_message("u1", "", "account_opened")._replace(source_id="a-u1"),
        new_message("u1", "", "recharge")._replace(source_id="r1"),
    )
    await transfer(unheard, "t1", "u1", "u2", "1")
    page = await read_page(unheard, userId="u1")
    assert [row["MESSAGE_TYPE"] for row in reversed(page["result"])] == [
        "account_opened",
        "recharge",
        "transfer_out",
    ]
    assert page["total"] == page["unread"] == 3
    assert [(row.own, row.total) for row in await rows_of(database, counter) if row.reader_id == "u1"] == [
        (1, 1)
    ] * 3
    await eventually_marked(database, {"a-u1": 2})


async def test_however_many_read_and_dispatch_at_once_each_message_is_there_once_and_in_order(
    client: Client, config: Config, database: Database
) -> None:
    users = [f"u{n}" for n in range(6)]
    await open_users(client, *users)
    await add_team(database, "t", *users[:2])
    for user in users:
        fields = {"userId": user, "accountId": f"b-{user}", "accountType": "1"}
        await send(client, "/addaccount", **fields, **({"teamId": "t"} if user == "u5" else {}))
        for of_user in ("a", "b"):
            await send(
                client, "/recharge", orderId=f"r-{of_user}-{user}", accountId=f"{of_user}-{user}", amount="500"
            )
    config["callbacks"] = [
        {"url": "http://127.0.0.1:9/", "events": ["transfer"], "timeout_seconds": 5.0, "trust_env": False}
    ]
    reading = True

    async def pay(who: Client, name: str) -> None:
        for n in range(30):
            payer, payee = users[n % 6], users[(n * 5 + 1) % 6]
            first, second = ("a", "b") if n % 2 else ("b", "a")
            order = {"fromaccountId": f"{first}-{payer}", "toaccountId": f"{second}-{payee}", "amount": "1"}
            path = "/hold" if n % 7 == 0 else "/transfer"
            # Every fifth is declined.
            order["amount"], expected = ("5000", 409) if n % 5 == 3 else ("1", 200)
            assert (await send(who, path, orderId=f"{name}{n}", **order))[0] == expected

    async def read(who: Client, user: str) -> None:
        while reading:
            page = await read_page(who, userId=user, pageSize="5")
            assert page["total"] == page["unread"]

    async with Server(create_app(config | {"port": 0})) if "mysql" in config else Nothing(client) as server:
        other = ClientOf(server) if "mysql" in config else client
        readers = [asyncio.ensure_future(read(who, user)) for who in (client, other) for user in users[:4]]
        await asyncio.gather(*[pay(who, name) for who, name in zip((client, other) * 3, "abcdef", strict=True)])
        reading = False
        await asyncio.gather(*readers)
        await until_dispatched(database)
        rows = await read_inboxes(database)
        if other is not client:
            await other.close()
    assert_exactly_once(rows, await rows_of(database, counter), 6 * 30, users)


class Nothing:
    """Embedded, one process has the file."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def __aenter__(self) -> Any:
        return self._client.server

    async def __aexit__(self, *error: object) -> None: ...


def assert_exactly_once(rows: Sequence[Any], counters: Sequence[Any], orders: int, users: Sequence[str]) -> None:
    own = [row for row in rows if not row.team_id]
    assert set(Counter((row.reader_id, row.message_type, row.source_id) for row in own).values()) == {1}
    kinds = Counter(row.message_type for row in own)
    assert kinds["transfer_out"] == kinds["transfer_in"] == orders - kinds["hold"] - kinds["decline"]
    assert kinds["decline"] == orders // 5
    counted = Counter((row.reader_id, row.team_id, row.message_type, row.own) for row in rows)
    assert counted == {(c.reader_id, c.team_id, c.message_type, c.own): c.total for c in counters}
    numbers: dict[str, list[int]] = defaultdict(list)
    for row in sorted(own, key=lambda row: row.id):
        body = json.loads(row.body)
        if row.message_type in ("recharge", "transfer_in", "transfer_out"):
            numbers[body["accountId"]].append(body["entry"])
        if row.message_type == "decline":
            # It comes after the entries that were there by then, and before the next.
            assert numbers[body["accountId"]][-1:] == [body["entry"]]
    assert len(numbers) == 2 * len(users)
    for found in numbers.values():
        assert found == list(range(1, len(found) + 1))
