"""Inboxes get the messages about entries and declines from these: when they are read, and when many gathered."""

import asyncio
import json
from collections import Counter
from collections.abc import Collection, Sequence
from random import Random
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.appkeys import database_key
from myaccount.database.database import Database
from myaccount.inbox import catch_up as catch_up_module
from myaccount.inbox.recipients import messages_to_users
from myaccount.inbox.writing import NewMessage, leave_out_written
from myaccount.journal.verification import verify_books
from myaccount.journal.writer import Journal
from myaccount.ledger.changes import CATCH_UP_AFTER, CHANGE_TYPES, Change
from myaccount.ledger.commands import Command
from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import Recharge, Transfer, Withdraw
from myaccount.main import create_app
from myaccount.model.inbox import counter
from myaccount.model.outbox import event
from myaccount.outbox import fan_out as fan_out_module
from myaccount.settings.schema import Config

from ..conftest import Client, ClientOf, Section, Server
from ..helpers.actions import open_users, send, transfer
from ..helpers.catching_up import eventually_marked, sources, submit
from ..helpers.inboxes import (
    add_team,
    post_json,
    read_inboxes,
    read_page,
    rows_of,
    until_dispatched,
)
from ..helpers.wallets import Forgetful

ONE = Amount(1)
CATCH_UP = CATCH_UP_AFTER


async def _changes(database: Database) -> list[tuple[Change, Any]]:
    """Return the changes of all events, and the events' times."""
    return [
        (Change(*row), kept.created_at) for kept in await rows_of(database, event) for row in json.loads(kept.body)
    ]


async def test_an_inbox_that_is_read_has_a_message_about_every_entry(unheard: Client) -> None:
    await open_users(unheard, "u1", "u2")
    await send(unheard, "/recharge", orderId="r1", userId="u1", amount="9")
    assert sources((await read_page(unheard, userId="u1"))["result"]) == [
        ("account_opened", ""),
        ("recharge", "r1"),
    ]
    await transfer(unheard, "t1", "u1", "u2", "4")
    page = await read_page(unheard, userId="u2")
    assert sources(page["result"]) == [("account_opened", ""), ("transfer_in", "t1")]
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
            ("/hold", {"orderId": "h3", "fromuserId": "u1", "touserId": "u2", "amount": "7"}),
            ("/hold", {"orderId": "h4", "fromuserId": "u1", "amount": "2"}),
            ("/release", {"orderId": "l1", "holdOrderId": "h4"}),
        ]
        payment = {"fromuserId": "u1", "touserId": "u2", "amount": "999"}
        declined: list[tuple[str, dict[str, str]]] = [
            ("/transfer", {"orderId": "d1", **payment, "note": "工资 \\ 'x'", "reference": "R"}),
            ("/withdraw", {"orderId": "d2", "accountId": "yen", "amount": "999"}),
            ("/hold", {"orderId": "d3", **payment}),
            ("/capture", {"orderId": "d4", "holdOrderId": "h3", "amount": "8"}),
            ("/capture", {"orderId": "d5", "holdOrderId": "h4", "note": "n"}),
            ("/release", {"orderId": "d6", "holdOrderId": "h1"}),
            ("/extend", {"orderId": "d7", "holdOrderId": "h4", "expiresIn": "60"}),
            ("/refund", {"orderId": "d8", "originalOrderId": "t1", "amount": "9"}),
            ("/refund", {"orderId": "d9", "originalOrderId": "w1", "amount": "9"}),
            # Of money that comes from outside, the payee is told.
            ("/freeze", {"accountId": "yen", "frozen": "credits", "reason": "why"}),
            ("/recharge", {"orderId": "d10", "accountId": "yen", "amount": "5"}),
        ]
        for path, fields in [*orders, *declined]:
            status, body, _ = await send(client, path, **fields)
            assert status == (409 if fields.get("orderId", "").startswith("d") else 200), (path, fields, body)
        bulk = [{"type": "transfer", "orderId": f"d{n}", **payment, "amount": n} for n in ("11", "1200")]
        assert (await post_json(client, "/bulk", {"bulkId": "b1", "atomic": True, "orders": bulk}))[0] == 409
        changes = [(change, at) for change, at in await _changes(app[database_key]) if change.inboxes_catch_up]
        names = {"u1": "N", "u2": "N"}
        expected = {
            (told.message.reader_id, told.message.message_type, told.message.source_id): told.message
            for change, at in changes
            for told in messages_to_users(change, at, names)
        }
        rows = await read_inboxes(app[database_key])
        assert [difference async for difference in verify_books(app[database_key], lambda *done: None)] == []
    assert len(rows) == len(expected) == 30
    for row in rows:
        told = expected[row.reader_id, row.message_type, row.source_id]
        for name in set(told._fields) - {"created_at"}:
            assert getattr(row, name) == getattr(told, name), name
        if row.message_type not in ("account_opened", "account_added"):
            assert row.created_at == told.created_at


