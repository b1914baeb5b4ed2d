"""Probes and metrics of the service, as monitoring sees them."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

# A reply that hangs takes 5 seconds or more at each attempt. A busy machine stalls one attempt, not all of them.
ANSWER_SECONDS = 4
ATTEMPTS = 3


class Answer(NamedTuple):
    """A reply and its duration."""

    status: int
    text: str
    seconds: float


class Scrape:
    """The metrics at one moment, by name and labels."""

    def __init__(self, text: str) -> None:
        self.samples = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __getitem__(self, name: str) -> float:
        """Return the sum of all samples of that name, of which there must be one."""
        values = [value for (sample, _), value in self.samples.items() if sample == name]
        assert values, f"{name} is not among the metrics"
        return sum(values)

    def where(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of that name with those labels, zero without any."""
        wanted = set(labels.items())
        return sum(v for (sample, has), v in self.samples.items() if sample == name and wanted <= set(has))

    def labels(self) -> Mapping[str, set[str]]:
        """Return the names of the labels of each name."""
        found: dict[str, set[str]] = {}
        for name, labels in self.samples:
            found.setdefault(name, set()).update(label for label, _ in labels)
        return found


def ask(port: int, path: str, timeout_seconds: float = 60) -> Answer:
    """Send a request on a new connection."""
    began = time.monotonic()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout_seconds) as response:
            status, text = response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read().decode()
    return Answer(status, text, time.monotonic() - began)


def _ask_in_time(port: int, path: str) -> Answer:
    """Return an answer that came in time."""
    for _ in range(ATTEMPTS):
        with suppress(TimeoutError):
            answer = ask(port, path, 2 * ANSWER_SECONDS)
            if answer.seconds < ANSWER_SECONDS:
                return answer
    raise AssertionError(f"{path} was not answered within {ANSWER_SECONDS} seconds, {ATTEMPTS} times")


def scrape(port: int) -> Scrape:
    answer = _ask_in_time(port, "/metrics")
    assert answer.status == 200, answer
    return Scrape(answer.text)


async def readiness(port: int) -> dict[str, object]:
    """Return what /readyz answers, in time and with the status that goes with it."""
    answer = await asyncio.to_thread(_ask_in_time, port, "/readyz")
    checks: dict[str, object] = json.loads(answer.text)
    assert answer.status == (200 if checks["ready"] else 503)
    return checks
