"""What `make bench` says about its gates: reached or missed, and whether within the noise."""

import pytest

from bench.gates import Gate, verdict
from bench.machine import Machine
from bench.rounds import Samples

GATE = Gate("ours / theirs", "group", ["ours"], ["theirs"], least=2.0)


def _samples(**rates: list[float]) -> Samples:
    return {("group", row): [{"rate": rate} for rate in rounds] for row, rounds in rates.items()}


@pytest.mark.parametrize(
    ("ours", "words"),
    [
        ([20, 25, 30], "reached"),
        ([19, 25, 30], "reached, within its noise"),
        ([10, 19, 30], "MISSED, within its noise"),
        ([10, 15, 19], "MISSED"),
        ([20], "reached, measured once"),
    ],
)
def test_a_gate_within_its_noise_says_so(ours: list[float], words: str) -> None:
    found = verdict(GATE, _samples(ours=ours, theirs=[10.0] * len(ours)))
    assert str(found).endswith(f" {words}")
    assert found.reached == words.startswith("reached")


def test_the_noise_of_many_rounds_is_that_of_their_median() -> None:
    found = verdict(GATE, _samples(ours=[float(rate) for rate in range(100)], theirs=[1.0] * 100))
    assert (found.lowest, found.median, found.highest) == (40, 49.5, 59)


def test_a_ratio_is_taken_round_by_round_since_the_machine_changes_between_them() -> None:
    found = verdict(GATE, _samples(ours=[20, 400, 60], theirs=[10, 100, 20]))
    assert (found.lowest, found.median, found.highest) == (2, 3, 4)


def test_the_worst_row_is_compared_with_the_best_of_the_others() -> None:
    gate = Gate("slowest / fastest", "group", ["a", "b"], ["c", "d"], least=1.0)
    assert verdict(gate, _samples(a=[4], b=[6], c=[1], d=[2])).median == 2


def test_of_what_may_be_at_most_the_row_with_most_counts() -> None:
    gate = Gate("milliseconds", "group", ["a", "b"], most=50)
    assert verdict(gate, _samples(a=[1, 1, 1], b=[49, 50, 51])).reached
    assert not verdict(gate, _samples(a=[1, 1, 1], b=[49, 51, 51])).reached


def test_a_strict_gate_is_missed_by_a_single_round() -> None:
    gate = Gate("503s", "group", ["a", "b"], most=0, strict=True)
    assert verdict(gate, _samples(a=[0, 0, 0], b=[0, 0, 0])).reached
    found = verdict(gate, _samples(a=[0, 0, 0], b=[0, 0, 1]))
    assert str(found).endswith(" MISSED")
    assert not found.reached


def test_an_interpreter_that_is_not_optimised_is_warned_of() -> None:
    assert "PGO" in Machine("CPython", ("LTO",), "processor", 2).warning
    assert not Machine("CPython", ("PGO", "LTO"), "processor", 2).warning
