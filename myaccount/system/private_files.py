"""Files and folders for their owner alone, because they hold card numbers and people's payments.

On Windows a new file has its folder's permissions, and these functions do not change them.
"""

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

# Made by this process, oldest first. Removed again if the service does not start.
_made: Final[list[Path]] = []


def make_folder(folder: Path) -> None:
    """Make the folder and its missing parents. Raises OSError."""
    if not folder.is_dir():
        make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            _made.append(folder)


def make_file(file: Path, *, lasting: bool = False) -> bool:
    """Make an empty file unless it exists; return whether it was made. Raises OSError.

    A `lasting` file stays if the service does not start, unless `record_made` is called for it.
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
    """Remove the file again if the service does not start."""
    _made.append(file)


def tighten(file: Path) -> bool:
    """Remove all permissions of group and others; return whether they had any. Raises OSError."""
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
    """Keep the files and folders that were made, because the service has started."""
    _made.clear()


def remove_if_new(file: Path) -> None:
    """Remove a file that this process made, unless the service has started since. Windows keeps open files."""
    if file in _made:
        with suppress(OSError):
            file.unlink()
            _made.remove(file)


def remove_made() -> None:
    """Remove what was made for a service that did not start, except folders that are not empty."""
    while _made:
        path = _made.pop()
        with suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()
