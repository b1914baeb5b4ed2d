"""The embedded file: the SQLite that it needs, whose file it is, and the one process that serves it."""

import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ..system.file_lock import lock
from ..system.private_files import make_file, make_folder, record_made, remove_if_new, tighten
from .not_ready import DatabaseNotReady

_logger = logging.getLogger(__name__)

# The first with the operator ->> (and JSON in every build).
OLDEST_SQLITE: Final = (3, 38, 0)

# What every SQLite database begins with.
HEADER: Final = b"SQLite format 3\0"

# How long a process that has the lock may take to end, or to look whether somebody has it.
ENDING_SECONDS: Final = 1

# The locks of this process by file: the descriptor, and how many users it has here.
_held: Final[dict[Path, tuple[int, int]]] = {}


def prepare_file(file: Path) -> None:
    """Make the file if it is missing, and have it belong to its owner alone.

    Raises DatabaseNotReady, before anything is made, if SQLite is too old, and OSError if the file cannot be made.
    """
    _refuse_unusable(file)
    with _named(file):
        made = make_file(file, lasting=True)
    if made:
        # SQLite gives the files that it puts beside this one the same rights.
        _logger.warning("There was no ledger in %s: a new, empty one is made there.", file)
        return
    if not _may_be_ledger(file):
        # The configuration may name a file of another program. SQLite refuses it.
        return
    for path in (file, *_beside(file)):
        try:
            if tighten(path):
                _logger.warning(
                    "Other users could read %s, which holds card numbers: now its owner alone can.", path
                )
        except OSError as error:
            _logger.warning("Other users can read %s, which holds card numbers: %s", path, error.strerror)


def _may_be_ledger(file: Path) -> bool:
    """Whether SQLite would take the file for a database. It makes one of an empty file."""
    try:
        with file.open("rb") as opened:
            return opened.read(len(HEADER)) in (HEADER, b"")
    except OSError:
        return False


def refuse_to_make(file: Path) -> None:
    """Raise what `prepare_file` would if it had to make the file, and make nothing."""
    _refuse_unusable(file)
    folder = next(parent for parent in file.parents if parent.exists())
    with _named(file):
        tempfile.TemporaryFile(dir=folder).close()


def hold(file: Path, wait_seconds: float = ENDING_SECONDS) -> None:
    """Keep other processes from serving the file, or changing its schema, until this process or `release` ends it.

    The lock is on a file of its own: to close the database's own file would end the locks that SQLite has on it.
    Raises DatabaseNotReady if another process keeps the lock, and OSError if the lock's file cannot be made.
    """
    file = file.resolve()
    descriptor, users = _held.get(file) or (_locked(file, wait_seconds), 0)
    _held[file] = descriptor, users + 1


def release(file: Path) -> None:
    descriptor, users = _held.pop(file.resolve())
    if users > 1:
        _held[file.resolve()] = descriptor, users - 1
    else:
        # Before the lock ends: afterwards it may be another process's.
        remove_if_new(_lock_file(file.resolve()))
        os.close(descriptor)


@contextmanager
def serving_alone(file: Path) -> Iterator[None]:
    """Hold the file for as long as the context lasts."""
    hold(file)
    try:
        yield
    finally:
        release(file)


def refuse_if_served(file: Path) -> None:
    """Raise DatabaseNotReady if another process serves the file."""
    hold(file)
    release(file)


def _locked(file: Path, wait_seconds: float) -> int:
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
    # Removed again only by the process that has the lock. Any other would end that one's hold on the database.
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
    """Make an OSError name the key of the configuration and the file."""
    try:
        yield
    except OSError as error:
        raise OSError(f"sqlite_file: {file} cannot be made: {error.strerror}") from None


def _refuse_unusable(file: Path) -> None:
    refuse_old_sqlite()
    if file.is_dir():
        raise DatabaseNotReady(f"sqlite_file: {file} is a folder. Name a file in it.")


def refuse_old_sqlite() -> None:
    """Raise DatabaseNotReady if this Python has one."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise DatabaseNotReady(
            f"this Python has SQLite {sqlite3.sqlite_version}, and the embedded database needs 3.38 or later. "
            "Use a Python with a newer SQLite, or MySQL or MariaDB: fill in the configuration's section mysql."
        )


def _beside(file: Path) -> list[Path]:
    return [file.with_name(file.name + end) for end in ("-wal", "-shm")]
