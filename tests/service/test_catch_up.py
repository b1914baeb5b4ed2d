"""Inboxes get the messages about entries from the entries: when they are read, and when many have gathered."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.appkeys import database_key
from myaccount.database import freshness
from myaccount.database.database import Database
from myaccount.inbox import catch_up as catch_up_module
from myaccount.inbox import missing_messages
from myaccount.inbox.catch_up import CatchUp
from myaccount.inbox.entry_messages import read_entry_messages
from myaccount.inbox.marks import FOUND_LIMIT
from myaccount.inbox.recipients import messages_to_users
from myaccount.inbox.writing import NewMessage, leave_out_written
from myaccount.journal.writer import Journal
from myaccount.ledger.changes import CATCH_UP_ENTRIES, CHANGE_TYPES, DECLINE, Change
from myaccount.ledger.commands import Command
from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import Recharge, Transfer
from myaccount.ledger.references import AccountId
from myaccount.main import create_app
from myaccount.model.inbox import counter, inbox_mark, message
from myaccount.model.ledger import account
from myaccount.model.outbox import event
from myaccount.outbox import fan_out as fan_out_module
from myaccount.settings.schema import Config

from ..conftest import Client, ClientOf, Section, Server, eventually
from ..helpers.actions import open_users, send, transfer
from ..helpers.holding import Holding
from ..helpers.inboxes import (
    Row,
    add_team,
    new_message,
    post_json,
    read_inboxes,
    read_page,
    rows_of,
    until_dispatched,
    write,
)
from ..helpers.journals import addition
from ..helpers.statements import statements_by_request
from ..helpers.wallets import Forgetful

ONE = Amount(1)
CATCH_UP = CATCH_UP_ENTRIES


@pytest.fixture
async def unheard(config: Config) -> AsyncIterator[Client]:
    """A service that dispatches no events: inboxes get messages only when they are read."""
    config["listener"]["enabled"] = False
    async with Server(create_app(config)) as server, ClientOf(server) as client:
        yield client


def _sources(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return types and orders, oldest first."""
    return [(row["MESSAGE_TYPE"], row["BODY"].get("orderId", "")) for row in reversed(rows)]


async def _changes(database: Database) -> list[tuple[Change, Any]]:
    """Return the changes of all events, and the events' times."""
    return [
        (Change(*row), kept.created_at) for kept in await rows_of(database, event) for row in json.loads(kept.body)
    ]


async def _submit(database: Database, commands: Sequence[Command]) -> None:
    async with Journal(database, lambda event_id: None) as journal:
        await asyncio.gather(*map(journal.submit, commands))


async def test_an_inbox_that_is_read_has_a_message_about_every_entry(unheard: Client) -> None:
    await open_users(unheard, "u1", "u2")
    await send(unheard, "/recharge", orderId="r1", userId="u1", amount="9")
    assert _sources((await read_page(unheard, userId="u1"))["result"]) == [
        ("account_opened", ""),
        ("recharge", "r1"),
    ]
    await transfer(unheard, "t1", "u1", "u2", "4")
    page = await read_page(unheard, userId="u2")
    assert _sources(page["result"]) == [("account_opened", ""), ("transfer_in", "t1")]
    assert (page["total"], page["unread"]) == (2, 2)
    status, reply = await post_json(unheard, "/messages/read", {"userId": "u1", "upTo": 10**9})
    assert (status, reply["marked"]) == (200, 3)


