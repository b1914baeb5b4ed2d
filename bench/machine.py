"""What the figures were measured on: the interpreter, how it was built, and the processor."""

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

# Debian's rules build with both, and leave the flags out of what the interpreter says about itself.
DEBIANS_FLAGS = ("PGO", "LTO")
FLAGS = {"--enable-optimizations": "PGO", "--with-lto": "LTO"}


class Machine(NamedTuple):
    """The interpreter's name and version, its optimisations, and the processor with its number of cores."""

    python: str
    optimisations: tuple[str, ...]
    processor: str
    cores: int

    def __str__(self) -> str:
        built = (
            f"built with {' and '.join(self.optimisations)}" if self.optimisations else "built without PGO and LTO"
        )
        return f"{self.python}, {built}; {self.processor}, {self.cores} cores"

    @property
    def warning(self) -> str:
        """What a reader of the figures should know; empty if the interpreter is optimised."""
        if "PGO" in self.optimisations:
            return ""
        return (
            "Warning: this Python is not built with PGO, so the service is about a quarter slower than with "
            "Debian's, and every ratio is lower: make PYTHON=/usr/bin/python3 bench"
        )


def this_machine() -> Machine:
    python = f"{platform.python_implementation()} {platform.python_version()} ({Path(sys.executable).resolve()})"
    return Machine(python, _optimisations(), _processor(), os.cpu_count() or 1)


def _optimisations() -> tuple[str, ...]:
    if _is_debians():
        return DEBIANS_FLAGS
    options = (sysconfig.get_config_var("CONFIG_ARGS") or "").replace("'", " ").split()
    return tuple(flag for option, flag in FLAGS.items() if any(word.startswith(option) for word in options))


def _is_debians() -> bool:
    """Return whether the interpreter comes from a package of Debian or its descendants."""
    dpkg = shutil.which("dpkg-query")
    if dpkg is None:
        return False
    found = subprocess.run([dpkg, "--search", Path(sys.executable).resolve()], capture_output=True)
    return found.returncode == 0


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()
