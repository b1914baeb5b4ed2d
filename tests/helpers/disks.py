"""A disk that can be filled completely."""

import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .child_processes import children

DISK_BYTES = 48 * 2**20


class Disk:
    """A folder with its own file system. For users who may not mount one, files that cannot grow instead."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
        self._mounted = subprocess.run(["mount", *options], capture_output=True).returncode == 0
        self._limited: dict[int, tuple[int, int]] = {}

    def fill(self, pid: int) -> None:
        """Leave no space for the process and its children."""
        if not self._mounted:
            for process in (pid, *children(pid)):
                self._limited[process] = resource.prlimit(process, resource.RLIMIT_FSIZE)
                resource.prlimit(process, resource.RLIMIT_FSIZE, (0, self._limited[process][1]))
            return
        filler = os.open(self.folder / "filler", os.O_WRONLY | os.O_CREAT)
        for size in (2**16, 1):
            try:
                while os.write(filler, bytes(size)):
                    pass
            except OSError:
                continue
        os.close(filler)

    def free(self) -> None:
        for process, limits in self._limited.items():
            resource.prlimit(process, resource.RLIMIT_FSIZE, limits)
        (self.folder / "filler").unlink(missing_ok=True)

    def close(self) -> None:
        if self._mounted:
            # Lazily: a process that is ending may still have a file there.
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk")
    yield disk
    disk.close()
