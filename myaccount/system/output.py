"""The standard output, which may be a closed pipe or a full disk."""

import errno
import io
import os
import sys
from typing import Final

_UNWRITABLE: Final = (errno.EPIPE, errno.ENOSPC, errno.EIO)


def print_any_letters() -> None:
    """Have letters that the console's encoding lacks printed as their numbers; a path may have them."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def output_fault(error: OSError | None = None) -> str:
    """Write what was printed; return why that is not possible, or an empty text. `error` is what printing raised.

    What cannot be written is dropped, since Python would try again at its end and complain in lines of its own.
    """
    if sys.stdout is None:
        return ""
    # An error of a file has the file's name.
    fault = error if error is not None and error.errno in _UNWRITABLE and error.filename is None else None
    try:
        sys.stdout.flush()
    except OSError as pending:
        fault = pending
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return f"the standard output cannot be written: {fault.strerror}" if fault else ""