async def test_messages_from_entries_say_what_events_would_have_said(backend: Section, config: Config) -> None:
    """Of every kind of order, to the letter."""
    config["listener"]["enabled"] = False
    config["callbacks"] = [{"url": "http://127.0.0.1:9/", "events": list(CHANGE_TYPES)}]  # type: ignore[typeddict-item]
    app = create_app(config)
    async with Server(app) as server, ClientOf(server) as client:
        await open_users(client, "u1", "u2")
        yen = {"accountId": "yen", "accountType": "01", "currency": "JPY"}
        orders: list[tuple[str, dict[str, str]]] = [
            ("/addaccount", {"userId": "u1", **yen}),
            (
                "/recharge",
                {"orderId": "r1", "userId": "u1", "amount": "100", "note": "工资 \\ 'x'", "reference": "R"},
            ),
            ("/recharge", {"orderId": "r2", "accountId": "yen", "amount": "70"}),
            ("/hold", {"orderId": "h1", "fromuserId": "u1", "touserId": "u2", "amount": "30"}),
            ("/hold", {"orderId": "h2", "fromuserId": "u1", "amount": "5"}),
            ("/transfer", {"orderId": "t1", "fromuserId": "u1", "touserId": "u2", "amount": "1.5", "note": "n"}),
            ("/capture", {"orderId": "c1", "holdOrderId": "h1", "amount": "10"}),
            ("/capture", {"orderId": "c2", "holdOrderId": "h1", "amount": "3", "final": "true", "reference": "x"}),
            ("/capture", {"orderId": "c3", "holdOrderId": "h2"}),
            ("/refund", {"orderId": "f1", "originalOrderId": "t1", "amount": "0.5"}),
            ("/refund", {"orderId": "f2", "originalOrderId": "r2", "amount": "7"}),
            ("/refund", {"orderId": "f3", "originalOrderId": "c1"}),
            ("/withdraw", {"orderId": "w1", "userId": "u2", "amount": "0.25"}),
        ]
        for path, fields in orders:
            status, body, _ = await send(client, path, **fields)
            assert status == 200, (path, body)
        changes = [(change, at) for change, at in await _changes(app[database_key]) if change.has_entries]
        names = {"u1": "N", "u2": "N"}
        expected = {
            (told.message.reader_id, told.message.message_type, told.message.source_id): told.message
            for change, at in changes
            for told in messages_to_users(change, at, names)
        }
        rows = await read_inboxes(app[database_key])
    assert len(rows) == len(expected) == 18
    for row in rows:
        told = expected[row.reader_id, row.message_type, row.source_id]
        for name in set(told._fields) - {"created_at"}:
            assert getattr(row, name) == getattr(told, name), name
        if row.message_type not in ("account_opened", "account_added"):
            assert row.created_at == told.created_at


async def test_an_event_carries_only_what_entries_do_not_tell(client: Client, database: Database) -> None:
    await add_team(database, "t")
    await open_users(client, "u1", "u2")
    watched = {"userId": "w", "userName": "W", "sex": "F", "cardNum": "1", "accountId": "w", "accountType": "1"}
    await send(client, "/openacc", **watched, teamId="t")
    await until_dispatched(database)
    announced: list[int] = []
    published: list[set[str]] = []

    async def told(*commands: Command) -> list[str]:
        del announced[:]
        publish = published.append
        async with Journal(database, announced.append, publish) as journal:  # type: ignore[arg-type]
            await asyncio.gather(*map(journal.submit, commands))
        bodies = await database.read(lambda c: c.execute(select(event.c.body).where(event.c.id.in_(announced))))
        found = [Change(*row).source_id for body in bodies.scalars() for row in json.loads(body)]
        await database.write(lambda c: c.execute(event.delete()))
        return found

    assert await told(Recharge("r1", "u1", Amount(400)), Transfer("t1", "u1", "u2", ONE)) == []
    assert (announced, published) == ([], [{"u1", "u2"}])
    assert await told(Transfer("d1", "u2", "u1", Amount(500)), Transfer("t2", "u1", "w", ONE)) == ["d1", "t2"]
    # u1 has three entries, and its entry 256 is told of.
    many = [Transfer(f"m{n}", "u1", "u2", ONE) for n in range(4, CATCH_UP + 2)]
    assert await told(*many) == ["m256"]


async def test_who_follows_an_inbox_hears_of_entries_whose_commit_got_no_answer(
    unheard: Client, database: Database
) -> None:
    """The batch that is decided again has no new entries, and no sweeper finds these."""
    await open_users(unheard, "u1", "u2")
    heard: set[str] = set()

    def publish(readers: Collection[str]) -> None:
        heard.update(readers)

    async with Journal(Forgetful(database), lambda event_id: None, publish) as journal:
        await asyncio.gather(
            journal.submit(Recharge("r1", "u1", Amount(4))), journal.submit(Transfer("t1", "u1", "u2", ONE))
        )
    assert heard == {"u1", "u2"}


