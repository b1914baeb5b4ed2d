"""Logs requests that were refused with a 503: one line for each cause, with the request ids."""

import asyncio
import logging
from typing import Final, NamedTuple

_logger: Final = logging.getLogger(__name__)

# How long refusals of one cause are collected before their line is written.
GATHERING_SECONDS: Final = 1
IDS_LIMIT: Final = 100
# A cause may name a row, so there may be many causes.
CAUSES_LIMIT: Final = 20
OTHERS: Final = "several other causes"


class _Refused(NamedTuple):
    ids: list[str]
    timer: asyncio.TimerHandle


class Refusals:
    """Collects refused requests by their cause, and logs them."""

    def __init__(self) -> None:
        self._by_cause: dict[str, _Refused] = {}
        # By cause: how many there are beyond those whose ids are kept.
        self._more: dict[str, int] = {}

    def note(self, cause: str, request_id: str) -> None:
        """Record a refused request under its cause."""
        if cause not in self._by_cause and len(self._by_cause) >= CAUSES_LIMIT:
            cause = OTHERS
        refused = self._by_cause.get(cause)
        if refused is None:
            timer = asyncio.get_running_loop().call_later(GATHERING_SECONDS, self._log, cause)
            self._by_cause[cause] = _Refused([request_id], timer)
        elif len(refused.ids) < IDS_LIMIT:
            refused.ids.append(request_id)
        else:
            self._more[cause] = self._more.get(cause, 0) + 1

    def close(self) -> None:
        """Log the requests that were not logged yet."""
        for cause, refused in list(self._by_cause.items()):
            refused.timer.cancel()
            self._log(cause)

    def _log(self, cause: str) -> None:
        ids = self._by_cause.pop(cause).ids
        more = self._more.pop(cause, 0)
        others = f" and {more} more" if more else ""
        _logger.error("Refused with a 503: %s. Request ids: %s%s", cause.rstrip("."), ", ".join(ids), others)
