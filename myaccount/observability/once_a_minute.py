"""Limits the log lines of repeated faults to one a minute."""

import logging
import math
import time
from typing import Final

INTERVAL_SECONDS: Final = 60
# asyncio logs this at every attempt: each second, for each address.
_NOT_ACCEPTED: Final = "socket.accept() out of system resource"


class OnceAMinute:
    """Limits a message to once a minute."""

    def __init__(self) -> None:
        self._last_at = -math.inf

    def due(self) -> bool:
        """Return True at most once a minute."""
        now = time.monotonic()
        if now - self._last_at < INTERVAL_SECONDS:
            return False
        self._last_at = now
        return True


class AcceptFilter(logging.Filter):
    """Shortens asyncio's report that it cannot accept connections, and passes it once a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._reported = OnceAMinute()

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.getMessage().startswith(_NOT_ACCEPTED):
            return True
        reason = record.exc_info[1] if record.exc_info else None
        record.exc_info = None
        record.msg, record.args = "No connection can be accepted; retrying each second: %s", (reason,)
        return self._reported.due()


logging.getLogger("asyncio").addFilter(AcceptFilter())
