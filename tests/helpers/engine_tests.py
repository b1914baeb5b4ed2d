"""Which tests run on the engine that ENGINE names; a run ends with those that cannot, each with the reason."""

from typing import Any, Final

import pytest

from .engines import ENGINE, FOREIGN, NAMES, runs_on

_left_out: Final[set[str]] = set()


def pytest_report_header() -> str:
    return f"engine: {ENGINE.rpartition('@')[2] or 'SQLite and MariaDB'}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of the other engines, and those that cannot run on this one."""
    if not ENGINE:
        return
    if not (FOREIGN or ENGINE in NAMES):
        raise pytest.UsageError(f"ENGINE is {ENGINE}: name one of {', '.join(NAMES)}, or an address")
    chosen = [item for item in items if _concerns_engine(item) and not _cannot_run(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen
    if hasattr(config, "workeroutput"):
        # The process that writes the summary collects no tests.
        config.workeroutput["left_out"] = sorted(_left_out)


def _concerns_engine(item: pytest.Item) -> bool:
    """Whether the test runs on the engine; one that uses no database belongs to no engine."""
    assert isinstance(item, pytest.Function)
    backend = item.callspec.params.get("backend") if hasattr(item, "callspec") else None
    on_server = "mariadb" in item.fixturenames if backend is None else backend == "mariadb"
    if ENGINE == "sqlite":
        return backend == "sqlite"
    return on_server


def _cannot_run(item: pytest.Item) -> bool:
    reasons = [mark.kwargs["because"] for mark in item.iter_markers("not_on") if any(map(runs_on, mark.args))]
    _left_out.update(f"{item.nodeid}: {reason}" for reason in reasons)
    return bool(reasons)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _left_out.update(getattr(node, "workeroutput", {}).get("left_out", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in sorted(_left_out):
        terminalreporter.write_line(f"cannot run on this engine: {line}")
