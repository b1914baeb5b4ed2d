"""Openings in the journal's batches, together with the orders that follow them, on both backends."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from myaccount.appkeys import database_key
from myaccount.database.database import Database
from myaccount.errors import RequestError
from myaccount.journal.writer import Journal
from myaccount.ledger.changes import CHANGE_TYPES
from myaccount.ledger.commands import Command
from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import Recharge, Transfer, Withdraw
from myaccount.ledger.outcomes import Outcome
from myaccount.ledger.references import AccountId, UserCurrency
from myaccount.model.ledger import account, user
from myaccount.model.outbox import event

from ..conftest import Client
from ..helpers.actions import assert_books_balance, open_users, send
from ..helpers.inboxes import read_inboxes
from ..helpers.journals import addition, ignore_event, opening
from ..helpers.wallets import Forgetful, balances, post

ONE = Amount(100, 2)


def _told(outcomes: Iterable[Outcome]) -> list[tuple[str | None, str | None, bool]]:
    """Return the code and the field of each outcome's error, and whether it is a replay."""
    return [
        (error.code, error.field, replayed) if error else (None, None, replayed)
        for error, replayed, *_ in outcomes
    ]


async def _submit(database: Database, *commands: Command) -> list[Outcome]:
    """Have them decided in one batch."""
    async with Journal(database, ignore_event) as journal:
        return await asyncio.gather(*map(journal.submit, commands))


async def _account_ids(database: Database) -> list[str]:
    """Return the ids of all accounts, in the order of their keys."""
    query = select(account.c.account_id).order_by(account.c.id)
    return list(await database.read(lambda connection: connection.scalars(query)))


async def _user_ids(database: Database) -> set[str]:
    return set(await database.read(lambda connection: connection.scalars(select(user.c.user_id))))


async def test_orders_follow_their_openings_in_one_batch(
    client: Client, database: Database, batches: list[int]
) -> None:
    outcomes = await _submit(
        database,
        opening("u1", "a1"),
        Recharge("r1", "u1", Amount(5)),
        opening("u2", "a2", "JPY"),
        addition("u1", "b1", "JPY"),
        Recharge("r2", AccountId("b1"), Amount(70)),
        Transfer("t1", UserCurrency("u1", "JPY"), "u2", Amount(20)),
        Withdraw("w1", "u1", ONE),
    )
    assert outcomes == [Outcome()] * 7
    assert batches == [7]
    assert (await balances(client, "u1"), await balances(client, "u2")) == (
        {"a1": "4.00", "b1": "50"},
        {"a2": "20"},
    )
    assert await _account_ids(database) == ["outside CNY", "outside JPY", "a1", "a2", "b1"]
    await assert_books_balance(database)


async def test_an_inbox_tells_of_an_opening_before_the_orders_of_its_batch(
    client: Client, database: Database
) -> None:
    """Whichever was sent first: an account cannot be paid before there is one."""
    assert await _submit(database, Recharge("r1", "u1", ONE), opening("u1", "a1")) == [Outcome()] * 2
    assert [row.message_type for row in await read_inboxes(database)] == ["account_opened", "recharge"]


async def test_an_event_has_an_opening_before_the_orders_of_its_batch(unheard: Client) -> None:
    database = unheard.app[database_key]
    async with Journal(database, ignore_event, callback_types=CHANGE_TYPES) as journal:
        commands: list[Command] = [Recharge("r1", "u1", ONE), opening("u1", "a1")]
        await asyncio.gather(*map(journal.submit, commands))
    body = await database.read(lambda connection: connection.scalar(select(event.c.body)))
    assert [change[0] for change in json.loads(body or "")] == ["account_opened", "recharge"]


async def test_a_batch_s_openings_are_announced_with_it_once(client: Client, database: Database) -> None:
    announced: list[int] = []
    async with Journal(database, announced.append) as journal:
        commands: list[Command] = [opening("u1", "a1"), opening("u2", "a2"), Recharge("r1", "u1", ONE)]
        await asyncio.gather(*map(journal.submit, commands))
        assert len(announced) == 1
        # A replay changes nothing, and tells nothing.
        assert (await journal.submit(opening("u1", "a1"))).replayed
    assert len(announced) == 1


async def test_what_is_refused_leaves_nothing_and_the_rest_of_the_batch_is_done(
    client: Client, database: Database
) -> None:
    await open_users(client, "u1")
    outcomes = await _submit(
        database,
        opening("u1", "x1", "KWD"),
        opening("u2", "a-u1", "KWD"),
        opening("u3", "a3", "KWD", "no team"),
        addition("u4", "a4", "KWD"),
        addition("u1", "a-u1", "KWD"),
        addition("u1", "a5", "KWD", "no team"),
        Recharge("r1", "u2", ONE),
        opening("u6", "a6"),
        Recharge("r2", "u6", ONE),
    )
    assert _told(outcomes) == [
        ("user_exists", "user_id", False),
        ("account_exists", "account_id", False),
        ("team_not_found", "team_id", False),
        ("user_not_found", "user_id", False),
        ("account_exists", "account_id", False),
        ("team_not_found", "team_id", False),
        ("user_not_found", "payee", False),
        (None, None, False),
        (None, None, False),
    ]
    assert await _user_ids(database) == {"u1", "u6"}
    assert await _account_ids(database) == ["outside CNY", "a-u1", "a6"]


