"""Queries that arrive while one is running are sent as one, when it is done."""

import asyncio
from collections.abc import Collection

import pytest

from myaccount.database import coalescing as coalescing_module
from myaccount.database.coalescing import KEYS_LIMIT, Coalescer
from myaccount.database.error_kinds import TooLarge
from myaccount.errors import Overloaded, Unavailable, UserNotFound

from ..conftest import Client
from ..helpers.actions import balance, open_users, send


class Squares:
    """Returns the squares of numbers, when released; other keys have no value."""

    def __init__(self) -> None:
        self.fetched: list[set[str]] = []
        self.released = asyncio.Semaphore(0)

    async def fetch_many(self, keys: Collection[str]) -> dict[str, int]:
        self.fetched.append(set(keys))
        await self.released.acquire()
        if "away" in keys:
            raise Unavailable("The database is away.")
        if "poison" in keys:
            raise ZeroDivisionError
        return {key: int(key) ** 2 for key in keys if key.isdigit()}


async def _fetch(coalescer: Coalescer[str, int], *keys: str) -> list["asyncio.Future[int | None]"]:
    tasks = [coalescer.fetch(key) for key in keys]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def _results(tasks: list["asyncio.Future[int | None]"]) -> list[int | BaseException | None]:
    # A missing answer fails the test, instead of hanging it.
    async with asyncio.timeout(20):
        return await asyncio.gather(*tasks, return_exceptions=True)


async def test_keys_that_arrive_meanwhile_are_fetched_as_one_and_each_gets_its_own_value() -> None:
    squares = Squares()
    coalescer = Coalescer(squares.fetch_many)
    first = await _fetch(coalescer, "1")
    rest = await _fetch(coalescer, "2", "3", "2", "nobody")
    for _ in range(2):
        squares.released.release()
    assert await _results([*first, *rest]) == [1, 4, 9, 4, None]
    assert squares.fetched == [{"1"}, {"2", "3", "nobody"}]
    (again,) = await _fetch(coalescer, "4")
    squares.released.release()
    assert await again == 16


async def test_no_result_was_read_before_its_query_was_submitted() -> None:
    squares = Squares()
    coalescer = Coalescer(squares.fetch_many)
    tasks = await _fetch(coalescer, "1") + await _fetch(coalescer, "1")
    for _ in range(2):
        squares.released.release()
    await _results(tasks)
    assert squares.fetched == [{"1"}, {"1"}]


async def test_more_keys_than_the_limit_are_fetched_in_turns() -> None:
    squares = Squares()
    coalescer = Coalescer(squares.fetch_many)
    tasks = await _fetch(coalescer, *map(str, range(KEYS_LIMIT + 2)))
    for _ in range(2):
        squares.released.release()
    assert await _results(tasks) == [n * n for n in range(KEYS_LIMIT + 2)]
    assert [len(keys) for keys in squares.fetched] == [KEYS_LIMIT, 2]


async def test_after_several_keys_the_next_ones_are_waited_for_and_after_one_they_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(coalescing_module, "GATHERING_SECONDS", 3600)
    squares = Squares()
    coalescer = Coalescer(squares.fetch_many)
    for _ in range(4):
        squares.released.release()
    alone = await _fetch(coalescer, "1")
    await _results(alone)
    several = await _fetch(coalescer, "2", "3", "4")
    await _results(several)
    next_ = await _fetch(coalescer, "5", "6")
    assert squares.fetched == [{"1"}, {"2", "3", "4"}]
    next_ += await _fetch(coalescer, "7")
    assert await _results(next_) == [25, 36, 49]
    assert squares.fetched[2:] == [{"5", "6", "7"}]


async def test_keys_are_waited_for_only_a_moment() -> None:
    squares = Squares()
    coalescer = Coalescer(squares.fetch_many)
    for _ in range(2):
        squares.released.release()
    await _results(await _fetch(coalescer, "1", "2"))
    assert await _results(await _fetch(coalescer, "3")) == [9]


async def test_beyond_the_limit_a_query_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coalescing_module, "WAITING_LIMIT", 2)
    squares = Squares()
    coalescer = Coalescer(squares.fetch_many)
    tasks = await _fetch(coalescer, "1") + await _fetch(coalescer, "2", "3")
    with pytest.raises(Overloaded):
        await coalescer.fetch("4")
    for _ in range(2):
        squares.released.release()
    assert await _results(tasks) == [1, 4, 9]


