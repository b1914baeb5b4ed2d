"""Files and folders that only their owner can use, since they hold card numbers and what people did.

On Windows a new file has the rights of its folder, and these functions leave them as they are.
"""

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

# What this process has made since it started, oldest first, and may remove again if it cannot start.
_made: Final[list[Path]] = []


def make_folder(folder: Path) -> None:
    """Make the folder and those above it that are missing. Raises OSError."""
    if not folder.is_dir():
        make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            _made.append(folder)


def make_file(file: Path, *, lasting: bool = False) -> bool:
    """Make an empty file unless it is there, and return whether it was made. Raises OSError.

    A `lasting` file is not removed again, unless `record_made` is called for it.
    """
    make_folder(file.parent)
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    if not lasting:
        record_made(file)
    return True


def record_made(file: Path) -> None:
    """Have the file removed again if the service does not start."""
    _made.append(file)


def tighten(file: Path) -> bool:
    """Take all rights to a file from all but its owner; return whether others had some. Raises OSError."""
    if sys.platform == "win32":
        return False
    try:
        found = file.stat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(found.st_mode) or not found.st_mode & 0o077:
        return False
    file.chmod(stat.S_IMODE(found.st_mode) & 0o700)
    return True


def keep_made() -> None:
    """Keep what was made: the service has started."""
    _made.clear()


def remove_if_new(file: Path) -> None:
    """Remove a file that this process has made, unless the service has started since. Windows keeps open ones."""
    if file in _made:
        with suppress(OSError):
            file.unlink()
            _made.remove(file)


def remove_made() -> None:
    """Remove what was made for a service that did not start; a folder only if nothing is in it."""
    while _made:
        path = _made.pop()
        with suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()
