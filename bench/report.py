"""The results: a table to read, JSON for programs, a chart to look at."""

import json
import os
import platform
import statistics
from operator import truediv
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).resolve().parent / "results"

# What the project holds itself to: a ratio of two rows, and the least it should be.
RATIOS = (
    (
        "uniform transfers / database by statement",
        ("MyAccount", "uniform"),
        ("database, by statement", "uniform"),
        2.5,
    ),
    (
        "uniform transfers / database by procedure",
        ("MyAccount", "uniform"),
        ("database, by procedure", "uniform"),
        1.0,
    ),
    ("hot payee / database by statement, hot", ("MyAccount", "hot"), ("database, by statement", "hot"), 6.0),
    ("hot payee / uniform", ("MyAccount", "hot"), ("MyAccount", "uniform"), 0.8),
    ("uniform transfers / the best naive peer", ("MyAccount", "uniform"), ("FastAPI", "uniform"), 10.0),
    ("uniform transfers / aiohttp's ceiling", ("MyAccount", "uniform"), ("aiohttp's ceiling", "uniform"), 0.3),
    ("orders in bulks / uniform transfers", ("MyAccount", "bulks of 500"), ("MyAccount", "uniform"), 5.0),
    ("openings / uniform transfers", ("MyAccount", "openings"), ("MyAccount", "uniform"), 0.5),
    (
        "embedded, openings / uniform transfers",
        ("MyAccount, embedded", "openings"),
        ("MyAccount, embedded", "uniform"),
        0.5,
    ),
    (
        "embedded, orders in bulks / uniform transfers",
        ("MyAccount, embedded", "bulks of 500"),
        ("MyAccount, embedded", "uniform"),
        5.0,
    ),
    (
        "embedded, one process / the best naive peer",
        ("MyAccount, embedded", "uniform"),
        ("FastAPI", "uniform"),
        3.0,
    ),
    (
        "transfers posted and dispatched / posted",
        ("MyAccount, dispatch", "uniform"),
        ("MyAccount", "uniform"),
        0.5,
    ),
    (
        "posted and dispatched for a minute / posted for a minute",
        ("MyAccount, dispatch", "a minute"),
        ("MyAccount", "a minute"),
        0.5,
    ),
    (
        "transfers while holds end / before",
        ("MyAccount, dispatch", "while holds end"),
        ("MyAccount, dispatch", "before holds end"),
        0.8,
    ),
    ("order queries / balance queries", ("MyAccount", "order queries"), ("MyAccount", "balance queries"), 0.9),
    ("through nginx / straight", ("MyAccount", "through nginx"), ("MyAccount", "with metrics"), 0.8),
    ("with metrics / without them", ("MyAccount", "with metrics"), ("MyAccount", "without metrics"), 0.97),
    ("with a key / without", ("MyAccount", "with a key"), ("MyAccount", "with metrics"), 0.97),
    ("latency alone, median / the naive peer's (at most)", ("MyAccount", "alone"), ("FastAPI", "alone"), 1.0),
)

# And what a row must not pass, in milliseconds.
LIMITS = (
    ("from commit to message at 1,000/s, p99", ("MyAccount, dispatch", "delay at 1,000/s"), "p99_ms", 250.0),
    ("a page of 1,000,000 messages, median", ("inbox of 1,000,000", "first page"), "p50_ms", 5.0),
    ("a page in their middle by cursor, median", ("inbox of 1,000,000", "cursor, middle"), "p50_ms", 5.0),
)

# Who did what, and each measurement of it, round by round.
Samples = dict[tuple[str, str], list[dict[str, Any]]]


class Row(NamedTuple):
    """Who did what, at which rate a second, with which latency: medians of all rounds."""

    who: str
    what: str
    rate: float
    p50_ms: float | None
    p99_ms: float | None

    def __str__(self) -> str:
        latency = f"{self.p50_ms:9.2f} {self.p99_ms:9.2f}" if self.p50_ms and self.p99_ms else " " * 19
        return f"{self.who:24} {self.what:16} {self.rate:9.0f} {latency}".rstrip()


