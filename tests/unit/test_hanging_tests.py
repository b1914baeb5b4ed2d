"""A test that hangs fails, and its output names the line where it hangs."""

import asyncio
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from ..conftest import _limited
from ..helpers.services import CHECKOUT, ENVIRONMENT

HANGING = """\
import threading

def test_hangs():
    threading.Event().wait()
"""


def test_a_hanging_test_ends_and_its_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "test_hanging.py"
    file.write_text(HANGING, "utf-8")
    # In its own process, which has the suite's configuration and only the plugins that this configuration needs.
    plugins = ["-p", "pytest_asyncio.plugin", "-p", "pytest_timeout", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-c", str(CHECKOUT / "pyproject.toml"), *plugins, "--timeout=1"]
    # Its time begins with the test, not with what goes before it.
    command += ["-o", "timeout_func_only=true"]
    ended = subprocess.run(
        [*command, f"--basetemp={tmp_path / 'temporary'}", str(file)],
        env={**ENVIRONMENT, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "1 failed" in ended.stdout, ended.stdout + ended.stderr
    assert "Timeout (>1.0s) from pytest-timeout" in ended.stdout
    assert "test_hanging.py:4: \n" in ended.stdout


async def test_a_hanging_coroutine_ends_and_its_line_is_named() -> None:
    """pytest-timeout would name the event loop's line."""

    async def hang() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError) as raised:
        await _limited(hang, 0.01)()
    line = hang.__code__.co_firstlineno + 1
    assert f'File "{__file__}", line {line}, in hang' in "".join(traceback.format_exception(raised.value))


async def test_every_test_has_a_time_limit(request: pytest.FixtureRequest) -> None:
    assert 0 < float(request.config.getini("timeout")) <= 600
    # `_limited` awaits this coroutine, as it does every other test's.
    assert _limited.__name__.removeprefix("_") in [frame.name for frame in traceback.extract_stack()]
