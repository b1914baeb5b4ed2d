"""Python's logging: lines of text or JSON, to the console and, if there is one, to a file.

Every line of a request carries the request's id; no line carries a body, a query or a parameter of SQL,
since those may hold card numbers and passwords.
"""

import logging
import logging.config
import math
import sys
import time
from contextvars import ContextVar
from logging.handlers import TimedRotatingFileHandler, WatchedFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiohttp.http_exceptions import HttpProcessingError

from .resources import working_path

if TYPE_CHECKING:
    from .settings import Config

request_id: Final[ContextVar[str]] = ContextVar("request_id", default="-")

KEPT_DAYS: Final = 30


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


class _Persistent(logging.Handler):
    """A file that may be full for a while: said once a minute, not for every line that is lost."""

    _said_at = -math.inf

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        if time.monotonic() - self._said_at >= 60:
            self._said_at = time.monotonic()
            sys.stderr.write(f"Lines are missing in the log's file: {sys.exc_info()[1]}\n")


class SharedLogFile(_Persistent, WatchedFileHandler):
    """One that several processes write, and that others rotate."""


class DailyLogFile(_Persistent, TimedRotatingFileHandler):
    """One for each day."""


# What aiohttp's protocol has to say.
protocol_logger: Final = logging.getLogger("myaccount.protocol")
protocol_logger.addFilter(MalformedRequestFilter())

FORMATS: Final = {
    "text": {"format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"},
    "json": {
        "()": "pythonjsonlogger.json.JsonFormatter",
        "fmt": "%(asctime)s %(levelname)s %(name)s %(request_id)s %(message)s",
        "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
    },
}


def logging_settings(config: "Config", *, alone: bool = False) -> dict[str, Any]:
    """Return what `logging.config.dictConfig` takes.

    A process that serves `alone` writes a file a day, unless a file is named: that one may be shared by several
    processes, since none of them rotates it. Whoever does, it is opened again.
    """
    handlers: dict[str, dict[str, Any]] = {
        "console": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}
    }
    if "log_file" in config:
        file = working_path(config["log_file"])
        handlers["file"] = {"()": SharedLogFile, "filename": str(file)}
    elif alone:
        file = working_path(config["log_folder"]) / "myaccount.log"
        handlers["file"] = {
            "()": DailyLogFile,
            "filename": str(file),
            "when": "midnight",
            "backupCount": KEPT_DAYS,
        }
    if "file" in handlers:
        handlers["file"]["encoding"] = "utf-8"
    for handler in handlers.values():
        handler |= {"formatter": "line", "filters": ["request_id"]}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": RequestIdFilter}},
        "formatters": {"line": FORMATS[config["log_format"]]},
        "handlers": handlers,
        "root": {"level": config["log_level"], "handlers": list(handlers)},
        "loggers": {
            # What a migration does is told in our words.
            "alembic": {"level": "WARNING"},
            # At DEBUG it writes each statement with its parameters.
            "aiosqlite": {"level": "INFO"},
            # gunicorn's own lines go where ours go.
            "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
        },
    }


def set_up_logging(config: "Config", *, alone: bool = False) -> None:
    """Log as the configuration says. Raises OSError if the file cannot be written."""
    settings = logging_settings(config, alone=alone)
    if file := settings["handlers"].get("file"):
        Path(file["filename"]).parent.mkdir(parents=True, exist_ok=True)
    try:
        logging.config.dictConfig(settings)
    except ValueError as error:
        # It hides the reason behind its own words.
        raise (error.__cause__ if isinstance(error.__cause__, OSError) else error) from None