def _rows(samples: Samples) -> list[Row]:
    def median(measured: list[dict[str, Any]], name: str) -> float | None:
        return statistics.median(one[name] for one in measured) if name in measured[0] else None

    return [
        Row(who, what, median(measured, "rate") or 0, median(measured, "p50_ms"), median(measured, "p99_ms"))
        for (who, what), measured in samples.items()
    ]


def ratios(samples: Samples) -> list[tuple[str, float, float]]:
    """Return each ratio's name, its median over the rounds, and the least it should be."""
    return [
        (name, statistics.median(map(truediv, _best(samples, *one), _best(samples, *other))), least)
        for name, one, other, least in RATIOS
    ]


def _best(samples: Samples, who: str, what: str) -> list[float]:
    """Return each round's rate, or latency where one client is alone, of the best whose name begins so."""
    names = [who] if (who, what) in samples else [name for name, done in samples if name.startswith(who)]
    by_round = zip(*(samples[name, what] for name in dict.fromkeys(names)), strict=True)
    if what == "alone":
        return [min(one["p50_ms"] for one in round_) for round_ in by_round]
    return [max(one["rate"] for one in round_) for round_ in by_round]


def table(samples: Samples) -> str:
    lines = [f"{'':24} {'':16} {'a second':>9} {'p50 ms':>9} {'p99 ms':>9}", *map(str, _rows(samples)), ""]
    lines += [f"{name:52} {value:6.2f}   {least:5.2f}" for name, value, least in ratios(samples)]
    lines += [f"{name:52} {value:6.1f}   {most:5.1f} (at most)" for name, value, most in limits(samples)]
    return "\n".join(lines) + "\n"


def limits(samples: Samples) -> list[tuple[str, float, float]]:
    """Return each limit's name, the median of what was measured, and the most it should be."""
    return [
        (name, statistics.median(one[column] for one in samples[row]), most) for name, row, column, most in LIMITS
    ]


def chart(samples: Samples) -> str:
    """Return the transfers a second as bars, in SVG."""
    bars = [row for row in _rows(samples) if row.what in ("uniform", "hot")]
    bars.sort(key=lambda row: (row.what != "uniform", -row.rate))
    most = max(row.rate for row in bars)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{40 + 26 * len(bars)}"'
        ' font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        '<text x="10" y="22" font-weight="bold">Transfers a second</text>',
    ]
    for number, row in enumerate(bars):
        top = 36 + 26 * number
        width = 400 * row.rate / most
        colour = "#24508f" if row.who.startswith("MyAccount") else "#a9b4c2"
        lines += [
            f'<text x="10" y="{top + 15}">{row.who}, {row.what}</text>',
            f'<rect x="240" y="{top}" width="{width:.0f}" height="20" fill="{colour}"/>',
            f'<text x="{246 + width:.0f}" y="{top + 15}">{row.rate:,.0f}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def write_report(samples: Samples, workers: int) -> None:
    rows = [row._asdict() | {"rounds": samples[row.who, row.what]} for row in _rows(samples)]
    found = [{"name": name, "value": value, "least": least} for name, value, least in ratios(samples)]
    kept = [{"name": name, "value": value, "most": most} for name, value, most in limits(samples)]
    _write_json("results", {"workers": workers, "rows": rows, "ratios": found, "limits": kept})
    (FOLDER / "results.txt").write_text(table(samples))
    (FOLDER / "results.svg").write_text(chart(samples))
    print(table(samples))


def write_scale(small: list[float], large: list[float], measured: dict[str, float]) -> None:
    """Write the rates with few accounts and with a million, and what else was measured with a million."""
    ratio = statistics.median(many / few for few, many in zip(small, large, strict=True))
    _write_json("scale", {"small": small, "large": large, "ratio": ratio, **measured})
    print(f"large / small {ratio:.2f} (at least 0.85); {measured}")


def write_endurance(minutes: list[dict[str, float]]) -> None:
    _write_json("endurance", {"minutes": minutes})


def _write_json(name: str, results: dict[str, Any]) -> None:
    FOLDER.mkdir(exist_ok=True)
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    (FOLDER / f"{name}.json").write_text(json.dumps({"machine": machine, **results}, indent=1) + "\n")
