"""Holds that expire while no order touches their account: they end by themselves, once, and their end is told."""

import asyncio
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.database.database import Database
from myaccount.database.times import utc_now
from myaccount.journal import batches as batches_module
from myaccount.journal import hold_ends as hold_ends_module
from myaccount.journal.hold_ends import ExpiredHold
from myaccount.listener import hold_sweeper as sweeper_module
from myaccount.main import create_app
from myaccount.model.ledger import account, hold, order
from myaccount.settings.schema import Config

from ..conftest import Client, ClientOf, Server, eventually
from ..helpers.actions import assert_books_balance
from ..helpers.wallets import accounts_of, open_account, post, query_order


async def _holds(database: Database, status: str) -> int:
    count = select(func.count()).select_from(hold).where(hold.c.status == status)
    return await database.read(lambda connection: connection.scalar(count)) or 0


async def _messages(client: Any, user_id: str) -> list[str]:
    async with client.get("/messages", params={"userId": user_id, "messageType": "hold_expired"}) as response:
        return [row["BODY"]["orderId"] for row in (await response.json())["result"]]


async def _make_expired_holds(client: Client, database: Database, count: int, lasting: int = 0) -> None:
    """Make holds of 0.01 of one account, which have expired already, and others that are `lasting`."""
    await open_account(client, "u1", "a1")
    await post(client, "/recharge", orderId="r1", userId="u1", amount="100")
    moment = utc_now() - timedelta(seconds=1)

    async def work(connection: AsyncConnection) -> None:
        key = await connection.scalar(select(account.c.id).where(account.c.account_id == "a1"))
        money = {"amount": 1, "order_type": "05", "from_account": key, "to_account": 1, "status": "posted"}
        ids = [f"h{n}" for n in range(count + lasting)]
        await connection.execute(insert(order), [{"order_id": id_, "created_at": moment, **money} for id_ in ids])
        left = {"payer": key, "payee": 1, "remaining": 1, "captured": 0, "status": "held"}
        ends = [moment] * count + [moment + timedelta(days=1)] * lasting
        rows = zip(ids, ends, strict=True)
        holds = [{"order_id": id_, **left, "expires_at": end, "due_at": end} for id_, end in rows]
        await connection.execute(insert(hold), holds)
        await connection.execute(update(account).where(account.c.id == key).values(held=len(ids)))

    await database.write(work)


async def test_a_hold_that_nobody_touches_ends_once_and_is_told_by_one_of_several_processes(
    client: Client, config: Config, database: Database
) -> None:
    config = {**config, "sqlite_file": config["sqlite_file"]}
    async with Server(create_app(config)) as other, ClientOf(other):
        await open_account(client, "u1", "a1")
        await post(client, "/recharge", orderId="r1", userId="u1", amount="100")
        for name in ("h1", "h2"):
            await post(client, "/hold", orderId=name, fromuserId="u1", amount="60" if name == "h1" else "1",
                       expiresIn=1 if name == "h1" else 3600)  # fmt: skip

        async def told() -> bool:
            return await _messages(client, "u1") == ["h1"]

        await eventually(told)
    assert (await query_order(client, "h1"))["STATUS"] == "expired"
    assert (await query_order(client, "h2"))["STATUS"] == "held"
    assert (await _holds(database, "expired"), await _holds(database, "held")) == (1, 1)
    row = (await accounts_of(client, "u1"))["a1"]
    assert (row["HELD"], row["AVAILABLE"]) == ("1.00", "99.00")
    assert await _messages(client, "u1") == ["h1"]
    await assert_books_balance(database)


