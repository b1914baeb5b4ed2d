"""What the project holds itself to: ratios of rows measured by turns, and limits of single rows."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from .once import DELAY, LARGE_INBOX, ONCE
from .operations import ASKING, BULKS, CONCURRENT, EMBEDDED, FASTAPI, FORM, ON_MARIADB, POLLED
from .rounds import Samples
from .transfers import CEILING, DATABASE, EVERYTHING, KEY, PARTS, WITH_KEY


class Gate(NamedTuple):
    """The least, or the most, that a column of a row may be, beside the most of other rows if there are any.

    Of several rows, the worst counts. What is `strict` must be so in every round, else in the median.
    """

    name: str
    group: str
    rows: Sequence[str]
    against: Sequence[str] = ()
    column: str = "rate"
    least: float | None = None
    most: float | None = None
    strict: bool = False


class Verdict(NamedTuple):
    """What was measured: the median of the rounds, and where it lies with 95 %, which is the noise.

    Of five rounds, that is between the least and the most.
    """

    gate: Gate
    median: float
    lowest: float
    highest: float
    rounds: int

    @property
    def reached(self) -> bool:
        return self._keeps(self.median) and not (self.gate.strict and self._differ())

    @property
    def within_noise(self) -> bool:
        """Whether more rounds could decide otherwise."""
        return not self.gate.strict and self._differ()

    def _differ(self) -> bool:
        return self._keeps(self.lowest) != self._keeps(self.highest)

    def _keeps(self, value: float) -> bool:
        least, most = self.gate.least, self.gate.most
        return (least is None or value >= least) and (most is None or value <= most)

    def __str__(self) -> str:
        gate = self.gate
        bound = f"at most {gate.most:g}" if gate.least is None else f"at least {gate.least:g}"
        words = "reached" if self.reached else "MISSED"
        words += ", within its noise" if self.within_noise else ""
        words += ", measured once" if self.rounds == 1 else ""
        spread = f"{self.lowest:.2f} to {self.highest:.2f}"
        return f"{gate.name:58} {self.median:7.2f}  {bound:13}  {spread:18} {words}"


def _of_operations(group: str) -> list[Gate]:
    def ratio(name: str, other: str, least: float) -> Gate:
        return Gate(f"{name} / {other}", group, [name], [other], least=least)

    asking = [*ASKING, POLLED]
    return [
        ratio("recharges", "transfers", 0.95),
        ratio("declined transfers", "transfers", 1.0),
        ratio("replays", "transfers", 1.3),
        Gate(f"{FORM} / the fastest that asks the database", group, [FORM], asking, least=1.0),
        ratio("balance queries", "transfers", 1.3),
        ratio("order queries", "balance queries", 0.9),
        ratio(POLLED, "balance queries", 0.4),
        ratio("openings", "transfers", 0.5),
        ratio(BULKS, "transfers", 2.0),
        Gate(
            "503s of any operation, 256 connections", group, CONCURRENT, column="unavailable", most=0, strict=True
        ),
    ]


GATES = [
    Gate("transfers / by statement", DATABASE, [EVERYTHING], ["database by statement"], least=2.5),
    Gate("transfers / by procedure", DATABASE, [EVERYTHING], ["database by procedure"], least=1.3),
    Gate(
        "hot payee / by statement, hot",
        DATABASE,
        [f"{EVERYTHING}, hot"],
        ["database by statement, hot"],
        least=6.0,
    ),
    Gate(
        "transfers taken and delivered / taken",
        DATABASE,
        [f"{EVERYTHING}, longer"],
        column="delivered",
        least=0.95,
    ),
    Gate("p99 at 256 connections, ms", DATABASE, [EVERYTHING], column="p99_ms", most=50.0),
    Gate("through nginx / straight", PARTS, ["through nginx"], [EVERYTHING], least=0.8),
    Gate("with a key / open", KEY, [WITH_KEY], [EVERYTHING], least=0.97),
    Gate(
        "listener off, log at WARNING / aiohttp's constant",
        CEILING,
        ["listener off, log at WARNING"],
        ["aiohttp's constant reply"],
        least=0.6,
    ),
    *_of_operations(ON_MARIADB),
    Gate("embedded, everything on / FastAPI on MariaDB", EMBEDDED, ["transfers"], [FASTAPI], least=6.0),
    *_of_operations(EMBEDDED),
    Gate("from commit to message at 1,000/s, p99, ms", ONCE, [DELAY], column="p99_ms", most=250.0),
    Gate(
        "a page of 1,000,000 messages, median, ms", ONCE, [f"{LARGE_INBOX}first page"], column="p50_ms", most=5.0
    ),
    Gate("a page in their middle, median, ms", ONCE, [f"{LARGE_INBOX}cursor, middle"], column="p50_ms", most=5.0),
]


def verdicts(samples: Samples) -> list[Verdict]:
    """Return what was measured for each gate."""
    return [verdict(gate, samples) for gate in GATES]


def verdict(gate: Gate, samples: Samples) -> Verdict:
    """Return what was measured for a gate, whose ratio is taken within each round."""
    worst = min if gate.most is None else max
    values = [worst(round_) for round_ in _rounds(samples, gate, gate.rows)]
    if gate.against:
        others = _rounds(samples, gate, gate.against)
        values = [value / max(other) for value, other in zip(values, others, strict=True)]
    lowest, highest = (min(values), max(values)) if gate.strict else _interval(values)
    return Verdict(gate, statistics.median(values), lowest, highest, len(values))


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the interval of the median: the values at n/2 -+ the square root of n, of n in order.

    So many of them lie below the true median: n/2, with a standard deviation of half that root.
    """
    rank = max(0, int(len(values) / 2 - math.sqrt(len(values))))
    ordered = sorted(values)
    return ordered[rank], ordered[-1 - rank]


def _rounds(samples: Samples, gate: Gate, rows: Sequence[str]) -> list[tuple[float, ...]]:
    """Return the gate's column of the rows, round by round."""
    return list(zip(*([one[gate.column] for one in samples[gate.group, row]] for row in rows), strict=True))
