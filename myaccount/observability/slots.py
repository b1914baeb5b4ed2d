"""Slots: where gunicorn's workers keep their counts, in files named by slot in a folder that the master makes.

A new worker takes the lowest slot that no living worker has, and its counters continue from that slot's files. So
there are never more files than there were workers at once, and no counter decreases when a worker ends.

The hooks of gunicorn.conf.py call this in the master. It must stay small, because the master never reloads it.
"""

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ..system.file_lock import lock

FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
SLOT_VARIABLE: Final = "MYACCOUNT_SLOT"
WORKERS_VARIABLE: Final = "MYACCOUNT_WORKERS"
# When the master started, in seconds since 1970.
STARTED_VARIABLE: Final = "MYACCOUNT_STARTED"
_PREFIX: Final = "myaccount-metrics-"
# The folder's descriptor. It stays open and locked while the master or a worker lives: the folder is then in use.
_lock: list[int] = []


def open_folder(user: int, group: int) -> None:
    """Make the folder for workers of that user and group, and remove folders of killed masters.

    Raises OSError if it cannot be made. Each worker then reports only its own counts.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            _lock_folder(folder)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(_lock.pop())
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    if (user, group) != (os.geteuid(), os.getegid()):
        os.chown(folder, user, group)
    _lock_folder(folder)
    os.environ[STARTED_VARIABLE] = str(time.time())
    # Last, because the workers use the folder as soon as this is set.
    os.environ[FOLDER_VARIABLE] = str(folder)


def _lock_folder(folder: Path) -> None:
    """Raises OSError if it is locked, or belongs to another user."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        lock(descriptor)
    except OSError:
        os.close(descriptor)
        raise
    _lock.append(descriptor)


def take_slot(worker: Any, living: Any) -> None:
    """Give the worker that is about to be forked the lowest slot that no living worker has."""
    taken = {other.slot for other in living}
    worker.slot = min(set(range(len(taken) + 1)) - taken)


def enter_slot(worker: Any, workers: int) -> None:
    """Make the worker, one of so many, count in its slot. Call it in the worker's process."""
    os.environ[SLOT_VARIABLE] = str(worker.slot)
    os.environ[WORKERS_VARIABLE] = str(workers)


def count_workers() -> int:
    """Return how many workers gunicorn had when it made this one, and 1 in other processes."""
    return int(os.environ.get(WORKERS_VARIABLE, "1"))


def leave_slot(worker: Any) -> None:
    """Remove the worker's gauges. Its counters stay for the slot's next worker."""
    if FOLDER_VARIABLE in os.environ:
        for file in Path(os.environ[FOLDER_VARIABLE]).glob(f"gauge_live*_{worker.slot}.db"):
            file.unlink(missing_ok=True)


def remove_folder() -> None:
    if FOLDER_VARIABLE in os.environ:
        shutil.rmtree(os.environ[FOLDER_VARIABLE], ignore_errors=True)
