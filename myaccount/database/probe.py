"""A probe shared by all callers, with a timeout and a short cache."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from .reasons import reason_of

_logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# After this the question is given up. Libraries may be slow to notice, so whoever asked does not wait for that.
ASK_SECONDS: Final = 0.6
WAIT_SECONDS: Final = 0.8
# An answer this old is still given: so however many ask, the question is put only so often.
REMEMBERED_SECONDS: Final = 0.5
CLOSE_SECONDS: Final = 2
# An error's text may be another each time.
LOGGED_LIMIT: Final = 10


class Check(Generic[Answer]):
    """Asks one at a time; `otherwise` is the answer when the question fails or takes too long.

    `fault_of` tells what is wrong according to an answer. Each fault is logged once until all is well again.
    """

    def __init__(
        self,
        what: str,
        ask: Callable[[], Awaitable[Answer]],
        otherwise: Answer,
        *,
        fault_of: Callable[[Answer], str] = lambda answer: "",
        level: int = logging.WARNING,
    ) -> None:
        self._what = what
        self._ask = ask
        self._otherwise = otherwise
        self._fault_of = fault_of
        self._level = level
        self._logged: set[str] = set()
        self._began = 0.0
        self._asking: asyncio.Task[Answer] | None = None

    async def answer(self) -> Answer:
        """Return an answer within a second; never raise."""
        asking, now = self._asking, asyncio.get_running_loop().time()
        if asking is None or (asking.done() and now - self._began > REMEMBERED_SECONDS):
            self._began = now
            asking = self._asking = asyncio.create_task(self._find_out(), name="check")
        await asyncio.wait([asking], timeout=WAIT_SECONDS)
        return asking.result() if asking.done() else self._otherwise

    async def close(self) -> None:
        """Break off what is being asked."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking], timeout=CLOSE_SECONDS)

    async def _find_out(self) -> Answer:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                answer = await self._ask()
                fault = self._fault_of(answer)
        except Exception as error:
            answer = self._otherwise
            fault = f"did not answer: {reason_of(error)}"
        if not fault:
            self._logged.clear()
        elif fault not in self._logged and len(self._logged) < LOGGED_LIMIT:
            self._logged.add(fault)
            _logger.log(self._level, "%s %s", self._what, fault)
        return answer
