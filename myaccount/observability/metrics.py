"""The metrics that the service counts, for Prometheus (docs/operations.rst), and the functions that count.

A process keeps its counts in memory. gunicorn's workers keep them in files, so that each can report them all
(slots.py).
"""

from bisect import bisect_left
from collections import Counter as CounterOf
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

from .slot_values import MULTIPROCESS, add_observations, use_slot

# The label for routes and methods that the service does not have: clients can invent any number of them.
OTHER: Final = "other"
METHODS: Final = frozenset(("GET", "HEAD", "POST"))

# The bounds of the buckets.
DURATION_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
# How many durations of one kind are kept until they are counted.
NOTED_LIMIT: Final = 1000

# Before the first metric is made.
use_slot()
disable_created_metrics()

REGISTRY: Final = CollectorRegistry()
_own: Final[dict[str, Any]] = {"namespace": "myaccount", "registry": REGISTRY}
_SUM: Final[dict[str, Any]] = {**_own, "multiprocess_mode": "livesum"}
_MAXIMUM: Final[dict[str, Any]] = {**_own, "multiprocess_mode": "livemax"}

_REQUESTS: Final = Histogram(
    "http_request_duration_seconds",
    "How long the answers took, by the route's address, method and status; a stream, as long as it is followed.",
    ["route", "method", "status"],
    buckets=DURATION_BUCKETS,
    **_own,
)
_REFUSALS: Final = Counter("refusals", "Requests refused, by the code of the error.", ["code"], **_own)
BATCH_COMMANDS: Final = Histogram(
    "batch_commands",
    "Orders and openings that the journal took into one transaction.",
    buckets=BATCH_BUCKETS,
    **_own,
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
WAITING_AGE: Final = Gauge("waiting_command_age_seconds", "How long the first of them has waited.", **_MAXIMUM)
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

if not MULTIPROCESS:
    # With several workers it would report an arbitrary one.
    ProcessCollector(registry=REGISTRY)


@lru_cache(None)
def _labelled(metric: Any, *labels: str | int) -> Any:
    """Return the metric with these labels, from a cache without a limit: prometheus_client finds it more slowly.

    There must be few combinations of labels.
    """
    return metric.labels(*labels)


# The durations that are not counted yet, by route, method and status.
_noted: Final[dict[tuple[str, str, int], list[float]]] = {}


def count_request(route: str | None, method: str, status: int, seconds: float) -> None:
    """Count a reply; `route` is the template of the address, or None if the service has no such route.

    The duration is only noted here, because counting each one cost up to 5% of the throughput. `count_noted`
    counts many together.
    """
    key = (route or OTHER, method if method in METHODS else OTHER, status)
    noted = _noted.get(key)
    if noted is None:
        noted = _noted[key] = []
    noted.append(seconds)
    if len(noted) >= NOTED_LIMIT:
        _count_durations(key, noted)


def count_noted() -> None:
    """Count what was noted. Call it only in the event loop's thread, which is the one that notes."""
    for key, noted in _noted.items():
        _count_durations(key, noted)


def _count_durations(key: tuple[str, str, int], noted: list[float]) -> None:
    places = CounterOf(bisect_left(DURATION_BUCKETS, seconds) for seconds in noted)
    add_observations(_labelled(_REQUESTS, *key), places, sum(noted))
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
    """Count a stream while the context is open."""
    _STREAMS.inc()
    try:
        yield
    finally:
        _STREAMS.dec()
