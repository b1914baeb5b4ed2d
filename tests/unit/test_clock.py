"""The clock by which keys and tokens expire never goes back, and does not ask this machine's."""

import time
from datetime import datetime, timedelta

import pytest

from myaccount.access.clock import Clock

START = datetime(2026, 1, 1)
HOUR = timedelta(hours=1)


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[timedelta]:
    """The time that passes, which the test moves on."""
    times = [timedelta()]
    monkeypatch.setattr(time, "monotonic", lambda: times[0].total_seconds())
    return times


def test_it_goes_on_from_the_time_that_it_was_told(passed: list[timedelta]) -> None:
    passed[0] += HOUR
    clock = Clock(START)
    assert clock.now() == START
    passed[0] += HOUR
    assert clock.now() == START + HOUR


def test_it_is_told_a_later_time(passed: list[timedelta]) -> None:
    clock = Clock(START)
    passed[0] += HOUR
    # As if the machine had slept.
    clock.tell(START + 3 * HOUR)
    assert clock.now() == START + 3 * HOUR
    passed[0] += HOUR
    assert clock.now() == START + 4 * HOUR


def test_it_does_not_go_back_to_an_earlier_time(passed: list[timedelta]) -> None:
    clock = Clock(START)
    passed[0] += 2 * HOUR
    clock.tell(START + HOUR)
    assert clock.now() == START + 2 * HOUR
    passed[0] += HOUR
    assert clock.now() == START + 3 * HOUR


def test_what_it_told_stays_true_after_a_jump_ahead_is_taken_back(passed: list[timedelta]) -> None:
    clock = Clock(START)
    clock.tell(START + HOUR)
    assert clock.now() == START + HOUR
    clock.tell(START)
    assert clock.now() == START + HOUR
    passed[0] += HOUR
    assert clock.now() == START + 2 * HOUR
