"""The journal's writer: batches, bounds, faults, and two processes at once, on both backends."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import func, select

from myaccount.appkeys import journal_key
from myaccount.database.database import Database
from myaccount.database.error_kinds import TooLarge
from myaccount.errors import Overloaded, Unavailable
from myaccount.journal import locating as locating_module
from myaccount.journal import posting as posting_module
from myaccount.journal import writer as journal_module
from myaccount.journal.posting import Posted, Poster
from myaccount.journal.settling import BATCH_LIMIT
from myaccount.journal.writer import Journal
from myaccount.ledger.account_commands import Freeze
from myaccount.ledger.changes import CHANGE_TYPES
from myaccount.ledger.commands import Command
from myaccount.ledger.decide import decide
from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import Recharge, Transfer
from myaccount.ledger.outcomes import Outcome
from myaccount.ledger.references import AccountId
from myaccount.model.ledger import order

from ..conftest import PATIENCE_SECONDS, Client
from ..helpers.actions import assert_books_balance, balance, open_users, send
from ..helpers.journals import ignore_event


async def test_two_processes_that_get_the_same_orders_at_once_agree(
    client: Client, database: Database, another: Database
) -> None:
    """A second journal on the same database stands for another process."""
    await open_users(client, "u1", "u2", "u3")
    commands: list[Command] = [Recharge(f"r{n}", f"u{n}", Amount(100, 2)) for n in (1, 2, 3)]
    for n in range(60):
        payer, payee = 1 + n % 3, 1 + (n + 1 + n // 3 % 2) % 3
        commands.append(Transfer(f"t{n}", f"u{payer}", f"u{payee}", Amount(7 + n % 5, 2)))
    async with Journal(database, ignore_event) as one, Journal(another, ignore_event) as two:
        first, second = await asyncio.gather(
            asyncio.gather(*map(one.submit, commands)), asyncio.gather(*map(two.submit, reversed(commands)))
        )
    for command, mine, other in zip(commands, first, reversed(second), strict=True):
        assert (str(mine.error), mine.replayed) == (str(other.error), not other.replayed), command
    await assert_books_balance(database)


async def test_two_processes_that_move_the_same_money_lose_no_update(
    client: Client, database: Database, another: Database
) -> None:
    await open_users(client, "u1", "u2")
    async with Journal(database, ignore_event) as one, Journal(another, ignore_event) as two:
        for round_ in range(10):
            waiting = [
                journal.submit(Recharge(f"{name}-{round_}-{n}", user, Amount(1, 2)))
                for name, journal in (("one", one), ("two", two))
                for n in range(20)
                for user in [f"u{1 + n % 2}"]
            ]
            assert await asyncio.gather(*waiting) == [Outcome()] * 40
    assert (await balance(client, "u1"), await balance(client, "u2")) == ("2.00", "2.00")
    await assert_books_balance(database)


async def test_when_the_database_is_away_all_waiting_orders_are_refused_at_once(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def away(self: Database, work: object, *, beside_orders: bool) -> None:
        nonlocal tries
        tries += 1
        await asyncio.sleep(0)
        raise Unavailable("away")

    monkeypatch.setattr(Database, "write_on_driver", away)
    async with Journal(database, ignore_event) as journal:
        waiting = [journal.submit(Recharge(f"r{n}", "u1", Amount(1, 2))) for n in range(3 * BATCH_LIMIT)]
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unavailable}
    assert tries == 1


async def test_users_forgotten_by_the_journal_are_looked_up_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locating_module, "REMEMBERED_LIMIT", 5)
    users = [f"u{n}" for n in range(6)]
    await open_users(client, *users)
    poster = client.app[journal_key]._poster
    for n in range(12):
        assert (await send(client, "/recharge", orderId=f"r{n}", userId=users[n % 6], amount="1"))[0] == 200
        # A user is remembered in two ways, and with the outside world. Those of one batch may come on top.
        assert len(poster._reader._locator._remembered) <= 5 + 3
    assert [await balance(client, user) for user in users] == ["2.00"] * 6


async def test_waiting_orders_are_one_batch_up_to_the_limit(
    client: Client, database: Database, batches: list[int]
) -> None:
    await open_users(client, "u1")
    batches.clear()
    async with Journal(database, ignore_event) as journal:
        orders = [Recharge(f"r{n}", "u1", Amount(1, 2)) for n in range(BATCH_LIMIT + 10)]
        await asyncio.gather(*map(journal.submit, orders))
    assert batches == [BATCH_LIMIT, 10]
    assert await balance(client, "u1") == "2.66"


async def test_a_command_that_is_too_large_for_the_database_is_refused_alone(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Poster.post

    async def post(self: Poster, commands: Sequence[Command], *, wait: bool = True) -> Posted:
        if any(isinstance(command, Recharge) and command.order_id == "huge" for command in commands):
            raise TooLarge("Raise the database's max_allowed_packet.")
        return await original(self, commands, wait=wait)

    monkeypatch.setattr(Poster, "post", post)
    await open_users(client, "u1")
    async with Journal(database, ignore_event) as journal:
        orders = [Recharge(order_id, "u1", Amount(1, 2)) for order_id in ("before", "huge", "after")]
        before, huge, after = await asyncio.gather(*map(journal.submit, orders), return_exceptions=True)
    assert (before, type(huge), after) == (Outcome(), TooLarge, Outcome())


async def test_a_batch_gathers_to_the_previous_size_and_a_single_client_does_not_wait(
    client: Client, database: Database, batches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_users(client, "u1")
    batches.clear()
    # Longer than this test.
    monkeypatch.setattr(journal_module, "GATHERING_SECONDS", 600)
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        Journal(database, ignore_event, waiting_seconds=600) as journal,
    ):
        for n in range(3):
            await journal.submit(Recharge(f"alone-{n}", "u1", Amount(1, 2)))
        await asyncio.gather(*[journal.submit(Recharge(f"first-{n}", "u1", Amount(1, 2))) for n in range(3)])
        one = asyncio.ensure_future(journal.submit(Recharge("second-1", "u1", Amount(1, 2))))
        two = asyncio.ensure_future(journal.submit(Recharge("second-2", "u1", Amount(1, 2))))
        await asyncio.sleep(0.05)
        assert not one.done()
        await asyncio.gather(one, two, journal.submit(Recharge("second-3", "u1", Amount(1, 2))))
    assert batches == [1, 1, 1, 3, 3]


async def test_the_largest_batch_is_replayed_completely(client: Client, database: Database) -> None:
    """The longest ids, of four-byte characters: the one value that has them all is not truncated."""
    await open_users(client, "u1")
    ids = [
        f"{n:03}".translate({48 + d: 0x1F600 + d for d in range(10)}).ljust(45, "\U0001f4b0") for n in range(256)
    ]
    async with Journal(database, ignore_event) as journal:
        for replayed in (False, True):
            outcomes = await asyncio.gather(*[journal.submit(Recharge(id_, "u1", Amount(1, 2))) for id_ in ids])
            assert outcomes == [Outcome(replayed=replayed)] * len(ids)


async def test_beyond_the_limit_orders_are_refused_and_accepted_ones_are_settled(
    client: Client, database: Database
) -> None:
    await open_users(client, "u1")
    async with Journal(database, ignore_event, waiting_limit=5) as journal:
        answers = await asyncio.gather(
            *[journal.submit(Recharge(f"r{n}", "u1", Amount(1, 2))) for n in range(8)], return_exceptions=True
        )
    assert answers[:5] == [Outcome()] * 5
    assert [type(answer) for answer in answers[5:]] == [Overloaded] * 3
    assert await balance(client, "u1") == "0.05"


async def test_while_the_oldest_order_waits_too_long_others_are_refused_and_it_is_settled(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_users(client, "u1")
    posting, released = asyncio.Event(), asyncio.Event()
    original = Poster.post

    async def slow(self: Poster, commands: Sequence[Command], *, wait: bool = True) -> Posted:
        posting.set()
        await released.wait()
        return await original(self, commands, wait=wait)

    monkeypatch.setattr(Poster, "post", slow)
    now = 0.0
    async with Journal(database, ignore_event, waiting_seconds=2) as journal:
        monkeypatch.setattr(journal, "_clock", lambda: now)
        at_the_database = asyncio.ensure_future(journal.submit(Recharge("r1", "u1", Amount(1, 2))))
        await posting.wait()
        # An order at the database does not count as waiting.
        now = 3.0
        first_to_wait = asyncio.ensure_future(journal.submit(Recharge("r2", "u1", Amount(1, 2))))
        await asyncio.sleep(0)
        now = 5.0
        in_time = asyncio.ensure_future(journal.submit(Recharge("r3", "u1", Amount(1, 2))))
        await asyncio.sleep(0)
        now = 5.1
        with pytest.raises(Overloaded):
            await journal.submit(Recharge("r4", "u1", Amount(1, 2)))
        released.set()
        assert [await at_the_database, await first_to_wait, await in_time] == [Outcome()] * 3
        assert await journal.submit(Recharge("r4", "u1", Amount(1, 2))) == Outcome()


async def test_the_event_of_each_batch_is_announced_once(client: Client, database: Database) -> None:
    """The sweeper would find it too, but only seconds later."""
    await open_users(client, "u1")
    announced: list[int] = []
    async with Journal(database, announced.append, callback_types=CHANGE_TYPES) as journal:
        await journal.submit(Recharge("r1", "u1", Amount(1, 2)))
        assert len(announced) == 1
        # A replay and a refusal change nothing.
        await asyncio.gather(
            journal.submit(Recharge("r1", "u1", Amount(1, 2))),
            journal.submit(Recharge("r2", "nobody", Amount(1, 2))),
        )
        await asyncio.gather(
            journal.submit(Recharge("r3", "u1", Amount(1, 2))), journal.submit(Recharge("r4", "u1", Amount(1, 2)))
        )
    assert len(announced) == 2
    assert announced == sorted(set(announced))


async def test_an_overloaded_service_says_so_at_once_over_http(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_users(client, "u1")
    monkeypatch.setattr(client.app[journal_key], "_waiting_limit", 0)
    async with client.post("/recharge", data={"orderId": "r1", "userId": "u1", "amount": "1"}) as response:
        problem = await response.json(content_type=None)
    assert (response.status, problem["code"], response.headers["Retry-After"]) == (503, "overloaded", "1")
    assert (await send(client, "/querorder", orderId="r1"))[0] == 404


async def test_an_order_that_makes_the_batch_fail_refuses_only_itself(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_users(client, "u1")

    def faulty(commands: Any, *others: Any) -> Any:
        commands = list(commands)
        if any(command.order_id == "poison" for command in commands):
            raise ZeroDivisionError
        return decide(commands, *others)

    monkeypatch.setattr(posting_module, "decide", faulty)
    async with Journal(database, ignore_event) as journal:
        answers = await asyncio.gather(
            *[journal.submit(Recharge(id_, "u1", Amount(1, 2))) for id_ in ("r1", "poison", "r2")],
            return_exceptions=True,
        )
    assert (answers[0], answers[2]) == (Outcome(), Outcome())
    assert isinstance(answers[1], ZeroDivisionError)
    assert await balance(client, "u1") == "0.02"


async def test_a_journal_that_closes_settles_what_it_accepted(client: Client, database: Database) -> None:
    await open_users(client, "u1")
    async with Journal(database, ignore_event) as journal:
        waiting = [asyncio.ensure_future(journal.submit(Recharge(f"r{n}", "u1", Amount(1, 2)))) for n in range(20)]
        await asyncio.sleep(0)
    assert await asyncio.gather(*waiting) == [Outcome()] * 20
    with pytest.raises(Unavailable):
        await journal.submit(Recharge("late", "u1", Amount(1, 2)))


async def test_an_order_whose_client_has_left_is_settled_all_the_same(client: Client, database: Database) -> None:
    await open_users(client, "u1")
    async with Journal(database, ignore_event) as journal:
        abandoned = asyncio.ensure_future(journal.submit(Recharge("r1", "u1", Amount(1, 2))))
        kept = asyncio.ensure_future(journal.submit(Recharge("r2", "u1", Amount(1, 2))))
        await asyncio.sleep(0)
        abandoned.cancel()
        assert await kept == Outcome()
    rows = await database.read(lambda connection: connection.scalar(select(func.count()).select_from(order)))
    assert rows == 2


async def test_a_change_of_an_account_that_is_decided_again_does_not_undo_a_later_one(
    client: Client, database: Database
) -> None:
    """Its answer was lost, and meanwhile another process made another change."""
    await open_users(client, "u1")
    account = AccountId("a-u1")
    async with Journal(database, ignore_event) as one, Journal(database, ignore_event) as two:
        assert await one.submit(Freeze("c1", account, "all", "first")) == Outcome()
        assert await two.submit(Freeze("c2", account, "none", "second")) == Outcome()
        assert await one.submit(Freeze("c1", account, "all", "first")) == Outcome()
        assert await one.submit(Recharge("r1", "u1", Amount(1, 2))) == Outcome()
