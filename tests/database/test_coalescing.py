"""Questions that come while one is at the database go in the next, coalescer."""

import asyncio
from collections.abc import Collection

import pytest

from myaccount.database import coalescing as coalescing_module
from myaccount.database.coalescing import KEYS_LIMIT, Coalescer
from myaccount.errors import Overloaded

from ..conftest import Client
from ..helpers.actions import balance, open_users, send


class Squares:
    """Answers with squares, one question at a time, when it is let; of what is no number it knows nothing."""

    def __init__(self) -> None:
        self.asked: list[set[str]] = []
        self.let_go = asyncio.Semaphore(0)

    async def find(self, keys: Collection[str]) -> dict[str, int]:
        self.asked.append(set(keys))
        await self.let_go.acquire()
        if "poison" in keys:
            raise ZeroDivisionError
        return {key: int(key) ** 2 for key in keys if key.isdigit()}


async def _ask(coalescer: Coalescer[str, int], *keys: str) -> list["asyncio.Task[int | None]"]:
    tasks = [asyncio.create_task(coalescer.fetch(key)) for key in keys]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def _answers(tasks: list["asyncio.Task[int | None]"]) -> list[int | BaseException | None]:
    # What is never answered is a failure, not a wait.
    async with asyncio.timeout(20):
        return await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_comes_meanwhile_goes_together_and_each_gets_its_own_answer() -> None:
    squares = Squares()
    coalescer = Coalescer(squares.find)
    first = await _ask(coalescer, "1")
    rest = await _ask(coalescer, "2", "3", "2", "nobody")
    for _ in range(2):
        squares.let_go.release()
    assert await _answers([*first, *rest]) == [1, 4, 9, 4, None]
    assert squares.asked == [{"1"}, {"2", "3", "nobody"}]
    (again,) = await _ask(coalescer, "4")
    squares.let_go.release()
    assert await again == 16


async def test_no_answer_is_from_before_its_question() -> None:
    squares = Squares()
    coalescer = Coalescer(squares.find)
    tasks = await _ask(coalescer, "1") + await _ask(coalescer, "1")
    for _ in range(2):
        squares.let_go.release()
    await _answers(tasks)
    assert squares.asked == [{"1"}, {"1"}]


async def test_more_than_the_limit_go_one_after_the_other() -> None:
    squares = Squares()
    coalescer = Coalescer(squares.find)
    tasks = await _ask(coalescer, *map(str, range(KEYS_LIMIT + 2)))
    for _ in range(2):
        squares.let_go.release()
    assert await _answers(tasks) == [n * n for n in range(KEYS_LIMIT + 2)]
    assert [len(asked) for asked in squares.asked] == [KEYS_LIMIT, 2]


async def test_beyond_the_bound_a_question_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coalescing_module, "WAITING_LIMIT", 2)
    squares = Squares()
    coalescer = Coalescer(squares.find)
    tasks = await _ask(coalescer, "1") + await _ask(coalescer, "2", "3")
    with pytest.raises(Overloaded):
        await coalescer.fetch("4")
    for _ in range(2):
        squares.let_go.release()
    assert await _answers(tasks) == [1, 4, 9]


async def test_a_failure_is_told_to_all_that_wait_and_the_next_is_asked_again() -> None:
    squares = Squares()
    coalescer = Coalescer(squares.find)
    tasks = await _ask(coalescer, "poison") + await _ask(coalescer, "1", "2")
    squares.let_go.release()
    answers = await _answers(tasks)
    assert {type(answer) for answer in answers} == {ZeroDivisionError}
    # Each its own: an error that is raised gathers where it went.
    assert len({id(answer) for answer in answers}) == 3
    (next_,) = await _ask(coalescer, "3")
    squares.let_go.release()
    assert await next_ == 9


class Uncopyable(Exception):
    """Its constructor takes more than its text, as those of drivers' errors do."""

    def __init__(self, number: int, words: str) -> None:
        super().__init__(f"{number}: {words}")


async def test_an_error_that_cannot_be_copied_fails_the_query_and_not_the_next_ones() -> None:
    errors = [Uncopyable(1, "words")]

    async def find(keys: Collection[str]) -> dict[str, int]:
        if errors:
            raise errors.pop()
        return dict.fromkeys(keys, 1)

    coalescer = Coalescer(find)
    answers = await _answers(await _ask(coalescer, "1", "2"))
    assert {type(answer) for answer in answers} == {Uncopyable}
    async with asyncio.timeout(20):
        assert await coalescer.fetch("3") == 1


async def test_who_leaves_does_not_keep_the_others_from_their_answers() -> None:
    squares = Squares()
    coalescer = Coalescer(squares.find)
    leaving, staying = await _ask(coalescer, "1", "2")
    leaving.cancel()
    squares.let_go.release()
    assert await staying == 4


async def test_many_balances_are_read_at_once_over_http(client: Client) -> None:
    users = [f"u{n}" for n in range(1, 9)]
    await open_users(client, *users)
    for n, user in enumerate(users):
        await send(client, "/recharge", orderId=f"r{n}", userId=user, amount=str(n + 1))
    balances = await asyncio.gather(*[balance(client, user) for user in users * 5])
    assert balances == [f"{n + 1}.00" for n in range(8)] * 5


async def test_closing_waits_for_what_is_being_asked_though_nobody_wants_it_any_more() -> None:
    squares = Squares()
    coalescer = Coalescer(squares.find)
    (task,) = await _ask(coalescer, "3")
    task.cancel()
    closing = asyncio.create_task(coalescer.close())
    await asyncio.sleep(0)
    assert not closing.done()
    squares.let_go.release()
    async with asyncio.timeout(20):
        await closing
    await coalescer.close()
