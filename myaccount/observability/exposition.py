"""The metrics in Prometheus's text format: what the processes have counted, and samples taken for each scrape."""

import os
import platform
import time
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from ..settings.paths import own_version
from .metrics import REGISTRY
from .slot_values import MULTIPROCESS
from .slots import FOLDER_VARIABLE, STARTED_VARIABLE

# The version of the text format that every Prometheus reads.
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_started_at: Final = float(os.environ.get(STARTED_VARIABLE) or time.time())

# By name: the help text and the labels.
_SAMPLED: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "ready": ("Whether the service can post orders, as /readyz says.", ()),
    "database_up": ("Whether the database answers.", ()),
    "redis_up": ("Whether Redis accepts and returns events, if it is configured.", ()),
    "events_waiting": ("Pending events, counted up to 10,000.", ()),
    "events_oldest_age_seconds": ("The age of the oldest among the 1,000 events that are due first.", ()),
    "events_set_aside": ("Events that are dead letters, counted up to 10,000.", ()),
    "deliveries_waiting": ("Pending deliveries, by host, counted up to 10,000 each endpoint.", ("host",)),
    "deliveries_oldest_age_seconds": ("The age of the oldest among the 1,000 that are due first.", ("host",)),
    "deliveries_set_aside": (
        "Deliveries that are dead letters, by host, counted up to 10,000 each endpoint.",
        ("host",),
    ),
    "start_time_seconds": ("When the service started: gunicorn's master, or the process, since 1970.", ()),
    "build_info": ("Which version runs on which Python.", ("version", "python")),
}


class Sample(NamedTuple):
    """The value of a gauge at the moment of a scrape."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


def exposition(samples: Iterable[Sample]) -> bytes:
    """Return the metrics of all workers, or of this process if it serves alone, and the samples."""
    counted = REGISTRY
    if MULTIPROCESS and FOLDER_VARIABLE in os.environ:
        counted = CollectorRegistry()
        MultiProcessCollector(counted)
    always = [
        Sample("build_info", 1, (own_version(), platform.python_version())),
        Sample("start_time_seconds", _started_at),
    ]
    return generate_latest(counted) + generate_latest(_Samples([*samples, *always]))


class _Samples(Collector):
    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = samples

    def collect(self) -> Iterator[GaugeMetricFamily]:
        families: dict[str, GaugeMetricFamily] = {}
        for name, value, labels in self._samples:
            help_text, label_names = _SAMPLED[name]
            if name not in families:
                families[name] = GaugeMetricFamily(f"myaccount_{name}", help_text, labels=label_names)
            families[name].add_metric(labels, value)
        yield from families.values()
