"""The script of `make pythons`, with stubs for the interpreters and for `make`."""

import os
import subprocess
from pathlib import Path

import pytest

from ..helpers.services import CHECKOUT

# Records its arguments, and fails for the version FAILING.
MAKE = """\
#!/bin/sh
echo "$@" >> "$MADE"
case " $* " in *" VENV=.venv-$FAILING "*) exit 2 ;; esac
"""
# The names that the script looks for on the PATH.
NAMES = ("python3.11", "python3.12", "python3.13", "python3.14")


def _program(path: Path, script: str) -> str:
    path.write_text(script, encoding="utf-8")
    path.chmod(0o755)
    return str(path)


class Machine:
    """A folder in front of the PATH, where no Python is installed at first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._make = _program(folder / "make", MAKE)
        self._made = folder / "made"
        for name in NAMES:
            # A name without its Python, as version managers leave them.
            _program(folder / name, "#!/bin/sh\nexit 127\n")

    def install(self, name: str, version: str) -> str:
        return _program(self._folder / name, f"#!/bin/sh\necho {version}\n")

    def run(self, *pythons: str, failing: str = "none") -> "subprocess.CompletedProcess[str]":
        environment = {
            "PATH": f"{self._folder}:{os.environ['PATH']}",
            "MAKE": self._make,
            "MADE": str(self._made),
            "FAILING": failing,
            "PYTHONS": " ".join(pythons),
        }
        return subprocess.run(CHECKOUT / ".ci" / "pythons", env=environment, capture_output=True, text=True)

    def made(self) -> list[str]:
        """Return the arguments of each run of `make`."""
        return self._made.read_text("utf-8").splitlines() if self._made.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_each_version_is_tested_once_in_an_environment_of_its_own(machine: Machine) -> None:
    machine.install("python3.12", "3.12")
    again, newest = machine.install("again", "3.12"), machine.install("newest", "3.14")
    done = machine.run(again, newest, newest)
    assert machine.made() == ["test PYTHON=python3.12 VENV=.venv-3.12", f"test PYTHON={newest} VENV=.venv-3.14"]
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "Tested on: 3.12 3.14. Failed on: none."


def test_a_version_that_fails_is_named_and_the_others_are_tested(machine: Machine) -> None:
    for version in ("3.11", "3.12", "3.13"):
        machine.install(f"python{version}", version)
    done = machine.run(failing="3.12")
    assert done.returncode == 1
    assert len(machine.made()) == 3
    assert done.stdout.splitlines()[-1] == "Tested on: 3.11 3.12 3.13. Failed on: 3.12."


def test_without_any_python_it_says_how_to_name_one(machine: Machine) -> None:
    done = machine.run("/nowhere/python3")
    assert (done.returncode, machine.made()) == (1, [])
    assert done.stderr == "No Python from 3.11 to 3.14 was found; name some by PYTHONS=\n"
