"""The standard output, which may be a closed pipe or a full disk."""

import errno
import io
import os
import sys
from typing import Final

_UNWRITABLE: Final = (errno.EPIPE, errno.ENOSPC, errno.EIO)


def print_any_letters() -> None:
    """Print letters that the console's encoding lacks as escapes, not as errors. A path may have such letters."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def output_fault(error: OSError | None = None) -> str:
    """Flush the output; return why that failed, or an empty text. `error` is an error that printing has raised.

    Output that cannot be written is dropped. Python would otherwise retry when it exits, and print its own error.
    """
    if sys.stdout is None:
        return ""
    # An error with a file name came from that file, not from the output.
    fault = error if error is not None and error.errno in _UNWRITABLE and error.filename is None else None
    try:
        sys.stdout.flush()
    except OSError as pending:
        fault = pending
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return f"the standard output cannot be written: {fault.strerror}" if fault else ""
