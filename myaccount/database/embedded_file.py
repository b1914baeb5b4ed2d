"""The embedded file: the SQLite that it needs, its permissions, and the lock of the process that serves it."""

import logging
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ..system.file_lock import lock
from ..system.private_files import make_file, make_folder, record_made, remove_if_new, tighten
from .start_errors import DatabaseNotReady

_logger = logging.getLogger(__name__)

# The first with the operator ->>, and with JSON in every build.
OLDEST_SQLITE: Final = (3, 38, 0)

# Every SQLite database begins with this.
HEADER: Final = b"SQLite format 3\0"

# Another process may have the lock for this long while it ends, or while it checks whether the file is served.
LOCK_WAIT_SECONDS: Final = 1

# The locks that this process has, by file: the descriptor, and how often it was acquired.
_locks: Final[dict[Path, tuple[int, int]]] = {}
# A program may open databases in several threads.
_counting: Final = threading.Lock()


def prepare_file(file: Path) -> None:
    """Make the file if it is missing, and let only its owner read it.

    Raises DatabaseNotReady, before anything is made, if SQLite is too old, and OSError if the file cannot be made.
    """
    _refuse_unusable(file)
    with _named(file):
        made = make_file(file, lasting=True)
    if made:
        # SQLite gives the files beside this one the same permissions.
        _logger.info("There was no ledger in %s: a new, empty one is made there.", file)
        return
    if not _may_be_ledger(file):
        # The configuration may name another program's file. Leave it alone: SQLite refuses it later.
        return
    for path in (file, *_files_beside(file)):
        try:
            if tighten(path):
                _logger.warning(
                    "%s has card numbers and was readable by other users. Only its owner can read it now.", path
                )
        except OSError as error:
            _logger.warning("%s has card numbers and stays readable by other users: %s", path, error.strerror)


def _may_be_ledger(file: Path) -> bool:
    """Whether SQLite takes the file for a database: it accepts an empty file, too."""
    try:
        with file.open("rb") as opened:
            return opened.read(len(HEADER)) in (HEADER, b"")
    except OSError:
        return False


def refuse_to_make(file: Path) -> None:
    """Raise what `prepare_file` would raise if it had to make the file, and make nothing."""
    _refuse_unusable(file)
    folder = next(parent for parent in file.parents if parent.exists())
    with _named(file):
        tempfile.TemporaryFile(dir=folder).close()


def acquire_lock(file: Path, wait_seconds: float = LOCK_WAIT_SECONDS) -> None:
    """Keep other processes from serving or migrating the file until `release_lock`, or until this process ends.

    The lock is on a file of its own: closing a descriptor of the database file would drop SQLite's locks on it.
    Raises DatabaseNotReady if another process keeps the lock, and OSError if the lock's file cannot be made.
    """
    file = file.resolve()
    with _counting:
        descriptor, count = _locks.get(file) or (_wait_for_lock(file, wait_seconds), 0)
        _locks[file] = descriptor, count + 1


def release_lock(file: Path) -> None:
    with _counting:
        descriptor, count = _locks.pop(file.resolve())
        if count > 1:
            _locks[file.resolve()] = descriptor, count - 1
        else:
            # While we still have the lock: afterwards the file may be another process's.
            remove_if_new(_lock_file(file.resolve()))
            os.close(descriptor)


@contextmanager
def serve_lock(file: Path) -> Iterator[None]:
    """Have the lock within the context. Raises as `acquire_lock` does."""
    acquire_lock(file)
    try:
        yield
    finally:
        release_lock(file)


def refuse_if_served(file: Path) -> None:
    """Raise as `acquire_lock` does, if another process serves the file."""
    acquire_lock(file)
    release_lock(file)


def _wait_for_lock(file: Path, wait_seconds: float) -> int:
    """Return a descriptor that has the lock."""
    _refuse_unusable(file)
    with _named(file):
        make_folder(file.parent)
    deadline = time.monotonic() + wait_seconds
    while (descriptor := _try_to_lock(_lock_file(file))) is None:
        if time.monotonic() >= deadline:
            raise DatabaseNotReady(
                f"another process serves {file} already. End that one first, or name another sqlite_file here."
            )
        time.sleep(0.05)
    return descriptor


def _try_to_lock(lock_file: Path) -> int | None:
    """Return a descriptor that has the lock, or None if another process has it or has just removed its file."""
    # Only the lock's holder removes the lock file. Otherwise another process could lock a new file of the same
    # name.
    with _named(lock_file):
        new = make_file(lock_file, lasting=True)
        descriptor = os.open(lock_file, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        lock(descriptor)
        if os.path.samestat(os.fstat(descriptor), lock_file.stat()):
            if new:
                record_made(lock_file)
            return descriptor
    except OSError:
        # Another process has the lock, or nothing is left at the path.
        pass
    os.close(descriptor)
    return None


def _lock_file(file: Path) -> Path:
    return file.with_name(f"{file.name}.lock")


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Name the configuration's key and the file in an OSError."""
    try:
        yield
    except OSError as error:
        raise OSError(f"sqlite_file: {file} cannot be made: {error.strerror}") from None


def _refuse_unusable(file: Path) -> None:
    refuse_old_sqlite()
    if file.is_dir():
        raise DatabaseNotReady(f"sqlite_file: {file} is a folder. Name a file in it.")


def refuse_old_sqlite() -> None:
    """Raise DatabaseNotReady if this Python's SQLite is too old."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise DatabaseNotReady(
            f"this Python has SQLite {sqlite3.sqlite_version}, and the embedded database needs 3.38 or later. "
            "Use a Python with a newer SQLite, or MySQL or MariaDB: fill in the configuration's section mysql."
        )


def _files_beside(file: Path) -> list[Path]:
    return [file.with_name(file.name + end) for end in ("-wal", "-shm")]
