"""Catching up takes few transactions and queries, and one inbox delays no reader of another."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.appkeys import database_key
from myaccount.database import freshness
from myaccount.database.statements import Bound
from myaccount.inbox import catch_up as catch_up_module
from myaccount.inbox import missing_messages
from myaccount.inbox.catch_up import CatchUp
from myaccount.inbox.marks import FOUND_LIMIT
from myaccount.inbox.row_messages import read_row_messages
from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import Recharge, Transfer, Withdraw
from myaccount.ledger.references import AccountId
from myaccount.model.inbox import message

from ..conftest import Client
from ..helpers.actions import open_users, send
from ..helpers.catching_up import submit
from ..helpers.holding import Holding
from ..helpers.inboxes import (
    read_inboxes,
    read_page,
    rows_of,
)
from ..helpers.journals import addition
from ..helpers.statements import statements_by_request

ONE = Amount(1)


@pytest.mark.parametrize(
    "shape", ["account by account", "round robin", "one account first and last", "declines alone", "in turn"]
)
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
    await submit(database, [addition("u1", account_id) for account_id in accounts])
    await read_inboxes(database)
    # Each part is one batch, and so has one time.
    parts = {
        "account by account": [[account_id] * size for account_id in accounts],
        "round robin": [accounts] * size,
        "declines alone": [accounts] * size,
        "in turn": [[account_id] * size for account_id in accounts],
        "one account first and last": [["b0"] * size, *[[other] * size for other in accounts[1:]], ["b0"] * size],
    }[shape]

    def order(n: int, m: int, account_id: str) -> Recharge | Withdraw:
        if shape == "declines alone" or (shape == "in turn" and m % 2):
            return Withdraw(f"r{n}-{m}", AccountId(account_id), Amount(1000))
        return Recharge(f"r{n}-{m}", AccountId(account_id), ONE)

    for n, part in enumerate(parts):
        await submit(database, [order(n, m, account_id) for m, account_id in enumerate(part)])
    read: list[int] = []
    found = Counter[str]()

    async def counted_read(connection: AsyncConnection, ranges: Any) -> Any:
        messages = await read_row_messages(connection, ranges)
        read.append(len(messages))
        return messages

    async def counted_write(work: Any) -> Any:
        done = await original(work)
        found["transactions"] += 1
        found["written"] += done.messages
        assert done.messages <= limit
        return done

    original = database.write
    monkeypatch.setattr(missing_messages, "read_row_messages", counted_read)
    monkeypatch.setattr(database, "write", counted_write)
    await CatchUp(database).inbox("u1")
    entries = sum(map(len, parts))
    assert found["written"] == entries
    # The last finds nothing.
    assert found["transactions"] <= entries // (limit // 2) + 2
    assert len(read) <= 6 * found["transactions"]
    assert sum(read) <= 3 * entries
    rows = sorted(await read_inboxes(database), key=lambda row: row.id)
    orders = [row.source_id for row in rows if row.message_type in ("recharge", "decline")]
    batches = [int(order_id[1:].partition("-")[0]) for order_id in orders]
    assert batches == sorted(batches)


async def test_the_first_page_of_an_inbox_that_was_never_read_is_quick_work(unheard: Client) -> None:
    database = unheard.app[database_key]
    await open_users(unheard, "u1", "u2")
    await submit(
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
    commits = [statement for statement in sent["first"] if "COMMIT" in statement.upper()]
    limit = catch_up_module.EMBEDDED_MESSAGES_LIMIT if database.embedded else catch_up_module.MESSAGES_LIMIT
    assert 10_001 // limit <= len(commits) <= 3 * (10_001 // limit + 3)


async def test_an_inbox_that_is_not_behind_costs_one_query_for_many_readers(
    unheard: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_users(unheard, "u1", "u2", "u3")
    database = unheard.app[database_key]
    await read_inboxes(database)
    catch_up = CatchUp(database)
    queries = 0
    original = database.query

    async def query(*statements: Bound) -> Any:
        nonlocal queries
        queries += 1
        return await original(*statements)

    async def write(work: Any) -> Any:
        raise AssertionError("nothing is to be written")

    monkeypatch.setattr(database, "query", query)
    monkeypatch.setattr(database, "write", write)
    await asyncio.gather(*[catch_up.inbox(f"u{n % 3 + 1}") for n in range(30)])
    assert 1 <= queries <= 2


async def test_each_of_many_readers_is_caught_up_however_many_accounts_they_have(unheard: Client) -> None:
    """Together more than one query finds, and one of them alone has more than that."""
    users = [f"u{n}" for n in range(40)]
    await open_users(unheard, *users)
    database = unheard.app[database_key]
    owners = [*users * 2, *["u0"] * FOUND_LIMIT]
    additions = [addition(user, f"b{n}") for n, user in enumerate(owners)]
    await submit(database, additions)
    await read_inboxes(database)
    await submit(database, [Recharge(f"r{n}", AccountId(a.account_id), ONE) for n, a in enumerate(additions)])
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
    await submit(database, [Recharge(f"r{n}", "u1", ONE) for n in range(10)])
    catch_up = CatchUp(database)
    begun, others_are_done = asyncio.Event(), asyncio.Event()
    original = database.write

    async def write(work: Any) -> Any:
        if begun.is_set():
            await others_are_done.wait()
        begun.set()
        return await original(work)

    monkeypatch.setattr(database, "write", write)
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
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
    async with holding("SELECT id FROM user WHERE user_id = 'u1' FOR UPDATE"):
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
    await submit(database, [Recharge(f"r{n}-{user}", user, ONE) for n in range(10) for user in users])
    original, others_are_done = CatchUp._write, asyncio.Event()

    async def write(self: CatchUp, reader_ids: set[str], *, wait: bool) -> Any:
        if wait:
            await others_are_done.wait()
        return await original(self, reader_ids, wait=wait)

    monkeypatch.setattr(CatchUp, "_write", write)
    catch_up = CatchUp(database)
    async with holding("SELECT id FROM user WHERE user_id = 'u1' FOR UPDATE"):
        locked = asyncio.ensure_future(catch_up.inbox("u1"))
        async with asyncio.timeout(60):
            await asyncio.gather(catch_up.inbox("u2"), catch_up.inbox("u3"))
    others_are_done.set()
    await locked
    recharges = [row.reader_id for row in await rows_of(database, message) if row.message_type == "recharge"]
    assert Counter(recharges) == dict.fromkeys(users, 10)


async def _status(client: Client, user_id: str) -> int:
    async with client.get("/messages", params={"userId": user_id}) as response:
        return response.status
