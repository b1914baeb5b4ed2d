"""What the service counts and measures, for Prometheus; nothing else knows prometheus_client.

A process keeps its counts in its memory. Under gunicorn each worker keeps them in files that are its slot's, and
whichever worker is asked adds up the files of all (slots.py).
"""

import os
import platform
import time
from bisect import bisect_left
from collections import Counter as CounterOf
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client import values as prometheus_values
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.mmap_dict import mmap_key
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from ..settings.paths import own_version
from .count_file import CountFile
from .slots import FOLDER_VARIABLE, SLOT_VARIABLE, STARTED_VARIABLE

# The text format that every Prometheus takes.
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# What a route or method is counted as that is none of ours: clients can make up as many as they like.
OTHER: Final = "other"
METHODS: Final = frozenset(("GET", "HEAD", "POST"))

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
# So many at most are noted and not counted yet, of each kind.
NOTED_LIMIT: Final = 1000
COMMANDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)

_slot: Final = os.environ.get(SLOT_VARIABLE)
_started: Final = float(os.environ.get(STARTED_VARIABLE) or time.time())
# Whether other processes serve beside this one and are asked together with it.
AMONG_OTHERS: Final = _slot is not None


class SlotValue:
    """A number in one of the slot's files, which goes on where the slot's last worker left it.

    prometheus_client's own takes a lock and looks for a fork each time, which costs half as much again; a worker
    counts in one thread and forks no other.
    """

    _multiprocess = True
    _files: Final[dict[str, CountFile]] = {}

    def __init__(
        self,
        kind: str,
        metric_name: str,
        name: str,
        label_names: Iterable[str],
        label_values: Iterable[str],
        help_text: str,
        multiprocess_mode: str = "",
        **_: object,
    ) -> None:
        kind = f"{kind}_{multiprocess_mode}" if multiprocess_mode else kind
        if kind not in self._files:
            folder = os.environ.get(FOLDER_VARIABLE)
            self._files[kind] = CountFile(Path(folder, f"{kind}_{_slot}.db") if folder else None, kind)
        self._key = mmap_key(metric_name, name, list(label_names), list(label_values), help_text)
        found = self._files[kind].read(self._key)
        # Without room in the file the number is this process's alone.
        self._file = None if found is None else self._files[kind]
        self._value = found or 0.0

    def inc(self, amount: float) -> None:
        self.set(self._value + amount)

    def set(self, value: float, timestamp: float | None = None) -> None:
        self._value = value
        if self._file is not None:
            self._file.write(self._key, value)

    def get(self) -> float:
        return self._value

    def get_exemplar(self) -> None:
        """Return none, for prometheus_client: it asks when there are no files to add up."""


if AMONG_OTHERS:
    # Before the first of them is made, a few lines below.
    prometheus_values.ValueClass = SlotValue
disable_created_metrics()

_registry: Final = CollectorRegistry()
_own: Final[dict[str, Any]] = {"namespace": "myaccount", "registry": _registry}
_SUM: Final[dict[str, Any]] = {**_own, "multiprocess_mode": "livesum"}
_MOST: Final[dict[str, Any]] = {**_own, "multiprocess_mode": "livemax"}

_REQUESTS: Final = Histogram(
    "http_request_duration_seconds",
    "How long the answers took, by the route's address, method and status; a stream, as long as it is followed.",
    ["route", "method", "status"],
    buckets=SECONDS,
    **_own,
)
_REFUSALS: Final = Counter("refusals", "Requests refused, by the code of the error.", ["code"], **_own)
BATCH_COMMANDS: Final = Histogram(
    "batch_commands", "Orders that the journal took into one transaction.", buckets=COMMANDS, **_own
)
_ORDERS: Final = Counter(
    "orders",
    "Orders answered, by type and outcome: posted, declined, replayed, refused.",
    ["type", "outcome"],
    **_own,
)
_TRANSACTIONS: Final = Counter(
    "transactions",
    "Transactions (kind batch, write or read), with all their attempts: done, unavailable (the database did not"
    " let them), overloaded (no connection came free).",
    ["kind", "outcome"],
    **_own,
)
RETRIES: Final = Counter("transaction_retries", "Attempts of transactions that the database failed.", **_own)
WAITING_COMMANDS: Final = Gauge("waiting_commands", "Orders that wait for the journal's writer.", **_SUM)
WAITING_AGE: Final = Gauge("waiting_command_age_seconds", "How long the first of them has waited.", **_MOST)
MESSAGES: Final = Counter("messages_written", "Messages written to inboxes.", **_own)
_DELIVERIES: Final = Counter(
    "deliveries",
    "Requests to the endpoints of callbacks, by host and result: ok, failed, gone (410).",
    ["host", "result"],
    **_own,
)
_STREAMS: Final = Gauge("streams", "Live streams that are being followed.", **_SUM)
CONNECTIONS: Final = Gauge("pool_connections_in_use", "Connections to the database in use.", **_SUM)
CONNECTIONS_LIMIT: Final = Gauge("pool_connections_limit", "Connections to the database there may be.", **_SUM)
PROCESSES: Final = Gauge("processes", "Processes that serve here.", **_SUM)
STARTS: Final = Counter("process_starts", "Processes that began to serve here.", **_own)

