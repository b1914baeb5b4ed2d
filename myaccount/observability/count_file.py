"""A worker's file of counts, whose disk space is allocated in full before it is used.

The file is mapped into memory. A write to a mapped page that finds no room on a full disk kills the process with
SIGBUS. So the space is allocated at once, and the file never grows.
"""

import logging
import os
from pathlib import Path
from typing import Final

from prometheus_client.mmap_dict import MmapedDict

_logger: Final = logging.getLogger(__name__)

# Room for a histogram of a thousand combinations of labels, at 3.6 KiB each. A counter takes a hundredth of it.
HISTOGRAM_BYTES: Final = 4 * 2**20
COUNTER_BYTES: Final = 2**20
# Gauges have no labels.
GAUGE_BYTES: Final = 2**16
# At the beginning of the file.
_HEADER_BYTES: Final = 8
# What an entry takes beside its key, at most: the key's length, up to 8 bytes of padding, the value and its time.
_ENTRY_BYTES: Final = 4 + 8 + 8 + 8


class CountFile:
    """Numbers by their keys. A number without room in the file, or without a file, is the caller's to keep."""

    def __init__(self, file: Path | None, kind: str) -> None:
        self._file = file
        self._complete = True
        self._numbers: MmapedDict | None = None
        self._keys: set[str] = set()
        self._bytes_left = -_HEADER_BYTES
        try:
            if file is not None:
                self._numbers = _open(file, _size(kind))
                self._bytes_left += file.stat().st_size
        except OSError as error:
            self._log_missing(f"{file}: {error.strerror}")
        for key, *_ in self._numbers.read_all_values() if self._numbers else ():
            self._add(key)

    def read(self, key: str) -> float | None:
        """Return the key's number, which is 0 if the key is new, or None if there is no room for it."""
        if self._numbers is None:
            return None
        if key not in self._keys:
            if _entry_bytes(key) > self._bytes_left:
                self._log_missing(f"{self._file} is full")
                return None
            self._add(key)
        value: float = self._numbers.read_value(key)[0]
        return value

    def write(self, key: str, value: float) -> None:
        """Replace the number of a key that was read."""
        if self._numbers is not None:
            self._numbers.write_value(key, value, 0.0)

    def _add(self, key: str) -> None:
        self._keys.add(key)
        self._bytes_left -= _entry_bytes(key)

    def _log_missing(self, reason: str) -> None:
        if self._complete:
            self._complete = False
            _logger.error("Some counts of this process are missing from /metrics: %s", reason)


def _entry_bytes(key: str) -> int:
    return len(key.encode()) + _ENTRY_BYTES


def _size(kind: str) -> int:
    return {"histogram": HISTOGRAM_BYTES, "counter": COUNTER_BYTES}.get(kind, GAUGE_BYTES)


def _open(file: Path, size: int) -> MmapedDict:
    """Open the slot's file, which its last worker may have made."""
    if file.exists():
        _allocate(file, max(size, file.stat().st_size))
    else:
        # A scrape reads all files of this suffix, so this one is renamed when it is complete.
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
