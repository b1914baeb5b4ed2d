"""A copy of the embedded file, as of one moment, while the service goes on."""

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path


class BackupFailed(Exception):
    """There is no backup; the text says why."""


def back_up(source: Path, target: Path) -> None:
    """Copy the embedded database to a new file, which only its owner can read.

    The copy is sound and on the disk when this returns; before, no file has that name. Raises BackupFailed,
    or OSError if the file cannot be written.
    """
    if not source.exists():
        raise BackupFailed(f"{source} does not exist")
    if target.exists():
        raise BackupFailed(f"{target} exists already: name a new file")
    # Other users of the machine cannot read this, and must not read card numbers, not even for a moment.
    descriptor, name = tempfile.mkstemp(prefix=f"{target.name}.", dir=target.parent)
    os.close(descriptor)
    partial = Path(name)
    try:
        _copy(source, partial)
        # Never over a file that came meanwhile.
        os.link(partial, target)
    except sqlite3.Error as error:
        raise BackupFailed(f"{source} could not be copied: {error}") from None
    finally:
        partial.unlink()
    if hasattr(os, "O_DIRECTORY"):
        # So that the name is on the disk too. Windows sees to that itself.
        _sync(target.parent, os.O_RDONLY | os.O_DIRECTORY)


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(target)) as copy:
        # All pages in one step: as of one moment, and no writer waits for it.
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