async def test_an_event_carries_only_what_entries_do_not_tell(unheard: Client, database: Database) -> None:
    await add_team(database, "t")
    await open_users(unheard, "u1", "u2")
    watched = {"userId": "w", "userName": "W", "sex": "F", "cardNum": "1", "accountId": "w", "accountType": "1"}
    await send(unheard, "/openacc", **watched, teamId="t")
    await database.write(lambda c: c.execute(event.delete()))
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
    assert await told(Transfer("t2", "u1", "w", ONE)) == ["t2"]
    # u1 has three entries, and its entry 256 is told of.
    many = [Transfer(f"m{n}", "u1", "u2", ONE) for n in range(4, CATCH_UP + 2)]
    assert await told(*many) == ["m256"]
    # A decline is told to its payer alone, or to the team that watches the payer.
    del published[:]
    assert await told(Transfer("d1", "u2", "w", Amount(500))) == []
    assert (announced, published) == ([], [{"u2"}])
    assert await told(Transfer("d2", "w", "u1", Amount(500))) == ["d2"]
    assert await told(*[Transfer(f"n{n}", "u2", "u1", Amount(500)) for n in range(2, CATCH_UP + 2)]) == ["n256"]


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
        heard.clear()
        assert (await journal.submit(Transfer("d1", "u2", "u1", Amount(9)))).error is not None
    assert heard == {"u2"}
    assert Counter(row.source_id for row in await read_inboxes(database))["d1"] == 1


async def test_an_inbox_that_nobody_reads_is_caught_up_after_many_entries(
    client: Client, database: Database
) -> None:
    await open_users(client, "u1")
    await until_dispatched(database)
    await submit(database, [Recharge(f"r{n}", "u1", ONE) for n in range(1, CATCH_UP + 6)])
    await eventually_marked(database, {"a-u1": CATCH_UP})
    counts = await rows_of(database, counter)
    assert {(row.message_type, row.total, row.unread) for row in counts} == {
        ("account_opened", 1, 1),
        ("recharge", CATCH_UP, CATCH_UP),
    }


async def test_an_inbox_that_nobody_reads_is_caught_up_after_many_declines(
    client: Client, database: Database
) -> None:
    await open_users(client, "u1")
    await until_dispatched(database)
    await submit(database, [Recharge("r1", "u1", ONE)])
    await submit(database, [Withdraw(f"w{n}", "u1", Amount(9)) for n in range(1, CATCH_UP + 6)])
    await eventually_marked(database, {"a-u1": 1}, {"a-u1": CATCH_UP})
    counts = await rows_of(database, counter)
    assert {(row.message_type, row.total, row.unread) for row in counts} == {
        ("account_opened", 1, 1),
        ("recharge", 1, 1),
        ("decline", CATCH_UP, CATCH_UP),
    }


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
    assert Counter(sources(rows)) == Counter(expected)
    assert sources(rows) == expected


async def test_a_message_that_is_no_decline_s_comes_between_those_about_the_declines(
    unheard: Client, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if none of them has another entry than the others."""
    for name in ("MESSAGES_LIMIT", "EMBEDDED_MESSAGES_LIMIT"):
        monkeypatch.setattr(catch_up_module, name, 2)
    await open_users(unheard, "u1", "u2")
    await send(unheard, "/recharge", orderId="r1", userId="u1", amount="9")
    for n in range(4):
        await transfer(unheard, f"d{n}", "u1", "u2", "99")
    await send(unheard, "/hold", orderId="h1", fromuserId="u1", amount="2")
    await transfer(unheard, "d4", "u1", "u2", "99")
    config["listener"]["enabled"] = True
    async with Server(create_app(config)) as server, ClientOf(server) as client:
        await until_dispatched(client.app[database_key])
        rows = (await read_page(client, userId="u1"))["result"]
    declines = [("decline", f"d{n}") for n in range(5)]
    first = [("account_opened", ""), ("recharge", "r1")]
    assert sources(rows) == [*first, *declines[:4], ("hold", "h1"), declines[4]]


async def test_messages_about_entries_and_declines_of_an_account_are_in_its_order(
    unheard: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few of them are read at once, and if all of them have one time."""
    for name in ("MESSAGES_LIMIT", "EMBEDDED_MESSAGES_LIMIT"):
        monkeypatch.setattr(catch_up_module, name, 6)
    await open_users(unheard, "u1")
    database = unheard.app[database_key]
    random = Random(5)
    for part in range(4):
        orders = []
        for n in range(40):
            # Runs of either kind, some longer than a block.
            declined = random.random() < (0.1, 0.9)[n // 10 % 2]
            kind, amount = (Withdraw, Amount(99)) if declined else (Recharge, ONE)
            orders.append(kind(f"o{part}-{n}", "u1", amount))
        await submit(database, orders)
    rows = sorted(await read_inboxes(database), key=lambda row: row.id)
    assert [row.source_id for row in rows[1:]] == [f"o{part}-{n}" for part in range(4) for n in range(40)]
    assert {row.message_type for row in rows} == {"account_opened", "recharge", "decline"}


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
        # Some are declined.
        path, amount = ("/withdraw", "99") if n % 3 == 1 else ("/recharge", "1")
        await send(unheard, path, orderId=f"r{n}", accountId=account_id, amount=amount)
    rows = (await read_page(unheard, userId="u1", pageSize="50"))["result"]
    rows = [row for row in rows if row["MESSAGE_TYPE"] in ("recharge", "decline")]
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
    for n in range(CATCH_UP_AFTER):
        await send(client, "/recharge", orderId=f"r{n}", userId="u1", amount="1")
    await until_dispatched(database)
    await send(client, "/recharge", orderId="last", userId="u1", amount="1")
    page = await read_page(client, userId="u1", messageType="recharge")
    assert (page["total"], looked_up) == (CATCH_UP_AFTER + 1, [])
