"""The access log: a line about each request."""

import logging
import time
from typing import Final

from .log_handlers import InBlocks, utc_time
from .log_setup import TextFormatter, request_id

_logger: Final = logging.getLogger("myaccount.access")
# Monitoring requests these every few seconds, so they are logged at DEBUG.
_PROBES: Final = frozenset(("/healthz", "/readyz", "/metrics"))
_LINE: Final = "%s %s %s %.1f ms"


def log_access(method: str, path: str, status: int, seconds: float) -> None:
    level = logging.DEBUG if path in _PROBES else logging.INFO
    if not _logger.isEnabledFor(level):
        return
    values = method, path, status, seconds * 1000
    match logging.root.handlers:
        case [InBlocks(formatter=TextFormatter() as text) as handler] if _has_root_alone():
            # Nobody else listens, so it needs no record, which takes several times as long.
            created = time.time()
            time_, level_name = utc_time(int(created * 1000)), logging.getLevelName(level)
            line = text.line(time_, level_name, _logger.name, request_id.get(), _LINE % values)
            handler.add(line, created)
        case _:
            _logger.handle(_logger.makeRecord(_logger.name, level, "", 0, _LINE, values, None))


def _has_root_alone() -> bool:
    """Whether the logger's lines go to the root's handlers alone, all of them."""
    return _logger.parent is logging.root and _logger.propagate and not (_logger.handlers or _logger.filters)
