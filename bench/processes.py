"""What processes cost: their time on the processor, and their memory, from /proc."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path


def processes(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the ids of the workers, or of the process itself if it has none."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(child) for child in children] or [process.pid]


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return the processor time that the processes have used so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_mib(pids: Sequence[int]) -> float:
    """Return the resident memory of the largest of the processes."""
    pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return max(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20