async def test_many_holds_of_one_account_end_page_by_page(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page is a transaction. An order that touches the account waits for the last; other orders go on."""
    monkeypatch.setattr(batches_module, "EXPIRED_LIMIT", 4)
    monkeypatch.setattr(sweeper_module, "PAGE_LIMIT", 10)
    await open_account(client, "u2", "a2")
    await _make_expired_holds(client, database, 100)
    waiting = asyncio.ensure_future(post(client, "/withdraw", orderId="w1", userId="u1", amount="100"))
    assert (await post(client, "/recharge", orderId="r2", userId="u2", amount="1")).status == 200
    assert (await waiting).status == 200

    async def ended() -> bool:
        return await _holds(database, "expired") == 100

    await eventually(ended)
    await assert_books_balance(database)


@pytest.mark.usefixtures("unswept")
async def test_a_limit_is_set_while_an_expired_hold_still_counts(client: Client, database: Database) -> None:
    """The table's CHECK must see the limit together with what is held."""
    await _make_expired_holds(client, database, 50)
    reason = "a test"
    assert (await post(client, "/limit", accountId="a1", floor="-1", reason=reason)).status == 200
    assert (await post(client, "/withdraw", orderId="w1", userId="u1", amount="100.00")).status == 200
    assert (await post(client, "/limit", accountId="a1", floor="0", reason=reason)).status == 200
    both = (
        post(client, "/limit", accountId="a1", floor="-5", reason=reason),
        post(client, "/withdraw", orderId="w2", userId="u1", amount="5"),
    )
    assert [answer.status for answer in await asyncio.gather(*both)] == [200, 200]
    both = (
        post(client, "/recharge", orderId="r2", userId="u1", amount="5"),
        post(client, "/limit", accountId="a1", floor="0", reason=reason),
    )
    assert [answer.status for answer in await asyncio.gather(*both)] == [200, 200]
    await assert_books_balance(database)


async def test_the_sweeper_goes_on_page_after_page(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper_module, "PAGE_LIMIT", 2)
    # Its pauses are many times as long as a page took.
    monkeypatch.setattr(sweeper_module, "PAUSE_FACTOR", 0)
    await _make_expired_holds(client, database, 7)

    async def told() -> bool:
        return len(await _messages(client, "u1")) == 7

    await eventually(told)
    assert await _holds(database, "expired") == 7
    await assert_books_balance(database)


async def test_the_sweeper_pauses_after_a_page_if_orders_have_come_and_only_then(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: asyncio.Queue[tuple[float, asyncio.Event]] = asyncio.Queue()

    async def sleep(seconds: float) -> None:
        over = asyncio.Event()
        await pauses.put((seconds, over))
        await over.wait()

    monkeypatch.setattr(sweeper_module, "asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(sweeper_module, "PAGE_LIMIT", 2)
    await _make_expired_holds(client, database, 7)
    seconds, over = await pauses.get()
    if seconds == sweeper_module.SWEEP_SECONDS:
        # It had found nothing, before there were any holds.
        over.set()
        seconds, over = await pauses.get()
    # Order r1 had come. No page follows the first until the pause is over.
    assert seconds != sweeper_module.SWEEP_SECONDS
    assert await _holds(database, "expired") == 2
    over.set()
    seconds, over = await pauses.get()
    assert seconds == sweeper_module.SWEEP_SECONDS
    assert await _holds(database, "expired") == 7


def test_a_hold_ends_within_five_seconds() -> None:
    """A sweep each second finds it; dispatch without a queue takes up to four more, and with one a moment."""
    assert sweeper_module.SWEEP_SECONDS <= 1


@pytest.mark.not_on("oceanbase", "foreign", because="its EXPLAIN has another form")
async def test_the_sweeper_s_query_reads_a_range_of_the_index_by_end(client: Client, database: Database) -> None:
    await _make_expired_holds(client, database, 3, lasting=1000)
    second_ago = (utc_now() - timedelta(seconds=2)).isoformat(" ")
    for behind in (None, ExpiredHold(second_ago, 1, "", 1)):
        plan = await database.read(partial(_explain, behind=behind))
        assert any("ix_hold_due_at" in step and ("range" in step or "due_at<?" in step) for step in plan), plan
        # Nothing is sorted: the index has the order, so a page costs no more than its rows.
        assert not any("filesort" in step or "TEMP B-TREE" in step for step in plan), plan


async def _explain(connection: AsyncConnection, behind: ExpiredHold | None) -> list[str]:
    on_sqlite = connection.dialect.name == "sqlite"
    statement, parameters = hold_ends_module._find(behind, 10, on_sqlite=on_sqlite)
    explain = f"EXPLAIN QUERY PLAN {statement}".replace("%s", "?") if on_sqlite else f"EXPLAIN {statement}"
    return list(map(str, await connection.exec_driver_sql(explain, tuple(parameters))))


@pytest.mark.usefixtures("unswept")
async def test_the_money_is_available_without_any_sweeper(client: Client, database: Database) -> None:
    await _make_expired_holds(client, database, 3)
    row = (await accounts_of(client, "u1"))["a1"]
    assert (row["HELD"], row["AVAILABLE"]) == ("0.00", "100.00")
    assert (await query_order(client, "h1"))["STATUS"] == "expired"
    assert (await post(client, "/capture", orderId="c1", holdOrderId="h1")).code == "hold_expired"