async def test_an_inbox_that_nobody_reads_is_caught_up_after_many_entries(
    client: Client, database: Database
) -> None:
    await open_users(client, "u1")
    await until_dispatched(database)
    await _submit(database, [Recharge(f"r{n}", "u1", ONE) for n in range(1, CATCH_UP + 6)])
    await eventually_marked(database, {"a-u1": CATCH_UP})
    counts = await rows_of(database, counter)
    assert {(row.message_type, row.total, row.unread) for row in counts} == {
        ("account_opened", 1, 1),
        ("recharge", CATCH_UP, CATCH_UP),
    }


async def eventually_marked(database: Database, expected: dict[str, int]) -> None:
    marks = select(account.c.account_id, inbox_mark.c.number).join_from(
        account, inbox_mark, inbox_mark.c.account == account.c.id
    )

    async def marked() -> bool:
        rows = await database.read(lambda connection: connection.execute(marks))
        return {row.account_id: row.number for row in rows} == expected

    await eventually(marked)


async def test_a_message_that_is_no_entry_s_comes_after_those_about_the_entries_before_it(
    unheard: Client, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the inbox is so far behind that it takes several transactions."""
    for name in ("MESSAGES_LIMIT", "EMBEDDED_MESSAGES_LIMIT"):
        monkeypatch.setattr(catch_up_module, name, 3)
    await open_users(unheard, "u1", "u2")
    await send(unheard, "/recharge", orderId="r1", userId="u1", amount="9")
    await send(unheard, "/hold", orderId="h1", fromuserId="u1", amount="2")
    for n in range(1, 8):
        await transfer(unheard, f"t{n}", "u1", "u2", "1")
    assert (await transfer(unheard, "d1", "u1", "u2", "99"))[0] == 409
    config["listener"]["enabled"] = True
    async with Server(create_app(config)) as server, ClientOf(server) as client:
        await until_dispatched(client.app[database_key])
        rows = (await read_page(client, userId="u1"))["result"]
    transfers = [("transfer_out", f"t{n}") for n in range(1, 8)]
    expected = [("account_opened", ""), ("recharge", "r1"), ("hold", "h1"), *transfers, ("decline", "d1")]
    assert Counter(_sources(rows)) == Counter(expected)
    # The event of the hold may be dispatched together with that of the decline.
    assert [source for source in _sources(rows) if source[0] != "hold"] == [e for e in expected if e[0] != "hold"]


async def test_the_accounts_of_one_reader_are_caught_up_in_the_order_of_time(
    unheard: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MESSAGES_LIMIT", "EMBEDDED_MESSAGES_LIMIT"):
        monkeypatch.setattr(catch_up_module, name, 4)
    await open_users(unheard, "u1")
    for name in ("b", "c"):
        await send(unheard, "/addaccount", userId="u1", accountId=name, accountType="01")
    accounts = ["a-u1", "a-u1", "b", "a-u1", "c", "b", "a-u1", "a-u1", "a-u1", "b", "a-u1", "a-u1", "c", "a-u1"]
    for n, account_id in enumerate(accounts):
        await send(unheard, "/recharge", orderId=f"r{n}", accountId=account_id, amount="1")
    rows = (await read_page(unheard, userId="u1", messageType="recharge", pageSize="50"))["result"]
    numbers = [int(row["BODY"]["orderId"][1:]) for row in reversed(rows)]
    assert sorted(numbers) == list(range(len(accounts)))
    # Several orders may have the same time: OceanBase's clock has steps of 10 ms.
    times = [row["CREATE_TIME"] for row in reversed(rows)]
    assert sorted(times) == times
    for account_id in set(accounts):
        of_account = [n for n in numbers if accounts[n] == account_id]
        assert sorted(of_account) == of_account
    assert (await read_page(unheard, userId="u1"))["total"] == len(accounts) + 3


async def test_messages_are_looked_up_only_if_one_is_there_already(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To look them up costs about as much as to write them."""
    looked_up = []

    async def leave_out(connection: AsyncConnection, messages: Sequence[NewMessage]) -> list[NewMessage]:
        looked_up.append(messages)
        return await leave_out_written(connection, messages)

    for module in (catch_up_module, fan_out_module):
        monkeypatch.setattr(module, "leave_out_written", leave_out)
    await open_users(client, "u1")
    # The last of them has an event, which comes to the inbox by itself.
    for n in range(CATCH_UP_ENTRIES):
        await send(client, "/recharge", orderId=f"r{n}", userId="u1", amount="1")
    await until_dispatched(database)
    await send(client, "/recharge", orderId="last", userId="u1", amount="1")
    page = await read_page(client, userId="u1", messageType="recharge")
    assert (page["total"], looked_up) == (CATCH_UP_ENTRIES + 1, [])


@pytest.mark.parametrize("shape", ["account by account", "round robin", "one account first and last"])
async def test_many_accounts_that_are_far_behind_are_caught_up_in_few_transactions(
    unheard: Client, monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    """In the order of time, and no transaction reads much more than it writes."""
    limit, size = 240, 40
    for name in ("MESSAGES_LIMIT", "EMBEDDED_MESSAGES_LIMIT"):
        monkeypatch.setattr(catch_up_module, name, limit)
    await open_users(unheard, "u1")
    database = unheard.app[database_key]
    accounts = [f"b{n}" for n in range(30)]
    await _submit(database, [addition("u1", account_id) for account_id in accounts])
    await read_inboxes(database)
    # Each part is one batch, and so has one time.
    parts = {
        "account by account": [[account_id] * size for account_id in accounts],
        "round robin": [accounts] * size,
        "one account first and last": [["b0"] * size, *[[other] * size for other in accounts[1:]], ["b0"] * size],
    }[shape]
    for n, part in enumerate(parts):
        await _submit(database, [Recharge(f"r{n}-{m}", AccountId(a), ONE) for m, a in enumerate(part)])
    read: list[int] = []
    found = Counter[str]()

    async def counted_read(connection: AsyncConnection, ranges: Any) -> Any:
        messages = await read_entry_messages(connection, ranges)
        read.append(len(messages))
        return messages

    async def counted_write(work: Any) -> Any:
        done = await original(work)
        found["transactions"] += 1
        found["written"] += done.messages
        assert done.messages <= limit
        return done

    original = database.write
    monkeypatch.setattr(missing_messages, "read_entry_messages", counted_read)
    monkeypatch.setattr(database, "write", counted_write)
    await CatchUp(database).inbox("u1")
    entries = sum(map(len, parts))
    assert found["written"] == entries
    # The last finds nothing.
    assert found["transactions"] <= entries // (limit // 2) + 2
    assert len(read) <= 6 * found["transactions"]
    assert sum(read) <= 3 * entries
    rows = sorted(await read_inboxes(database), key=lambda row: row.id)
    recharges = [row.source_id for row in rows if row.message_type == "recharge"]
    batches = [int(order_id[1:].partition("-")[0]) for order_id in recharges]
    assert batches == sorted(batches)


async def test_the_first_page_of_an_inbox_that_was_never_read_is_quick_work(unheard: Client) -> None:
    database = unheard.app[database_key]
    await open_users(unheard, "u1", "u2")
    await _submit(
        database,
        [Recharge("r", "u1", Amount(10_000)), *[Transfer(f"t{n}", "u1", "u2", ONE) for n in range(9_999)]],
    )
    with statements_by_request() as sent:
        async with unheard.get(
            "/messages", params={"userId": "u1"}, headers={"X-Request-ID": "first"}
        ) as response:
            page = await response.json()
    assert (page["total"], len(page["result"])) == (10_001, 12)
    assert page["result"][0]["BODY"]["entry"] == 10_000
    commits = [
        statement for statements in sent.values() for statement in statements if "COMMIT" in statement.upper()
    ]
    limit = catch_up_module.EMBEDDED_MESSAGES_LIMIT if database.embedded else catch_up_module.MESSAGES_LIMIT
    assert 10_001 // limit <= len(commits) <= 3 * (10_001 // limit + 3)


async def test_an_inbox_that_is_not_behind_costs_one_query_for_many_readers(
    unheard: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_users(unheard, "u1", "u2", "u3")
    database = unheard.app[database_key]
    await read_inboxes(database)
    catch_up = CatchUp(database)
    reads = 0
    original = database.read

    async def read(work: Any, **options: Any) -> Any:
        nonlocal reads
        reads += 1
        return await original(work, **options)

    async def write(work: Any) -> Any:
        raise AssertionError("nothing is to be written")

    monkeypatch.setattr(database, "read", read)
    monkeypatch.setattr(database, "write", write)
    await asyncio.gather(*[catch_up.inbox(f"u{n % 3 + 1}") for n in range(30)])
    assert reads <= 2


async def test_each_of_many_readers_is_caught_up_however_many_accounts_they_have(unheard: Client) -> None:
    """Together more than one query finds, and one of them alone has more than that."""
    users = [f"u{n}" for n in range(40)]
    await open_users(unheard, *users)
    database = unheard.app[database_key]
    owners = [*users * 2, *["u0"] * FOUND_LIMIT]
    additions = [addition(user, f"b{n}") for n, user in enumerate(owners)]
    await _submit(database, additions)
    await read_inboxes(database)
    await _submit(database, [Recharge(f"r{n}", AccountId(a.account_id), ONE) for n, a in enumerate(additions)])
    pages = await asyncio.gather(*[read_page(unheard, userId=user, messageType="recharge") for user in users])
    assert [page["total"] for page in pages] == [owners.count(user) for user in users]


async def test_an_inbox_that_is_far_behind_delays_no_reader_of_another(
    unheard: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MESSAGES_LIMIT", "EMBEDDED_MESSAGES_LIMIT"):
        monkeypatch.setattr(catch_up_module, name, 3)
    await open_users(unheard, "u1", "u2")
    database = unheard.app[database_key]
    await read_inboxes(database)
    await _submit(database, [Recharge(f"r{n}", "u1", ONE) for n in range(10)])
    catch_up = CatchUp(database)
    begun, others_are_done = asyncio.Event(), asyncio.Event()
    original = database.write

    async def write(work: Any) -> Any:
        if begun.is_set():
            await others_are_done.wait()
        begun.set()
        return await original(work)

    monkeypatch.setattr(database, "write", write)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(catch_up.inbox("u1"))
        await begun.wait()
        await catch_up.inbox("u2")
        others_are_done.set()
    page = await read_page(unheard, userId="u1", messageType="recharge")
    assert page["total"] == 10
    await catch_up.close()


@pytest.fixture(params=["skips locked rows", "does not skip them"])
def skipping(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server as it is, or one that would be taken for TiDB."""
    if request.param == "does not skip them":
        monkeypatch.setattr(freshness, "TIDB_MODE", "max_allowed_packet")


@pytest.mark.parametrize("backend", ["mariadb"], indirect=True)
async def test_an_inbox_that_another_program_has_locked_delays_only_its_own_readers(
    skipping: None, unheard: Client, holding: Holding
) -> None:
    await open_users(unheard, "u1", "u2")
    for user in ("u1", "u2"):
        await send(unheard, "/recharge", orderId=f"r-{user}", userId=user, amount="9")
    with holding("SELECT id FROM user WHERE user_id = 'u1' FOR UPDATE"):
        found = await asyncio.gather(*[_status(unheard, user) for user in ("u1", "u2") * 5])
    assert found == [503, 200] * 5
    assert await _status(unheard, "u1") == 200


@pytest.mark.parametrize("backend", ["mariadb"], indirect=True)
async def test_a_reader_whose_inbox_is_far_behind_does_not_wait_for_a_locked_one(
    skipping: None, unheard: Client, holding: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = ("u1", "u2", "u3")
    await open_users(unheard, *users)
    database = unheard.app[database_key]
    await read_inboxes(database)
    monkeypatch.setattr(catch_up_module, "MESSAGES_LIMIT", 3)
    await _submit(database, [Recharge(f"r{n}-{user}", user, ONE) for n in range(10) for user in users])
    original, others_are_done = CatchUp._write, asyncio.Event()

    async def write(self: CatchUp, reader_ids: set[str], *, wait: bool) -> Any:
        if wait:
            await others_are_done.wait()
        return await original(self, reader_ids, wait=wait)

    monkeypatch.setattr(CatchUp, "_write", write)
    catch_up = CatchUp(database)
    with holding("SELECT id FROM user WHERE user_id = 'u1' FOR UPDATE"):
        locked = asyncio.ensure_future(catch_up.inbox("u1"))
        async with asyncio.timeout(30):
            await asyncio.gather(catch_up.inbox("u2"), catch_up.inbox("u3"))
    others_are_done.set()
    await locked
    recharges = [row.reader_id for row in await rows_of(database, message) if row.message_type == "recharge"]
    assert Counter(recharges) == dict.fromkeys(users, 10)


async def _status(client: Client, user_id: str) -> int:
    async with client.get("/messages", params={"userId": user_id}) as response:
        return response.status


async def _as_the_version_before(connection: AsyncConnection) -> None:
    """Make of all events what that version would have inserted: its changes say nothing of entries."""
    for row in list(await connection.execute(select(event).with_for_update())):
        changes = [change[:-1] for change in json.loads(row.body)]
        await connection.execute(event.update().where(event.c.id == row.id).values(body=json.dumps(changes)))


async def test_events_of_the_version_before_give_their_messages_once(client: Client, database: Database) -> None:
    """Its changes say nothing of entries, and the migration has set the marks to the accounts' last entries."""
    await open_users(client, "u1", "u2")
    await until_dispatched(database)
    async with Journal(database, lambda event_id: None, callback_types=CHANGE_TYPES) as journal:
        await journal.submit(Recharge("r1", "u1", Amount(9)))
        await journal.submit(Transfer("t1", "u1", "u2", ONE))
        await journal.submit(Transfer("d1", "u1", "u2", Amount(99)))
    last = select(account.c.id, account.c.last_entry).where(account.c.user_id.is_not(None))
    marks = insert(inbox_mark).from_select(["account", "number"], last)

    async def as_migrated(connection: AsyncConnection) -> None:
        await _as_the_version_before(connection)
        await connection.execute(inbox_mark.delete())
        await connection.execute(marks)

    await database.write(as_migrated)
    await until_dispatched(database)
    await _submit(database, [Transfer("t2", "u1", "u2", ONE)])
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
    assert sorted(_sources(page["result"])) == sorted(
        [
            ("account_opened", ""), ("account_added", ""), ("recharge", "r1"), ("decline", "d1"),
            *[(f"transfer_{way}", "t2") for way in ("out", "in")], ("transfer_out", "t1"), ("transfer_out", "t3"),
        ]
    )  # fmt: skip
    assert page["total"] == page["unread"] == 8
    assert Counter(row.message_type for row in rows if row.reader_id == "u2") == Counter(
        {"account_opened": 1, "transfer_in": 2}
    )
    await eventually_marked(database, {"a-u1": 4, "b": 1, "a-u2": 2})


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
            assert (await send(who, path, orderId=f"{name}{n}", **order))[0] == 200

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
    assert kinds["transfer_out"] == kinds["transfer_in"] == orders - kinds["hold"]
    counted = Counter((row.reader_id, row.team_id, row.message_type, row.own) for row in rows)
    assert counted == {(c.reader_id, c.team_id, c.message_type, c.own): c.total for c in counters}
    numbers: dict[str, list[int]] = defaultdict(list)
    for row in sorted(own, key=lambda row: row.id):
        if row.message_type in ("recharge", "transfer_in", "transfer_out"):
            body = json.loads(row.body)
            numbers[body["accountId"]].append(body["entry"])
    assert len(numbers) == 2 * len(users)
    for found in numbers.values():
        assert found == list(range(1, len(found) + 1))
