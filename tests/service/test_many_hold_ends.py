"""Thousands of holds that end at one moment: from then on every answer and every order sees all of them ended."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.database.database import Database, open_database
from myaccount.database.times import utc_now
from myaccount.journal.hold_ends import ExpiredHold, end_holds, find_expired_holds
from myaccount.ledger.changes import HOLD_EXPIRED, Change
from myaccount.listener import hold_sweeper as sweeper_module
from myaccount.main import create_app
from myaccount.model.ledger import account, hold, order
from myaccount.model.outbox import event
from myaccount.settings.paths import working_path
from myaccount.settings.schema import Config

from ..conftest import Client, ClientOf, Section, Server, eventually
from ..helpers.actions import assert_books_balance
from ..helpers.wallets import accounts_of, open_account, post, query_order

USERS = [f"u{n}" for n in range(40)]
EACH = 50
HOLDS = len(USERS) * EACH
SECOND = timedelta(seconds=1)


@pytest.fixture
def queue() -> Section:
    """No listener, so that the events stay."""
    return {"listener": {"enabled": False}}


@pytest.fixture
async def another(config: Config, database: Database) -> AsyncIterator[Database]:
    async with open_database(config, working_path(config["sqlite_file"])) as another:
        yield another


async def _make_holds(client: Client, database: Database, users: Sequence[str], each: int) -> None:
    """Give each user 1.00, and so many holds of 0.01 that last for a day."""
    for user in users:
        await open_account(client, user, f"a-{user}")
        await post(client, "/recharge", orderId=f"r-{user}", userId=user, amount="1")
    end = utc_now() + timedelta(days=1)

    async def work(connection: AsyncConnection) -> None:
        keys = list((await connection.execute(select(account.c.id).where(account.c.id > 1))).scalars())
        ids = [(f"h-{n}-{key}", key) for n in range(each) for key in keys]
        money = {"amount": 1, "order_type": "05", "to_account": 1, "status": "posted", "created_at": utc_now()}
        rows = [{"order_id": order_id, "from_account": key, **money} for order_id, key in ids]
        await connection.execute(insert(order), rows)
        left = {"payee": 1, "remaining": 1, "captured": 0, "status": "held", "expires_at": end, "due_at": end}
        rows = [{"order_id": order_id, "payer": key, **left} for order_id, key in ids]
        await connection.execute(insert(hold), rows)
        await connection.execute(update(account).where(account.c.id > 1).values(held=each))

    await database.write(work)


async def _let_all_end(database: Database, end: datetime) -> list[str]:
    """Have all holds end then; return the ids."""

    async def work(connection: AsyncConnection) -> list[str]:
        await connection.execute(update(hold).values(expires_at=end, due_at=end))
        return list((await connection.execute(select(hold.c.order_id))).scalars())

    return await database.write(work)


async def _count(database: Database, status: str) -> int:
    count = select(func.count()).select_from(hold).where(hold.c.status == status)
    return await database.read(lambda connection: connection.scalar(count)) or 0


async def _told(database: Database) -> list[str]:
    """Return of which holds events tell that they have expired, as often as they do."""
    bodies = (await database.read(lambda connection: connection.execute(select(event.c.body)))).scalars()
    changes = [Change(*change) for body in bodies for change in json.loads(body)]
    return sorted(change.source_id for change in changes if change.change_type == HOLD_EXPIRED)


async def _find(database: Database, behind: ExpiredHold | None = None, limit: int = 1000) -> list[ExpiredHold]:
    return await database.read(lambda connection: find_expired_holds(connection, behind, limit))


@pytest.mark.usefixtures("unswept")
async def test_at_their_end_every_answer_and_every_order_sees_all_of_them_ended(
    client: Client, database: Database
) -> None:
    await _make_holds(client, database, USERS, EACH)
    assert {(await accounts_of(client, user))[f"a-{user}"]["HELD"] for user in USERS} == {"0.50"}
    holds = await _let_all_end(database, utc_now() + timedelta(seconds=0.5))

    async def has_come() -> bool:
        status: str = (await query_order(client, holds[0]))["STATUS"]
        return status == "expired"

    await eventually(has_come)
    # One after another, so that on a slow machine none waits too long for a connection.
    answers = [await query_order(client, name) for name in holds[::5]]
    assert {(answer["STATUS"], answer["LEFT"]) for answer in answers} == {("expired", "0.00")}
    accounts = [(await accounts_of(client, user))[f"a-{user}"] for user in USERS]
    assert {(row["HELD"], row["AVAILABLE"]) for row in accounts} == {("0.00", "1.00")}
    # None of the rows is changed yet. Orders do not mind.
    assert await _count(database, "held") == HOLDS
    captures = [post(client, "/capture", orderId=f"c-{name}", holdOrderId=name) for name in holds[::29]]
    withdrawals = [post(client, "/withdraw", orderId=f"w-{u}", userId=u, amount="1") for u in USERS]
    assert {answer.code for answer in await asyncio.gather(*captures)} == {"hold_expired"}
    assert {answer.status for answer in await asyncio.gather(*withdrawals)} == {200}
    assert await _count(database, "expired") == HOLDS
    assert await _told(database) == sorted(holds)
    await assert_books_balance(database)


async def test_two_processes_end_thousands_and_tell_of_each_once(
    client: Client, config: Config, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper_module, "PAGE_LIMIT", 50)
    await _make_holds(client, database, USERS, EACH)
    config = {**config, "sqlite_file": config["sqlite_file"]}
    async with Server(create_app(config)) as other, ClientOf(other):
        holds = await _let_all_end(database, utc_now() - SECOND)

        async def ended() -> bool:
            return await _count(database, "expired") == HOLDS

        await eventually(ended)
    assert await _told(database) == sorted(holds)
    assert {(await accounts_of(client, user))[f"a-{user}"]["AVAILABLE"] for user in USERS} == {"1.00"}
    await assert_books_balance(database)


@pytest.mark.usefixtures("unswept")
async def test_one_of_those_who_found_a_hold_ends_it(
    client: Client, database: Database, another: Database
) -> None:
    await _make_holds(client, database, USERS[:5], 20)
    holds = await _let_all_end(database, utc_now() - SECOND)
    found = await _find(database)
    assert len(found) == 100
    await asyncio.gather(*[end_holds(one, found) for one in (database, another) * 3])
    assert (await _count(database, "expired"), await _told(database)) == (100, sorted(holds))
    await assert_books_balance(database)


@pytest.mark.usefixtures("unswept")
async def test_what_was_changed_since_it_was_found_decides(client: Client, database: Database) -> None:
    await _make_holds(client, database, ["u0"], 3)
    captured, extended, expired = await _let_all_end(database, utc_now() + timedelta(hours=1))
    assert (await post(client, "/capture", orderId="c", holdOrderId=captured)).status == 200

    async def work(connection: AsyncConnection) -> list[ExpiredHold]:
        moment = utc_now() - SECOND
        await connection.execute(
            update(hold).where(hold.c.order_id == expired).values(expires_at=moment, due_at=moment)
        )
        columns = (hold.c.id, hold.c.order_id, hold.c.payer)
        return [ExpiredHold("", *row) for row in await connection.execute(select(*columns))]

    await end_holds(database, await database.write(work))
    states = [(await query_order(client, order_id))["STATUS"] for order_id in (captured, extended, expired)]
    assert states == ["captured", "held", "expired"]
    assert (await accounts_of(client, "u0"))["a-u0"]["HELD"] == "0.01"
    assert (await _count(database, "held"), await _count(database, "expired")) == (1, 1)
    await assert_books_balance(database)


@pytest.mark.usefixtures("unswept")
async def test_a_search_goes_on_behind_a_hold_also_among_equal_ends(client: Client, database: Database) -> None:
    await _make_holds(client, database, USERS[:4], 5)
    await _let_all_end(database, utc_now() - SECOND)
    pages = [await _find(database, limit=8)]
    while pages[-1]:
        pages.append(await _find(database, pages[-1][-1], 8))
    assert [len(page) for page in pages] == [8, 8, 4, 0]
    found = [one for page in pages for one in page]
    assert found == sorted(found)
    assert len({one.order_id for one in found}) == 20


async def test_a_hold_that_cannot_be_ended_does_not_keep_the_others(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail_for_one(database: Database, holds: Sequence[ExpiredHold]) -> list[int]:
        if any(one.order_id.startswith("h-3-") for one in holds):
            raise ValueError("of no use")
        return await end_holds(database, holds)

    monkeypatch.setattr(sweeper_module, "end_holds", fail_for_one)
    await _make_holds(client, database, ["u0"], 9)
    await _let_all_end(database, utc_now() - SECOND)

    async def others_ended() -> bool:
        return await _count(database, "expired") == 8

    await eventually(others_ended)
    await eventually(lambda: "was not ended: of no use" in caplog.text)
    assert await _count(database, "held") == 1
