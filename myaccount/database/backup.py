"""A consistent copy of the embedded file, made while the service runs."""

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path


class BackupFailed(Exception):
    """No backup was made; the text says why."""


def back_up(source: Path, target: Path) -> None:
    """Copy the embedded database to a new file, which only its owner can read.

    The file appears once the copy was checked and is on the disk. Raises BackupFailed, or OSError if the file
    cannot be written.
    """
    if not source.exists():
        raise BackupFailed(f"{source} does not exist")
    if target.exists():
        raise BackupFailed(f"{target} exists already: name a new file")
    # mkstemp makes a private file: other users must not read card numbers, not even for a moment.
    descriptor, name = tempfile.mkstemp(prefix=f"{target.name}.", dir=target.parent)
    os.close(descriptor)
    partial = Path(name)
    try:
        _copy(source, partial)
        # Unlike a rename, this never replaces a file that was made meanwhile.
        os.link(partial, target)
    except sqlite3.Error as error:
        raise BackupFailed(f"{source} could not be copied: {error}") from None
    finally:
        partial.unlink()
    if hasattr(os, "O_DIRECTORY"):
        # Puts the name on the disk too. Windows needs no such call.
        _sync(target.parent, os.O_RDONLY | os.O_DIRECTORY)


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(target)) as copy:
        # All pages in one step: a consistent copy, for which no writer waits.
        original.backup(copy)
        (found,) = copy.execute("PRAGMA quick_check").fetchone()
        if found != "ok":
            raise BackupFailed(f"the copy of {source} is not sound: {found}")
    _sync(target, os.O_RDWR)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
