"""Rows that are measured by turns, because a machine's speed changes from minute to minute."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Result = dict[str, Any]
# By group and row: the results, round by round.
Samples = dict[tuple[str, str], list[Result]]
# By name: what measures a row once.
Rows = Mapping[str, Callable[[], Result]]


class Plan(NamedTuple):
    """How long each row is measured in a round, how often, and with how many processes of each service."""

    seconds: int
    rounds: int
    workers: int


def by_turns(samples: Samples, group: str, rows: Rows, rounds: int) -> None:
    """Measure all rows once a round."""
    for number in range(rounds):
        print(f"{group}, round {number + 1} of {rounds}", flush=True)
        # The order matters too, so it alternates.
        for name in list(rows) if number % 2 == 0 else list(rows)[::-1]:
            note(samples, group, name, rows[name]())


def note(samples: Samples, group: str, name: str, result: Result) -> None:
    samples.setdefault((group, name), []).append(result)
    print(f"{name:32} {result['rate']:9.0f}", flush=True)
