"""Python's logging: to the console and, where one process serves alone, to a file a day.

Every line of a request carries the request's id; no line carries a body, a query or a parameter of SQL,
since those may hold card numbers and passwords.
"""

import logging
from contextvars import ContextVar
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path
from typing import Final

from aiohttp.http_exceptions import HttpProcessingError

request_id: Final[ContextVar[str]] = ContextVar("request_id", default="-")

KEPT_DAYS: Final = 30
LINE: Final = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"


class RequestIdFilter(logging.Filter):
    """Give each record the id of the request in whose course it was made."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


class MalformedRequestFilter(logging.Filter):
    """Take the bytes of a request that is not HTTP out of its record: they may be a card number's."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            record.exc_info = None
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.msg, record.args = "A request was not HTTP: %s", (type(error).__name__,)
        return True


# What aiohttp's protocol has to say.
protocol_logger: Final = logging.getLogger("myaccount.protocol")
protocol_logger.addFilter(MalformedRequestFilter())


def set_up_logging(level: str, folder: Path | None = None) -> None:
    """Log to the console and, if a folder is given, to `myaccount.log` in it, a new file each midnight.

    Raises OSError if the file cannot be written.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "myaccount.log"
        handlers.append(TimedRotatingFileHandler(file, when="midnight", backupCount=KEPT_DAYS, encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(logging.Formatter(LINE))
        handler.addFilter(RequestIdFilter())
    logging.basicConfig(level=level, handlers=handlers, force=True)
    # At DEBUG it writes each statement with its parameters.
    logging.getLogger("aiosqlite").setLevel(logging.INFO)
