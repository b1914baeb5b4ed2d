"""Work that a task repeats until it is cancelled. An error does not end it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

from ..errors import RequestError
from ..system.cancellation import raise_if_cancelled

_logger = logging.getLogger(__name__)

AFTER_FAULT_SECONDS: Final = 1


async def repeat(what: str, step: Callable[[], Awaitable[None]]) -> NoReturn:
    """Run `step` again and again. An error is logged, and the work goes on, since no other task does it."""
    while True:
        raise_if_cancelled()
        try:
            await step()
        except Exception as error:
            raise_if_cancelled()
            if isinstance(error, RequestError):
                _logger.warning("The %s pauses: %s", what, error.cause)
            else:
                _logger.exception("The %s failed unexpectedly and goes on.", what)
            await asyncio.sleep(AFTER_FAULT_SECONDS)
