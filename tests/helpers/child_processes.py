"""The child processes of a running program, such as gunicorn's workers."""

import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from .preloaded import Forked


def children(pid: int) -> list[int]:
    """Return the running child processes."""
    pids = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return [child for child in pids if "Z" not in _state(child)]


def _state(pid: int) -> str:
    try:
        found = re.search(r"^State:\s+(\S)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        # It has ended meanwhile.
        return "Z"
    return found[1] if found else "Z"


def kill_with_children(process: Forked | subprocess.Popen[bytes]) -> None:
    """End a program at once. Workers without their master would use the servers of the next test for a while."""
    if process.poll() is None:
        pids = children(process.pid)
        process.kill()
        process.wait()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