async def test_a_database_that_is_away_fails_all_that_wait_and_not_the_next() -> None:
    squares = Squares()
    coalescer = Coalescer(squares.fetch_many)
    tasks = await _fetch(coalescer, "away") + await _fetch(coalescer, "1", "2")
    squares.released.release()
    results = await _results(tasks)
    assert {type(result) for result in results} == {Unavailable}
    # Each has its own error, since raising one adds to its traceback.
    assert len({id(result) for result in results}) == 3
    (next_,) = await _fetch(coalescer, "3")
    squares.released.release()
    assert await next_ == 9


async def test_a_key_that_fails_fails_alone() -> None:
    squares = Squares()
    coalescer = Coalescer(squares.fetch_many)
    tasks = await _fetch(coalescer, "0", "1", "poison", "3", "4", "poison")
    for _ in range(10):
        squares.released.release()
    *others, again = await _results(tasks)
    failed = others.pop(2)
    assert others == [0, 1, 9, 16]
    assert {type(failed), type(again)} == {ZeroDivisionError}
    assert failed is not again


async def test_keys_whose_values_are_too_large_together_are_fetched_in_parts() -> None:
    fetched = []

    async def find(keys: Collection[str]) -> dict[str, int]:
        fetched.append(len(keys))
        if len(keys) > 2:
            raise TooLarge("The database returned a part.")
        return {key: int(key) for key in keys}

    coalescer = Coalescer(find)
    assert await _results(await _fetch(coalescer, *map(str, range(7)))) == list(range(7))
    assert sorted(fetched) == [1, 2, 2, 2, 3, 4, 7]


async def test_an_error_instead_of_a_value_fails_its_key() -> None:
    async def find(keys: Collection[str]) -> dict[str, int | Exception]:
        return {"1": 1, "nobody": UserNotFound("There is no such user.")}

    coalescer = Coalescer[str, int](find)
    value, *errors = await _results(await _fetch(coalescer, "1", "nobody", "nobody"))
    assert (value, {type(error) for error in errors}) == (1, {UserNotFound})
    assert errors[0] is not errors[1]


class Uncopyable(Exception):
    """It cannot be copied: like drivers' errors, it needs more arguments than its text."""

    def __init__(self, number: int, words: str) -> None:
        super().__init__(f"{number}: {words}")


async def test_an_error_that_cannot_be_copied_fails_the_query_and_not_the_next_ones() -> None:
    async def find(keys: Collection[str]) -> dict[str, int]:
        if "poison" in keys:
            raise Uncopyable(1, "words")
        return dict.fromkeys(keys, 1)

    coalescer = Coalescer(find)
    results = await _results(await _fetch(coalescer, "poison", "poison"))
    assert {type(result) for result in results} == {Uncopyable}
    async with asyncio.timeout(20):
        assert await coalescer.fetch("3") == 1


async def test_a_cancelled_caller_does_not_disturb_the_others() -> None:
    squares = Squares()
    coalescer = Coalescer(squares.fetch_many)
    leaving, staying = await _fetch(coalescer, "1", "2")
    leaving.cancel()
    squares.released.release()
    assert await staying == 4


async def test_many_balances_are_read_at_once_over_http(client: Client) -> None:
    users = [f"u{n}" for n in range(1, 9)]
    await open_users(client, *users)
    for n, user in enumerate(users):
        await send(client, "/recharge", orderId=f"r{n}", userId=user, amount=str(n + 1))
    balances = await asyncio.gather(*[balance(client, user) for user in users * 5])
    assert balances == [f"{n + 1}.00" for n in range(8)] * 5


async def test_closing_waits_for_the_running_query_even_if_its_callers_are_gone() -> None:
    squares = Squares()
    coalescer = Coalescer(squares.fetch_many)
    (task,) = await _fetch(coalescer, "3")
    task.cancel()
    closing = asyncio.create_task(coalescer.close())
    await asyncio.sleep(0)
    assert not closing.done()
    squares.released.release()
    async with asyncio.timeout(20):
        await closing
    await coalescer.close()
