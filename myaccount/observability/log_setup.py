"""Sets up Python's logging: lines of text or JSON, to the console and, if there is one, to a file.

Every line that a request causes has the request's id. No line has a body, a query or an SQL parameter, because
those may hold card numbers and passwords.
"""

import logging
import logging.config
import os
import sys
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..settings.paths import working_path
from ..system.private_files import make_file, tighten
from .log_handlers import InBlocks
from .log_outputs import Console, DailyLogFile, Output, SharedLogFile

if TYPE_CHECKING:
    from ..settings.schema import Config

# No line has these, and to find them takes time for each line.
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

request_id: Final[ContextVar[str]] = ContextVar("request_id", default="-")

KEPT_DAYS: Final = 30


class Record(logging.LogRecord):
    """A record with the id of the request that it is about."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.request_id = request_id.get()


logging.setLogRecordFactory(Record)

# For aiohttp's protocol.
protocol_logger: Final = logging.getLogger("myaccount.protocol")


class TextFormatter(logging.Formatter):
    """Makes lines of text."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        more = vars(record)
        return self.line(more["time"], record.levelname, record.name, more["request_id"], record.message)

    @staticmethod
    def line(time: str, level: str, logger: str, id_: str, message: str) -> str:
        return f"{time} {level} {logger} [{id_}] {message}"


FORMATS: Final = {
    "text": {"()": TextFormatter},
    "json": {
        "()": "pythonjsonlogger.json.JsonFormatter",
        "fmt": "%(time)s %(levelname)s %(name)s %(request_id)s %(message)s",
        "rename_fields": {"levelname": "level", "name": "logger"},
    },
}


def logging_settings(config: "Config", *, alone: bool = False) -> dict[str, Any]:
    """Return what `logging.config.dictConfig` takes.

    A process that serves `alone` writes a file for each day (UTC), unless the configuration names a file. Several
    processes may share that one: none of them rotates it, and each opens it again after it was rotated.
    """
    file, daily = _file_of(config, alone), "log_file" not in config
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": FORMATS[config["log_format"]]},
        "handlers": {"lines": {"()": _open_log, "file": file, "daily": daily, "formatter": "line"}},
        "root": {"level": config["log_level"], "handlers": ["lines"]},
        "loggers": {
            # The migrations print what they do themselves.
            "alembic": {"level": "WARNING"},
            # At DEBUG it writes each statement with its parameters.
            "aiosqlite": {"level": "INFO"},
            # gunicorn's lines go where the service's go.
            "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
        },
    }


def _file_of(config: "Config", alone: bool) -> Path | None:
    """Return the log's file, if there is one."""
    if "log_file" in config:
        file = working_path(config["log_file"])
    elif alone and config["log_folder"]:
        file = working_path(config["log_folder"]) / "myaccount.log"
    else:
        return None
    return None if _is_console(file) else file


def _open_log(file: Path | None, *, daily: bool) -> InBlocks:
    outputs: list[Output] = [Console(sys.stdout)]
    if file is not None and daily:
        outputs.append(DailyLogFile(file, "midnight", utc=True, backupCount=KEPT_DAYS, encoding="utf-8"))
    elif file is not None:
        outputs.append(SharedLogFile(file, encoding="utf-8"))
    return InBlocks(*outputs)


def _keep_private(file: Path, *, daily: bool) -> None:
    """Make the log's file for its owner alone, and restrict daily files that an earlier version made.

    A file that the configuration names keeps its permissions, because the program that rotates it sets them.
    """
    if not make_file(file) and daily:
        for path in file.parent.glob(f"{file.name}*"):
            with suppress(PermissionError):
                tighten(path)


def write_out_log() -> None:
    """Write the lines that wait for others."""
    for handler in _handlers():
        handler.write_out()


def close_log_file() -> None:
    """Log to the console alone from now on."""
    for handler in _handlers():
        handler.close_files()


def _handlers() -> list[InBlocks]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, InBlocks)]


def _is_console(file: Path) -> bool:
    """Whether the file is the console, as /dev/stdout is. Each line would be written twice."""
    try:
        return os.path.samestat(file.stat(), os.fstat(1))
    except OSError:
        return False


def set_up_logging(config: "Config", *, alone: bool = False) -> None:
    """Apply the configuration's logging. Raises OSError if the file cannot be written."""
    settings = logging_settings(config, alone=alone)
    file, daily = (settings["handlers"]["lines"][key] for key in ("file", "daily"))
    try:
        if file:
            _keep_private(file, daily=daily)
        logging.config.dictConfig(settings)
    except (OSError, ValueError) as error:
        # dictConfig wraps the reason in a ValueError.
        reason = error.__cause__ if isinstance(error, ValueError) else error
        if not isinstance(reason, OSError):
            raise
        raise OSError(
            f"{'log_folder' if daily else 'log_file'}: {file} cannot be written: {reason.strerror}. "
            'With log_folder: "" and no log_file the log goes to the console alone'
        ) from None
