"""Replaces insides of prometheus_client. Only this file uses names that the library keeps private.

tests/unit/test_slot_values.py fails when a new version of the library changes them.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from prometheus_client import Histogram, values
from prometheus_client.mmap_dict import mmap_key

from .count_file import CountFile
from .slots import FOLDER_VARIABLE, SLOT_VARIABLE

_slot: Final = os.environ.get(SLOT_VARIABLE)
# Whether this process is one of several workers. Each of them can then report the metrics of all.
MULTIPROCESS: Final = _slot is not None


class SlotValue:
    """A number in one of the slot's files, which continues from what the slot's last worker left.

    prometheus_client's own class takes a lock and checks for a fork on every change, which makes counting half as
    expensive again. A worker counts in one thread and never forks.
    """

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
        stored = self._files[kind].read(self._key)
        # Without room in the file the number is kept in this process alone.
        self._file = None if stored is None else self._files[kind]
        self._value = stored or 0.0

    def inc(self, amount: float) -> None:
        self.set(self._value + amount)

    def set(self, value: float, timestamp: float | None = None) -> None:
        self._value = value
        if self._file is not None:
            self._file.write(self._key, value)

    def get(self) -> float:
        return self._value

    def get_exemplar(self) -> None:
        """Return None. prometheus_client asks for it when there are no files to add up."""


def use_slot() -> None:
    """Keep the numbers of all metrics that are made from now on in this worker's slot, if it has one."""
    if MULTIPROCESS:
        values.ValueClass = SlotValue


def add_observations(histogram: Histogram, counts: Mapping[int, int], total: float) -> None:
    """Add many observations at once: how many fall into each bucket, by the bucket's place, and their sum.

    The library's `observe` takes one at a time.
    """
    insides: Any = histogram
    for place, count in counts.items():
        insides._buckets[place].inc(count)
    insides._sum.inc(total)
