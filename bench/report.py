"""The results: a table to read, JSON for programs, a chart to look at."""

import json
import os
import platform
import statistics
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
    (
        "embedded, one process / the best naive peer",
        ("MyAccount, embedded", "uniform"),
        ("FastAPI", "uniform"),
        3.0,
    ),
)


class Row(NamedTuple):
    """One measurement: who did what, at which rate a second, with which latency."""

    who: str
    what: str
    rate: float
    p50_ms: float | None
    p99_ms: float | None
    details: dict[str, Any]

    def __str__(self) -> str:
        latency = f"{self.p50_ms:9.2f} {self.p99_ms:9.2f}" if self.p50_ms and self.p99_ms else " " * 19
        return f"{self.who:24} {self.what:16} {self.rate:9.0f} {latency}"


def _best(rows: list[Row], who: str, what: str) -> float:
    """Return the best rate of those whose name begins so; a peer has two drivers."""
    exact = [row.rate for row in rows if row.who == who and row.what == what]
    return max(exact or [row.rate for row in rows if row.who.startswith(who) and row.what == what])


def ratios(rows: list[Row]) -> list[tuple[str, float, float]]:
    """Return each ratio's name, its value, and the least it should be; latency's is the other way round."""
    found = [(name, _best(rows, *one) / _best(rows, *other), least) for name, one, other, least in RATIOS]
    alone = {row.who: row.p50_ms for row in rows if row.what == "alone" and row.p50_ms}
    peer = min(latency for who, latency in alone.items() if who.startswith("FastAPI"))
    return [*found, ("latency alone, median / the naive peer's (at most)", alone["MyAccount"] / peer, 1.0)]


def table(rows: list[Row]) -> str:
    lines = [f"{'':24} {'':16} {'a second':>9} {'p50 ms':>9} {'p99 ms':>9}", *map(str, rows), ""]
    lines += [f"{name:52} {value:6.2f}   {least:5.2f}" for name, value, least in ratios(rows)]
    return "\n".join(lines) + "\n"


def chart(rows: list[Row]) -> str:
    """Return the transfers a second as bars, in SVG."""
    bars = [row for row in rows if row.what in ("uniform", "hot")]
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


def write_report(rows: list[Row], workers: int) -> None:
    _write_json(
        "results",
        {
            "workers": workers,
            "rows": [row._asdict() for row in rows],
            "ratios": [{"name": name, "value": value, "least": least} for name, value, least in ratios(rows)],
        },
    )
    (FOLDER / "results.txt").write_text(table(rows))
    (FOLDER / "results.svg").write_text(chart(rows))
    print(table(rows))


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
