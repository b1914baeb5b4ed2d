"""Passwords: what is stored of one, and that any number of sign-ins waits for one thread."""

import asyncio
import threading
from types import SimpleNamespace

import pytest

from myaccount.access.operators import passwords
from myaccount.access.operators.passwords import (
    COST,
    LENGTH_LIMIT,
    WAITING_LIMIT,
    PasswordRefused,
    Passwords,
    check_new,
    hash_password,
    is_right,
)
from myaccount.errors import Overloaded

from ..helpers.operators import quick_passwords

PASSWORD = "correct horse battery staple"


def test_a_password_is_stored_as_a_slow_hash_with_a_salt_of_its_own() -> None:
    stored, other = hash_password(PASSWORD), hash_password(PASSWORD)
    assert stored.startswith("scrypt$32768$8$3$")
    assert stored != other
    assert PASSWORD not in stored
    assert len(stored) <= 200
    assert is_right(PASSWORD, stored)
    assert is_right(PASSWORD, other)
    assert not is_right(PASSWORD + " ", stored)


def test_a_hash_keeps_its_cost_when_the_cost_changes() -> None:
    with quick_passwords():
        stored = hash_password(PASSWORD)
    assert passwords.COST == COST
    assert is_right(PASSWORD, stored)


def test_a_letter_is_the_same_however_the_keyboard_writes_it() -> None:
    with quick_passwords():
        assert is_right("caf\u00e9 au lait !", hash_password("cafe\u0301 au lait !"))
        assert not is_right("cafe au lait !", hash_password("cafe\u0301 au lait !"))


@pytest.mark.parametrize(
    ("length", "works"), [(11, False), (12, True), (LENGTH_LIMIT, True), (LENGTH_LIMIT + 1, False)]
)
def test_a_new_password_is_neither_short_nor_endless(length: int, works: bool) -> None:
    if works:
        check_new("x" * length)
    else:
        with pytest.raises(PasswordRefused, match="12 to 200 characters"):
            check_new("x" * length)


async def test_one_is_checked_at_a_time_and_beyond_a_few_that_wait_all_are_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_go, at_work, most = threading.Event(), 0, 0

    def slow(password: str, stored: str) -> bool:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        may_go.wait()
        at_work -= 1
        return True

    monkeypatch.setattr(passwords, "is_right", slow)
    checks, done = Passwords(), 0

    async def sign_in() -> None:
        nonlocal done
        async with checks.turn():
            assert await checks.is_right(PASSWORD, "stored")
            done += 1

    waiting = [asyncio.create_task(sign_in()) for _ in range(WAITING_LIMIT)]
    await asyncio.sleep(0)
    for _ in range(1000):
        with pytest.raises(Overloaded):
            await sign_in()
    may_go.set()
    await asyncio.gather(*waiting)
    assert (done, most) == (WAITING_LIMIT, 1)
    await sign_in()
    checks.close()


async def test_after_a_password_the_next_waits_nine_times_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, took, waits = 100.0, 0.0, list[float]()

    def check(password: str, stored: str) -> bool:
        nonlocal clock
        clock += took
        return True

    async def sleep(seconds: float) -> None:
        nonlocal clock
        waits.append(seconds)
        clock += max(seconds, 0)

    monkeypatch.setattr(passwords, "is_right", check)
    monkeypatch.setattr(passwords, "time", SimpleNamespace(monotonic=lambda: clock))
    loop = asyncio.get_running_loop()
    fake = SimpleNamespace(Lock=asyncio.Lock, get_running_loop=lambda: loop, sleep=sleep)
    monkeypatch.setattr(passwords, "asyncio", fake)
    checks = Passwords()
    for seconds in (0.125, 0.125, 7.0, 0.125):
        took = seconds
        async with checks.turn():
            await checks.is_right(PASSWORD, "stored")
    assert waits[1:] == [1.125, 1.125, 2.0]
    assert waits[0] < 0
    # A person who comes later does not wait.
    clock += 2
    async with checks.turn():
        assert waits[-1] < 0
    checks.close()


async def test_a_name_that_there_is_not_costs_as_much_as_one_that_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    costs: list[dict[str, int]] = []

    def note(password: bytes, *, salt: bytes, maxmem: int, **cost: int) -> bytes:
        costs.append(cost)
        return bytes(32)

    stored = hash_password(PASSWORD)
    monkeypatch.setattr(passwords, "scrypt", note)
    checks = Passwords()
    async with checks.turn():
        assert not await checks.is_right(PASSWORD, None)
        assert not await checks.is_right(PASSWORD, stored)
    assert costs[0] == costs[1] == {"n": 2**15, "r": 8, "p": 3, "dklen": 32}
    checks.close()
