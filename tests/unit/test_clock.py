"""The clock by which keys and tokens expire never goes back."""

import time
from datetime import datetime, timedelta

import pytest

from myaccount.access import clock as clock_module
from myaccount.access.clock import Clock

START = datetime(2026, 1, 1)
HOUR = timedelta(hours=1)


class Times:
    """The system's clock, which people set, and the time that really passes."""

    def __init__(self) -> None:
        self.system = START
        self.passed = 0.0

    def wait(self, wait: timedelta) -> None:
        self.system += wait
        self.passed += wait.total_seconds()


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    times = Times()
    monkeypatch.setattr(clock_module, "utc_now", lambda: times.system)
    monkeypatch.setattr(time, "monotonic", lambda: times.passed)
    return times


def test_it_tells_the_system_s_time(times: Times) -> None:
    clock = Clock(START - HOUR)
    times.wait(HOUR)
    assert clock.now() == START + HOUR
    # As if the machine had slept, or the clock had been slow.
    times.system += HOUR
    assert clock.now() == START + 2 * HOUR


def test_if_the_system_s_clock_is_set_back_time_passes_all_the_same(times: Times) -> None:
    clock = Clock(START)
    times.wait(HOUR)
    times.system -= 5 * HOUR
    assert clock.now() == START + HOUR
    times.wait(HOUR)
    assert clock.now() == START + 2 * HOUR


def test_it_begins_with_the_time_that_was_seen(times: Times) -> None:
    clock = Clock(START + HOUR)
    assert clock.now() == START + HOUR
    times.wait(HOUR)
    assert clock.now() == START + 2 * HOUR


def test_what_it_told_stays_true_after_a_jump_ahead_is_taken_back(times: Times) -> None:
    clock = Clock(START)
    times.system += HOUR
    assert clock.now() == START + HOUR
    times.system -= HOUR
    assert clock.now() == START + HOUR
    times.wait(HOUR)
    assert clock.now() == START + 2 * HOUR
    # A later jump counts from the system's time.
    times.system += 3 * HOUR
    assert clock.now() == START + 4 * HOUR


def test_a_jump_ahead_that_nobody_saw_is_forgotten(times: Times) -> None:
    clock = Clock(START)
    times.system += HOUR
    times.system -= HOUR
    assert clock.now() == START
