"""Openings while another transaction holds the row of a user or of a team. SQLite has one writer at a time."""

import asyncio
from collections.abc import Awaitable

import pytest
from sqlalchemy import select

from myaccount.database.database import Database
from myaccount.database.times import utc_now
from myaccount.journal import blocked as blocked_module
from myaccount.journal.batches import BatchConnection
from myaccount.journal.openings import open_accounts
from myaccount.journal.posting import run_batch
from myaccount.journal.writer import Journal
from myaccount.ledger.outcomes import Outcome
from myaccount.ledger.state import Known, State
from myaccount.model.ledger import user

from ..conftest import Client, Section
from ..helpers.actions import assert_books_balance, open_users, send, transfer
from ..helpers.holding import Holding
from ..helpers.journals import addition, ignore_event
from ..helpers.wallets import Answer, add_account, balances, post

POSTED = (200, "posted", False)
# Longer than any test waits for a lock.
WAIT = 60_000


@pytest.fixture
def backend(mysql_section: Section) -> Section:
    return {"mysql": mysql_section}


@pytest.fixture
async def users(client: Client) -> Client:
    await open_users(client, "u1", "u2", "u3")
    for user_id in ("u1", "u2", "u3"):
        assert (await send(client, "/recharge", orderId=f"r-{user_id}", userId=user_id, amount="100"))[0] == 200
    assert (await send(client, "/team", teamId="t1", teamName="T"))[0] == 200
    return client


async def _open(client: Client, user_id: str, **fields: str) -> Answer:
    opened = {"userId": user_id, "userName": "N", "sex": "F", "cardNum": "6222", "accountId": f"a-{user_id}"}
    return await post(client, "/openacc", **opened, accountType="01", **fields)


def _row(table: str, id_: str) -> str:
    return f"SELECT id FROM {table} WHERE {table}_id = '{id_}' FOR UPDATE"


def _later(awaitable: Awaitable[Answer]) -> "asyncio.Future[Answer]":
    return asyncio.ensure_future(awaitable)


async def test_only_additions_to_the_locked_user_wait(users: Client, holding: Holding) -> None:
    async with holding(_row("user", "u3")):
        waiting = [_later(add_account(users, "u3", f"b{n}")) for n in range(2)]
        for n in range(5):
            assert (await _open(users, f"new-{n}")).code == "done"
            assert (await add_account(users, "u1", f"c{n}")).code == "done"
            # Its money is not locked.
            assert await transfer(users, f"t{n}", "u3", f"new-{n}", "1") == POSTED
        assert (await _open(users, "u3")).replayed
        assert not any(addition.done() for addition in waiting)
    assert [answer.code for answer in await asyncio.gather(*waiting)] == ["done"] * 2
    assert list(await balances(users, "u3")) == ["a-u3", "b0", "b1"]


async def test_only_openings_with_the_locked_team_and_their_orders_wait(
    users: Client, holding: Holding, database: Database
) -> None:
    async with holding(_row("team", "t1")):
        waiting = [_later(_open(users, "u4", teamId="t1"))]
        waiting.append(_later(post(users, "/recharge", orderId="r4", userId="u4", amount="5")))
        waiting.append(_later(add_account(users, "u4", "b4", "JPY")))
        waiting.append(_later(post(users, "/recharge", orderId="r5", accountId="b4", amount="7")))
        for n in range(5):
            assert (await _open(users, f"new-{n}")).code == "done"
            assert await transfer(users, f"t{n}", "u1", "u2", "1") == POSTED
        # What the team does not matter for is decided.
        assert (await _open(users, "u1", teamId="t1")).code == "user_exists"
        assert not any(one.done() for one in waiting)
    assert [answer.code for answer in await asyncio.gather(*waiting)] == ["done"] * 4
    assert await balances(users, "u4") == {"a-u4": "5.00", "b4": "7"}
    await assert_books_balance(database)


@pytest.mark.parametrize(("table", "id_"), [("user", "u3"), ("team", "t1")])
async def test_an_opening_that_waited_too_long_is_refused_and_leaves_nothing(
    users: Client, holding: Holding, monkeypatch: pytest.MonkeyPatch, table: str, id_: str
) -> None:
    monkeypatch.setattr(blocked_module, "WAIT_SECONDS", 0.1)
    fields = {"userId": "u3", "accountId": "b3", "accountType": "01", "teamId": "t1"}
    async with holding(_row(table, id_)):
        refused, posted = await asyncio.gather(
            post(users, "/addaccount", **fields), transfer(users, "t1", "u1", "u2", "1")
        )
        assert ((refused.status, refused.code), posted) == ((503, "unavailable"), POSTED)
        assert list(await balances(users, "u3")) == ["a-u3"]
    assert (await post(users, "/addaccount", **fields)).code == "done"


@pytest.mark.not_on("oceanbase", because="its LOCK TABLES locks nothing")
async def test_orders_go_on_while_a_whole_table_is_locked(users: Client, holding: Holding) -> None:
    async with holding("LOCK TABLES user WRITE"):
        waiting = [_later(_open(users, f"new-{n}")) for n in range(3)]
        waiting.append(_later(post(users, "/recharge", orderId="r-new", userId="new-0", amount="1")))
        for n in range(3):
            assert await transfer(users, f"t{n}", "u1", "u2", "1") == POSTED
            # It waits beside the others, without a try of its own.
            waiting.append(_later(_open(users, f"more-{n}")))
        assert not any(opened.done() for opened in waiting)
    assert [answer.code for answer in await asyncio.gather(*waiting)] == ["done"] * 7


async def test_a_user_who_is_being_opened_elsewhere_delays_only_that_opening(
    users: Client, holding: Holding, database: Database
) -> None:
    insert = (
        "INSERT INTO user (user_id, user_name, sex, card_num, created_at)"
        " VALUES ('u4', 'N', 'F', '6222', UTC_TIMESTAMP(6))"
    )
    async with holding(insert):
        opened, *posted = await asyncio.gather(
            _open(users, "u4"), *[transfer(users, f"t{n}", "u1", "u2", "1") for n in range(4)]
        )
    assert ((opened.status, opened.code), posted) == ((503, "unavailable"), [POSTED] * 4)
    names = select(user.c.user_id)
    assert "u4" not in await database.read(lambda connection: connection.scalars(names))
    assert (await _open(users, "u4")).code == "done"


async def test_additions_to_one_user_in_two_processes_wait_for_each_other(
    users: Client, database: Database, another: Database
) -> None:
    """So an account with a lesser key cannot be committed later, and take over as the first of its currency."""
    inserted, may_commit = asyncio.Event(), asyncio.Event()

    async def add_slowly(batch: BatchConnection) -> None:
        opened = await open_accounts(batch, [addition("u1", "b1", "JPY")], wait_milliseconds=WAIT)
        assert opened.outcomes == [Outcome()]
        inserted.set()
        await may_commit.wait()
        await batch.commit(State(Known(keys={}, accounts={}, now=utc_now())), [])

    slow = asyncio.ensure_future(run_batch(another, add_slowly))
    await inserted.wait()
    async with Journal(database, ignore_event) as journal:
        second = asyncio.ensure_future(journal.submit(addition("u1", "b2", "JPY")))
        # Others go on meanwhile.
        assert await journal.submit(addition("u2", "c1")) == Outcome()
        assert not second.done()
        may_commit.set()
        await slow
        assert await second == Outcome()
    assert list(await balances(users, "u1")) == ["a-u1", "b1", "b2"]
