"""Cached account keys are checked against the locked row (promise 10).

A failover to a replica that lost the newest openings may give their keys to other users.
"""

import asyncio
from collections.abc import Collection, Sequence

import pytest
from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.appkeys import journal_key
from myaccount.database.database import Database
from myaccount.journal import posting as posting_module
from myaccount.journal.posting import Posted, Poster
from myaccount.ledger.commands import Command
from myaccount.ledger.references import Reference
from myaccount.model.ledger import account, entry, order, user

from ..conftest import Client
from ..helpers.actions import assert_books_balance, balance, open_users, send, transfer


@pytest.fixture
async def remembered(client: Client, database: Database) -> int:
    """A service that has cached the key of lost1, a user that its database has lost; return the key."""
    await open_users(client, "u1", "u2", "lost1")
    for name in ("u1", "lost1"):
        assert (await send(client, "/recharge", orderId=f"r-{name}", userId=name, amount="100"))[0] == 200
    key = client.app[journal_key]._poster._reader._locator._remembered["lost1"].key

    async def lose(connection: AsyncConnection) -> None:
        await connection.execute(delete(order).where(order.c.to_account == key))
        await connection.execute(delete(entry).where(entry.c.order_id == "r-lost1"))
        await connection.execute(delete(account).where(account.c.id == key))
        await connection.execute(delete(user).where(user.c.user_id == "lost1"))
        await connection.execute(update(account).where(account.c.id == 1).values(balance=-100_00, last_entry=1))

    await database.write(lose)
    return key


@pytest.fixture
async def reused(client: Client, database: Database, remembered: int) -> None:
    """Give the lost key to another user."""
    await open_users(client, "new1")

    async def take_the_key(connection: AsyncConnection) -> None:
        await connection.execute(update(account).where(account.c.user_id == "new1").values(id=remembered))

    await database.write(take_the_key)


async def _assert_lost1_is_unknown(client: Client) -> None:
    recharge = await send(client, "/recharge", orderId="r1", userId="lost1", amount="5")
    paid = await transfer(client, "t1", "lost1", "u1", "5")
    received = await transfer(client, "t2", "u1", "lost1", "5")
    assert (recharge[0], recharge[1]["code"]) == (404, "user_not_found")
    assert (paid[:2], received[:2]) == ((404, "user_not_found"), (404, "user_not_found"))


async def test_money_for_a_lost_user_never_reaches_the_new_owner_of_the_key(
    client: Client, database: Database, reused: None
) -> None:
    await _assert_lost1_is_unknown(client)
    assert await balance(client, "new1") == "0.00"
    await assert_books_balance(database)


async def test_a_lost_user_does_not_spend_the_money_of_the_new_owner(
    client: Client, database: Database, reused: None
) -> None:
    assert (await send(client, "/recharge", orderId="r-new1", userId="new1", amount="7"))[0] == 200
    assert (await transfer(client, "t1", "lost1", "u1", "5"))[:2] == (404, "user_not_found")
    assert await balance(client, "new1") == "7.00"
    await assert_books_balance(database)


async def test_an_order_of_the_new_owner_is_no_replay_for_the_lost_user(
    client: Client, reused: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting_module, "LOOK_UP_SECONDS", 3600)
    new = {"orderId": "r-new1", "userId": "new1", "amount": "7"}
    assert [(await send(client, "/recharge", **new))[2] for _ in range(3)] == [False, True, True]
    status, body, replayed = await send(client, "/recharge", **new | {"userId": "lost1"})
    assert (status, body["code"], replayed) == (422, "order_mismatch", False)


async def test_a_key_that_no_longer_exists_is_looked_up_again(client: Client, remembered: int) -> None:
    await _assert_lost1_is_unknown(client)


async def test_it_is_looked_up_again_in_the_same_transaction(
    client: Client, remembered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = Poster.post
    blocked: list[Collection[Reference]] = []

    async def seen(poster: Poster, commands: Sequence[Command], *, wait: bool = True) -> Posted:
        posted = await post(poster, commands, wait=wait)
        blocked.append(posted.blocked)
        return posted

    monkeypatch.setattr(Poster, "post", seen)
    await _assert_lost1_is_unknown(client)
    assert len(blocked) == 3
    assert not any(blocked)


async def test_a_user_that_was_opened_again_is_found_under_the_new_key(
    client: Client, database: Database, reused: None
) -> None:
    await open_users(client, "lost1")
    assert (await send(client, "/recharge", orderId="r1", userId="lost1", amount="5"))[0] == 200
    assert (await balance(client, "lost1"), await balance(client, "new1")) == ("5.00", "0.00")
    await assert_books_balance(database)


async def test_the_other_orders_of_the_batch_are_posted(client: Client, database: Database, reused: None) -> None:
    orders = [transfer(client, f"t{n}", "u1", ("u2", "lost1", "new1")[n % 3], "1") for n in range(9)]
    answers = [answer[:2] for answer in await asyncio.gather(*orders)]
    assert answers == [(200, "posted"), (404, "user_not_found"), (200, "posted")] * 3
    assert [await balance(client, name) for name in ("u1", "u2", "new1")] == ["94.00", "3.00", "3.00"]
    await assert_books_balance(database)
