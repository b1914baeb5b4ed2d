"""A worker's file of counts, whose disk space is allocated in full before it is written.

The file is mapped into memory. A write to a part of it for which a full disk has no room would kill the process
with SIGBUS, so the room is allocated at once, and the file never grows.
"""

import logging
import os
from pathlib import Path
from typing import Final

from prometheus_client.mmap_dict import MmapedDict

_logger: Final = logging.getLogger(__name__)

# Of a histogram there is room for a thousand kinds of answers, at 3.6 KiB each; a counter is a hundredth of that.
HISTOGRAM_BYTES: Final = 4 * 2**20
COUNTER_BYTES: Final = 2**20
# Gauges have no labels.
GAUGE_BYTES: Final = 2**16
# What an entry needs beside its key, at most.
_ENTRY_BYTES: Final = 28


class CountFile:
    """Numbers by their keys. A number without room or file lives in the caller's memory only."""

    def __init__(self, file: Path | None, kind: str) -> None:
        self._whole = True
        self._numbers: MmapedDict | None = None
        try:
            if file is not None:
                self._numbers = _open(file, _size(kind))
        except OSError as error:
            self._miss(f"{file}: {error.strerror}")

    def read(self, key: str) -> float | None:
        """Return the key's number, which is there from now on, or None if there is no room for it."""
        numbers = self._numbers
        if numbers is None:
            return None
        if key not in numbers._positions and len(key.encode()) + _ENTRY_BYTES > numbers._capacity - numbers._used:
            self._miss(f"{numbers._fname} is full")
            return None
        value: float = numbers.read_value(key)[0]
        return value

    def write(self, key: str, value: float) -> None:
        """Replace the number of a key that was read."""
        if self._numbers is not None:
            self._numbers.write_value(key, value, 0.0)

    def _miss(self, reason: str) -> None:
        if self._whole:
            self._whole = False
            _logger.error("Some counts of this process are missing from /metrics: %s", reason)


def _size(kind: str) -> int:
    return {"histogram": HISTOGRAM_BYTES, "counter": COUNTER_BYTES}.get(kind, GAUGE_BYTES)


def _open(file: Path, size: int) -> MmapedDict:
    """Open a file that may be there from the slot's last worker."""
    if file.exists():
        _allocate(file, max(size, file.stat().st_size))
    else:
        # A scrape adds up the files and must not find this one before it is whole.
        new = file.with_suffix(".new")
        try:
            _allocate(new, size)
            new.rename(file)
        finally:
            new.unlink(missing_ok=True)
    return MmapedDict(str(file))


def _allocate(file: Path, size: int) -> None:
    with file.open("ab") as opened:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(opened.fileno(), 0, size)
        else:
            # macOS has no such call.
            opened.write(bytes(size - opened.tell()))
