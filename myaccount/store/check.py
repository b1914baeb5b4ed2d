"""A question that may never be answered, asked for everyone at once, and waited for only so long."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

_logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# After this the question is given up. Libraries may be slow to notice, so whoever asked does not wait for that.
ASK_SECONDS: Final = 0.6
WAIT_SECONDS: Final = 0.8
# An answer this old is still given: so however many ask, the question is put only so often.
REMEMBERED_SECONDS: Final = 0.5
CLOSE_SECONDS: Final = 2


class Check(Generic[Answer]):
    """Asks one at a time; `otherwise` is the answer when the question fails or takes too long."""

    def __init__(self, what: str, ask: Callable[[], Awaitable[Answer]], otherwise: Answer) -> None:
        self._what = what
        self._ask = ask
        self._otherwise = otherwise
        self._well = True
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
        except Exception as error:
            answer = self._otherwise
            if self._well:
                # Only the driver's own words: SQLAlchemy's add the statement.
                reason = str(getattr(error, "orig", None) or error) or type(error).__name__
                _logger.warning("%s did not answer: %s", self._what, reason)
            self._well = False
        else:
            self._well = True
        return answer
