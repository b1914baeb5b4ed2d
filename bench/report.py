"""The results: a table to read, JSON for programs, a chart to look at."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .gates import Verdict, verdicts
from .machine import Machine, this_machine
from .operations import EMBEDDED, FASTAPI
from .rounds import Result, Samples
from .transfers import CEILING, DATABASE, EVERYTHING

FOLDER = Path(__file__).resolve().parent / "results"

# The columns of the table by what the results call them.
COLUMNS = {
    "rate": "a second",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "cpu_us": "workers us",
    "database_us": "MariaDB us",
    "queue_us": "Redis us",
}
BARS = {
    "aiohttp's constant reply": (CEILING, "aiohttp's constant reply"),
    "MyAccount, everything on": (DATABASE, EVERYTHING),
    "MyAccount, embedded": (EMBEDDED, "transfers"),
    "database by procedure": (DATABASE, "database by procedure"),
    "database by statement": (DATABASE, "database by statement"),
    "FastAPI": (EMBEDDED, FASTAPI),
    "MyAccount, one payee": (DATABASE, f"{EVERYTHING}, hot"),
    "database by statement, one payee": (DATABASE, "database by statement, hot"),
}


def write_report(samples: Samples, workers: int) -> bool:
    """Write and print the report; return whether all gates are reached."""
    machine, found = this_machine(), verdicts(samples)
    rows = [
        {"group": group, "row": row, **medians(rounds), "rounds": rounds}
        for (group, row), rounds in samples.items()
    ]
    gates = [{**verdict.gate._asdict(), **_measured(verdict)} for verdict in found]
    _write_json("results", machine, {"workers": workers, "rows": rows, "gates": gates})
    text = table(samples, found, machine, workers)
    (FOLDER / "results.txt").write_text(text)
    (FOLDER / "results.svg").write_text(chart(samples))
    print(text)
    return all(verdict.reached for verdict in found)


def _measured(verdict: Verdict) -> dict[str, Any]:
    return {
        **{name: value for name, value in verdict._asdict().items() if name != "gate"},
        "reached": verdict.reached,
        "within_noise": verdict.within_noise,
    }


def medians(rounds: Sequence[Result]) -> Result:
    """Return the medians of the columns that the results have."""
    return {name: statistics.median(one[name] for one in rounds) for name in COLUMNS if name in rounds[0]}


def table(samples: Samples, found: Sequence[Verdict], machine: Machine, workers: int) -> str:
    lines = [str(machine), f"{workers} workers", *filter(None, [machine.warning])]
    groups = dict.fromkeys(group for group, _ in samples)
    for group in groups:
        lines += ["", f"{group:32}" + "".join(f"{title:>12}" for title in COLUMNS.values())]
        lines += [row_line(row, rounds) for (of, row), rounds in samples.items() if of == group]
        of_group = [str(verdict) for verdict in found if verdict.gate.group == group]
        lines += ["", *of_group] if of_group else []
    return "\n".join(lines) + "\n"


def row_line(name: str, rounds: Sequence[Result]) -> str:
    found = medians(rounds)
    cells = [
        f"{found[column]:12,.{0 if column == 'rate' else 1}f}" if column in found else " " * 12
        for column in COLUMNS
    ]
    return f"{name:32}{''.join(cells)}".rstrip()


def chart(samples: Samples) -> str:
    """Return the transfers a second as bars, in SVG."""
    rates = {title: medians(samples[row])["rate"] for title, row in BARS.items()}
    most = max(rates.values())
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{40 + 26 * len(rates)}"'
        ' font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        '<text x="10" y="22" font-weight="bold">Transfers a second</text>',
    ]
    for number, (title, rate) in enumerate(rates.items()):
        top = 36 + 26 * number
        width = 400 * rate / most
        colour = "#24508f" if title.startswith("MyAccount") else "#a9b4c2"
        lines += [
            f'<text x="10" y="{top + 15}">{title}</text>',
            f'<rect x="240" y="{top}" width="{width:.0f}" height="20" fill="{colour}"/>',
            f'<text x="{246 + width:.0f}" y="{top + 15}">{rate:,.0f}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def write_scale(small: list[float], large: list[float], measured: dict[str, float]) -> None:
    """Write the rates with few accounts and with a million, and what else was measured with a million."""
    ratio = statistics.median(many / few for few, many in zip(small, large, strict=True))
    _write_json("scale", this_machine(), {"small": small, "large": large, "ratio": ratio, **measured})
    print(f"large / small {ratio:.2f} (at least 0.85); {measured}")


def write_endurance(minutes: list[dict[str, float]]) -> None:
    _write_json("endurance", this_machine(), {"minutes": minutes})


def _write_json(name: str, machine: Machine, results: dict[str, Any]) -> None:
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps({"machine": machine._asdict(), **results}, indent=1) + "\n")