async def test_ids_are_taken_within_a_batch(client: Client, database: Database) -> None:
    outcomes = await _submit(
        database,
        opening("u1", "a1"),
        opening("u1", "a1"),
        opening("u1", "a2"),
        opening("u2", "a1"),
        addition("u1", "b1"),
        addition("u1", "b1"),
        addition("u1", "a1"),
        opening("u2", "b1"),
    )
    assert _told(outcomes) == [
        (None, None, False),
        ("user_exists", "user_id", True),
        ("user_exists", "user_id", False),
        ("account_exists", "account_id", False),
        (None, None, False),
        ("account_exists", "account_id", True),
        ("account_exists", "account_id", False),
        ("account_exists", "account_id", False),
    ]
    assert await _account_ids(database) == ["outside CNY", "a1", "b1"]
    # They are told apart afterwards, too.
    again = await _submit(database, opening("u1", "b1"), opening("u1", "a1"), addition("u1", "a1"))
    assert _told(again) == [
        ("user_exists", "user_id", False),
        ("user_exists", "user_id", True),
        ("account_exists", "account_id", False),
    ]


@pytest.mark.usefixtures("long_locks")
async def test_two_processes_that_get_the_same_openings_at_once_agree(
    client: Client, database: Database, another: Database
) -> None:
    await send(client, "/team", teamId="t1", teamName="T")
    commands: list[Command] = []
    for n in range(40):
        commands += [opening(f"u{n}", f"a{n}", "CNY" if n % 2 else "JPY", "t1" if n % 3 else None)]
        commands += [addition(f"u{n}", f"b{n}"), Recharge(f"r{n}", AccountId(f"b{n}"), ONE)]
    # The same, sent by another client.
    others: list[Command] = [
        *[opening(f"u{n}", f"a{n}", "CNY" if n % 2 else "JPY", "t1" if n % 3 else None) for n in range(40)],
        *[addition(f"u{n}", f"b{n}") for n in range(40)],
    ]
    async with Journal(database, ignore_event) as one, Journal(another, ignore_event) as two:
        first, second = await asyncio.gather(
            asyncio.gather(*map(one.submit, commands)), asyncio.gather(*map(two.submit, others))
        )
    for n in range(40):
        for mine, other in ((first[3 * n], second[n]), (first[3 * n + 1], second[40 + n])):
            assert {mine.replayed, other.replayed} == {True, False}, n
            assert sum(outcome.error is None for outcome in (mine, other)) == 1
        assert first[3 * n + 2] == Outcome()
    ids = await _account_ids(database)
    assert len(ids) == len(set(ids)) == 82
    await assert_books_balance(database)


@pytest.mark.usefixtures("long_locks")
async def test_two_processes_make_one_outside_world_for_a_new_currency(
    client: Client, database: Database, another: Database
) -> None:
    async with Journal(database, ignore_event) as one, Journal(another, ignore_event) as two:
        for n, currency in enumerate(("JPY", "KWD", "USD", "EUR", "GBP", "CHF")):
            commands = [opening(f"{name}{n}", f"{name}{n}", currency) for name in ("a", "b")]
            outcomes = await asyncio.gather(one.submit(commands[0]), two.submit(commands[1]))
            assert set(outcomes) == {Outcome()}
            orders = [Recharge(f"{name}{n}", f"{name}{n}", Amount(1)) for name in ("a", "b")]
            assert set(await asyncio.gather(one.submit(orders[0]), two.submit(orders[1]))) == {Outcome()}
    assert sum(id_.startswith("outside ") for id_ in await _account_ids(database)) == 7
    await assert_books_balance(database)


async def test_an_opening_whose_commit_got_no_answer_is_not_refused_as_taken(
    client: Client, database: Database
) -> None:
    """The batch that is decided again after a successful commit must recognise its own rows."""
    announced: list[int] = []
    opened, added = opening("u1", "a1"), addition("u1", "b1", "JPY")
    async with Journal(Forgetful(database), announced.append) as journal:
        commands: list[Command] = [opened, added, Recharge("r1", "u1", ONE)]
        outcomes = await asyncio.gather(*map(journal.submit, commands))
        assert [outcome.error for outcome in outcomes] == [None, None, None]
        assert not any(outcome.replayed for outcome in outcomes[:2])
        assert await _account_ids(database) == ["outside CNY", "outside JPY", "a1", "b1"]
        # The sweeper finds the one event that there is.
        assert announced == []
        last = await database.read(lambda connection: connection.scalar(select(func.max(event.c.id))))
        assert last in (None, 1)
        # Another opening is refused, even with the same time.
        for other in (replace(opened, account_id="a2"), replace(added, currency="KWD")):
            assert isinstance((await journal.submit(other)).error, RequestError)


async def test_what_was_rolled_back_is_not_remembered(
    client: Client, database: Database, another: Database
) -> None:
    """An account that was located in a batch that failed gets another key later."""

    async with Journal(database, ignore_event) as one, Journal(another, ignore_event) as two:
        await one.submit(opening("u0", "a0"))
        assert await two.submit(Recharge("taken", "u0", ONE)) == Outcome()
        # The order's id is taken, so that the first attempt fails after the account was made and located.
        outcomes = await asyncio.gather(
            one.submit(opening("u1", "a1")),
            one.submit(Recharge("r1", "u1", ONE)),
            one.submit(Recharge("taken", "u0", ONE)),
        )
        assert [outcome.error for outcome in outcomes] == [None, None, None]
        assert await one.submit(Recharge("r2", "u1", ONE)) == Outcome()
    assert await balances(client, "u1") == {"a1": "2.00"}
    await assert_books_balance(database)


async def test_many_openings_at_once_are_all_done(client: Client, database: Database) -> None:
    """More than there are connections to the database."""
    fields = {"userName": "N", "sex": "F", "cardNum": "6222", "accountType": "01"}
    openings = [post(client, "/openacc", userId=f"u{n}", accountId=f"a{n}", **fields) for n in range(60)]
    assert {answer.status for answer in await asyncio.gather(*openings)} == {200}
    assert len(await _user_ids(database)) == 60
