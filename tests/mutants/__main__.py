"""Whether the tests can fail: `python -m tests.mutants [WORD ...]` breaks copies of the code, one place at a time.

Each mutation of mutations.py is applied alone, and the tests named beside it must turn red. A mutation that they
do not see is printed as a survivor. A word chooses the mutations whose file or tests contain it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from .mutations import MUTATIONS, Mutation

CHECKOUT: Final = Path(__file__).resolve().parents[2]
# One mutation at a time in each copy of the checkout.
COPIES: Final = os.cpu_count() or 1
NOT_COPIED: Final = shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache", ".hypothesis")
# A mutation may hang what it breaks: a test that runs for so long has seen it.
TEST_SECONDS: Final = 90
ALL_SECONDS: Final = 600
# For the tests of all mutations, on the unchanged code.
UNCHANGED_SECONDS: Final = 3600
# What pytest returns if tests passed, and if tests failed. Anything else means that they did not run.
PASSED, FAILED = 0, 1
OUT_OF_TIME: Final = "The tests took longer than"


class TestsDidNotRun(Exception):
    """The tests beside a mutation could not be started, so they say nothing."""


def main(words: Sequence[str]) -> int:
    """Return 0 if no mutation survived, 1 if some did, and 2 if the list or its tests are wrong."""
    chosen = [m for m in MUTATIONS if not words or any(word in f"{m.file} {m.tests}" for word in words)]
    if wrong := [problem for mutation in chosen for problem in _problems(mutation)]:
        print(*wrong, sep="\n")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(COPIES):
            copies.put(Path(shutil.copytree(CHECKOUT, f"{folder}/{number}", ignore=NOT_COPIED)))
        if not _pass_unchanged(chosen, copies):
            print("Tests fail on the unchanged code. Mend them first: they can see no mutation.")
            return 2
        with ThreadPoolExecutor(COPIES) as pool:
            survived = sum(pool.map(lambda mutation: _survives(mutation, copies), chosen))
    print(f"{survived} of {len(chosen)} mutations survived.")
    return 1 if survived else 0


def _problems(mutation: Mutation) -> Iterable[str]:
    count = (CHECKOUT / mutation.file).read_text("utf-8").count(mutation.text)
    if count != 1:
        yield f"{mutation.file}: this text must be there once and is there {count} times: {mutation.text!r}"


def _pass_unchanged(mutations: Iterable[Mutation], copies: "SimpleQueue[Path]") -> bool:
    """Whether all tests pass in a copy, side by side; print what they say if not."""
    copy = copies.get()
    try:
        tests = list(dict.fromkeys(word for mutation in mutations for word in mutation.tests.split()))
        status, output = _run(
            copy, tests, "--numprocesses", "auto", "--dist", "worksteal", seconds=UNCHANGED_SECONDS
        )
    finally:
        copies.put(copy)
    if status != PASSED:
        print(output)
    return status == PASSED


def _survives(mutation: Mutation, copies: "SimpleQueue[Path]") -> bool:
    copy = copies.get()
    file = copy / mutation.file
    original = file.read_text("utf-8")
    try:
        file.write_text(original.replace(mutation.text, mutation.replacement), "utf-8")
        limit = ("--timeout", str(TEST_SECONDS))
        status, output = _run(copy, mutation.tests.split(), *limit, seconds=ALL_SECONDS)
    finally:
        file.write_text(original, "utf-8")
        copies.put(copy)
    verdict = "SURVIVED" if status == PASSED else "seen"
    lines = [f"{verdict} {mutation.file} {mutation.text!r} -> {mutation.replacement!r}"]
    # Which test saw it, and how: one that was late may have seen a slow machine only.
    lines += [
        line for line in output.splitlines() if line.startswith(("FAILED tests/", "ERROR tests/", OUT_OF_TIME))
    ]
    print("\n    ".join(lines), flush=True)
    return status == PASSED


def _run(copy: Path, tests: Sequence[str], *more: str, seconds: int) -> tuple[int, str]:
    """Return PASSED or FAILED, and what the tests print; tests that hang have failed."""
    options = ("-x", "-q", "-p", "no:cacheprovider", *more)
    command = [sys.executable, "-m", "pytest", *options, *tests]
    # The copy's package, not the one that is installed; and lines that have room for why a test failed.
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "300"}
    try:
        result = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return FAILED, f"{OUT_OF_TIME} {seconds} seconds."
    if result.returncode not in (PASSED, FAILED):
        raise TestsDidNotRun(f"{tests}\n{result.stdout}\n{result.stderr}")
    return result.returncode, result.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
