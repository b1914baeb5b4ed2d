"""Python's logging: to the console and, where one process serves alone, to a file a day.

Every line of a request carries the request's id; no line carries a body, a query or a parameter of SQL,
since those may hold card numbers and passwords.
"""

import logging.config
from contextvars import ContextVar
from pathlib import Path
from typing import Final

request_id: Final[ContextVar[str]] = ContextVar("request_id", default="-")

KEPT_DAYS: Final = 30


class RequestIdFilter(logging.Filter):
    """Give each record the id of the request in whose course it was made."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


def set_up_logging(level: str, folder: Path | None = None) -> None:
    """Log to the console and, if a folder is given, to `myaccount.log` in it, a new file each midnight."""
    handlers: dict[str, dict[str, object]] = {
        "console": {"class": "logging.StreamHandler"},
    }
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        handlers["file"] = {
            "class": "logging.handlers.TimedRotatingFileHandler",
            "filename": str(folder / "myaccount.log"),
            "when": "midnight",
            "backupCount": KEPT_DAYS,
            "encoding": "utf-8",
        }
    for handler in handlers.values():
        handler.update(formatter="line", filters=["request_id"])
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"request_id": {"()": RequestIdFilter}},
            "formatters": {
                "line": {"format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"},
            },
            "handlers": handlers,
            # At DEBUG it writes each statement with its parameters.
            "loggers": {"aiosqlite": {"level": "INFO"}},
            "root": {"level": level, "handlers": list(handlers)},
        }
    )