if not AMONG_OTHERS:
    # Among others it would be one worker's, now this one's and now that one's.
    ProcessCollector(registry=_registry)

# What is found out when it is asked for, by name: what it means, and its labels.
_FOUND: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "ready": ("Whether the service can settle orders, as /readyz says.", ()),
    "database_up": ("Whether the database answers.", ()),
    "redis_up": ("Whether Redis answers and takes and gives events, where one is configured.", ()),
    "events_waiting": ("Events not told yet, counted up to 10,000.", ()),
    "events_oldest_age_seconds": ("The age of the oldest of the 1,000 events that are due first.", ()),
    "events_set_aside": ("Events that could not be told, counted up to 10,000.", ()),
    "deliveries_waiting": ("Requests owed to endpoints, by host, counted up to 10,000 each endpoint.", ("host",)),
    "deliveries_oldest_age_seconds": ("The age of the oldest of the 1,000 that are due first.", ("host",)),
    "deliveries_set_aside": ("Requests that failed to the last, counted up to 10,000 each endpoint.", ("host",)),
    "start_time_seconds": ("When the service started: gunicorn's master, or the process, since 1970.", ()),
    "build_info": ("Which version runs on which Python.", ("version", "python")),
}


class Found(NamedTuple):
    """One value of what is found out when it is asked for."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


@lru_cache(None)
def _labelled(metric: Any, *labels: str | int) -> Any:
    """Return the metric with these labels, of which there must be few: prometheus_client finds it more slowly."""
    return metric.labels(*labels)


# The answers that are not counted yet, by route, method and status: how long each took.
_answers: Final[dict[tuple[str, str, int], list[float]]] = {}


def count_request(route: str | None, method: str, status: int, seconds: float) -> None:
    """Count an answer; `route` is the template of the address, or None if it is none of ours.

    It is only noted, since to count each cost up to a twentieth of the rate; `count_noted` counts them together.
    """
    key = (route or OTHER, method if method in METHODS else OTHER, status)
    noted = _answers.get(key)
    if noted is None:
        noted = _answers[key] = []
    noted.append(seconds)
    if len(noted) >= NOTED_LIMIT:
        _count_answers(key, noted)


def count_noted() -> None:
    """Count what was noted; only in the event loop's thread, which notes."""
    for key, noted in _answers.items():
        _count_answers(key, noted)


def _count_answers(key: tuple[str, str, int], noted: list[float]) -> None:
    """Do what the histogram would with each, at once."""
    histogram = _labelled(_REQUESTS, *key)
    for place, count in CounterOf(bisect_left(SECONDS, seconds) for seconds in noted).items():
        histogram._buckets[place].inc(count)
    histogram._sum.inc(sum(noted))
    noted.clear()


def count_refusal(code: str) -> None:
    _labelled(_REFUSALS, code).inc()


def count_orders(types_and_outcomes: Iterable[tuple[str, str]]) -> None:
    for labels, count in CounterOf(types_and_outcomes).items():
        _labelled(_ORDERS, *labels).inc(count)


def count_transaction(kind: str, outcome: str) -> None:
    _labelled(_TRANSACTIONS, kind, outcome).inc()


def count_delivery(host: str, result: str) -> None:
    _labelled(_DELIVERIES, host, result).inc()


@contextmanager
def stream_followed() -> Iterator[None]:
    """Count a stream for as long as the context lasts."""
    _STREAMS.inc()
    try:
        yield
    finally:
        _STREAMS.dec()


def exposition(found: Iterable[Found]) -> bytes:
    """Return all in Prometheus's text format: of every process here, and with it what was found out just now."""
    counted = _registry
    if AMONG_OTHERS and FOLDER_VARIABLE in os.environ:
        counted = CollectorRegistry()
        MultiProcessCollector(counted)
    always = [_build(), Found("start_time_seconds", _started)]
    return generate_latest(counted) + generate_latest(_FoundNow([*found, *always]))


class _FoundNow(Collector):
    def __init__(self, found: Iterable[Found]) -> None:
        self._found = found

    def collect(self) -> Iterator[GaugeMetricFamily]:
        families: dict[str, GaugeMetricFamily] = {}
        for name, value, labels in self._found:
            meaning, label_names = _FOUND[name]
            family = families.setdefault(name, GaugeMetricFamily(f"myaccount_{name}", meaning, labels=label_names))
            family.add_metric(labels, value)
        yield from families.values()


def _build() -> Found:
    return Found("build_info", 1, (own_version(), platform.python_version()))
