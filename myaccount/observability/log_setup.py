"""Sets up Python's logging: lines of text or JSON, to the console and, if there is one, to a file.

Every line that a request causes has the request's id. No line has a body, a query or an SQL parameter, because
those may hold card numbers and passwords.
"""

import logging
import logging.config
import os
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..settings.paths import working_path
from ..system.private_files import make_file, tighten
from .log_handlers import Console, DailyLogFile, InBlocks, LogFile, SharedLogFile

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

FORMATS: Final = {
    "text": {"format": "%(time)s %(levelname)s %(name)s [%(request_id)s] %(message)s"},
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
    handlers: dict[str, dict[str, Any]] = {"console": {"()": Console, "stream": "ext://sys.stdout"}}
    file, handler = _file_of(config, alone)
    if file is not None and not _is_console(file):
        handlers["file"] = {**handler, "filename": str(file), "encoding": "utf-8"}
    for handler in handlers.values():
        handler["formatter"] = "line"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": FORMATS[config["log_format"]]},
        "handlers": handlers,
        "root": {"level": config["log_level"], "handlers": list(handlers)},
        "loggers": {
            # The migrations print what they do themselves.
            "alembic": {"level": "WARNING"},
            # At DEBUG it writes each statement with its parameters.
            "aiosqlite": {"level": "INFO"},
            # gunicorn's lines go where the service's go.
            "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
        },
    }


def _file_of(config: "Config", alone: bool) -> tuple[Path | None, dict[str, Any]]:
    """Return the log's file, if there is one, and its handler."""
    if "log_file" in config:
        return working_path(config["log_file"]), {"()": SharedLogFile}
    daily = {"()": DailyLogFile, "when": "midnight", "utc": True, "backupCount": KEPT_DAYS}
    return working_path(config["log_folder"]) / "myaccount.log" if alone and config["log_folder"] else None, daily


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
    for handler in logging.getLogger().handlers:
        if isinstance(handler, InBlocks):
            handler.write_out()


def close_log_file() -> None:
    """Log to the console alone from now on."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, LogFile)]:
        root.removeHandler(handler)
        handler.close()


def _is_console(file: Path) -> bool:
    """Whether the file is the console, as /dev/stdout is. Each line would be written twice."""
    try:
        return os.path.samestat(file.stat(), os.fstat(1))
    except OSError:
        return False


def set_up_logging(config: "Config", *, alone: bool = False) -> None:
    """Apply the configuration's logging. Raises OSError if the file cannot be written."""
    settings = logging_settings(config, alone=alone)
    file = settings["handlers"].get("file")
    try:
        if file:
            _keep_private(Path(file["filename"]), daily=file["()"] is DailyLogFile)
        logging.config.dictConfig(settings)
    except (OSError, ValueError) as error:
        # dictConfig wraps the reason in a ValueError.
        reason = error.__cause__ if isinstance(error, ValueError) else error
        if not isinstance(reason, OSError):
            raise
        key = "log_file" if "log_file" in config else "log_folder"
        raise OSError(
            f"{key}: {file['filename']} cannot be written: {reason.strerror}. "
            'With log_folder: "" and no log_file the log goes to the console alone'
        ) from None
