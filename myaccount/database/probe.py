"""A probe shared by all callers, with a timeout and a short cache."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from .error_texts import reason_of

_logger = logging.getLogger(__name__)

Result = TypeVar("Result")

# The probe is cancelled after this. Libraries may be slow to react to that, so callers wait only a little longer.
PROBE_SECONDS: Final = 0.6
WAIT_SECONDS: Final = 0.8
# A result of this age is still returned, so that many callers do not cause many probes.
CACHE_SECONDS: Final = 0.5
CLOSE_SECONDS: Final = 2
# How many different faults are logged until a probe succeeds: an error's text may differ each time.
LOGGED_LIMIT: Final = 10


class Probe(Generic[Result]):
    """Runs `run`, once at a time; the result is `default` when that fails or takes too long.

    `find_fault` returns what is wrong according to a result, or an empty text. Each fault is logged once until a
    probe finds none.
    """

    def __init__(
        self,
        subject: str,
        run: Callable[[], Awaitable[Result]],
        default: Result,
        *,
        find_fault: Callable[[Result], str] = lambda result: "",
        level: int = logging.WARNING,
    ) -> None:
        self._subject = subject
        self._run = run
        self._default = default
        self._find_fault = find_fault
        self._level = level
        self._logged: set[str] = set()
        self._started_at = 0.0
        self._task: asyncio.Task[Result] | None = None

    async def result(self) -> Result:
        """Return a result within a second; never raise."""
        task, now = self._task, asyncio.get_running_loop().time()
        if task is None or (task.done() and now - self._started_at > CACHE_SECONDS):
            self._started_at = now
            task = self._task = asyncio.create_task(self._run_logged(), name="probe")
        await asyncio.wait([task], timeout=WAIT_SECONDS)
        return task.result() if task.done() else self._default

    async def close(self) -> None:
        """Cancel a probe that is running."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CLOSE_SECONDS)

    async def _run_logged(self) -> Result:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                result = await self._run()
                fault = self._find_fault(result)
        except Exception as error:
            result = self._default
            fault = f"did not answer: {reason_of(error)}"
        if not fault:
            self._logged.clear()
        elif fault not in self._logged and len(self._logged) < LOGGED_LIMIT:
            self._logged.add(fault)
            _logger.log(self._level, "%s %s", self._subject, fault)
        return result
