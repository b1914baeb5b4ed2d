"""The access log: a line about each request."""

import logging
import time
from typing import Final

from .log_setup import Record, request_id

_logger: Final = logging.getLogger("myaccount.access")
# Monitoring requests these every few seconds, so they are logged at DEBUG.
_PROBES: Final = frozenset(("/healthz", "/readyz", "/metrics"))


def log_access(method: str, path: str, status: int, seconds: float) -> None:
    level = logging.DEBUG if path in _PROBES else logging.INFO
    if _logger.isEnabledFor(level):
        _logger.handle(_AccessRecord(level, (method, path, status, seconds * 1000)))


class _AccessRecord(Record):
    """A record that costs a fifth of one that the logger makes: there is one for each request."""

    def __init__(self, level: int, values: tuple[object, ...]) -> None:
        self.__dict__.update(_COMMON[level])
        self.request_id = request_id.get()
        self.args = values
        self.created = time.time()


# What all records of a level have in common.
_COMMON: Final = {
    level: vars(logging.LogRecord(_logger.name, level, "", 0, "%s %s %s %.1f ms", None, None))
    for level in (logging.DEBUG, logging.INFO)
}
