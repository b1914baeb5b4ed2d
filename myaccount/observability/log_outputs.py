"""Where the lines of the log go: the console, and files."""

import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from logging.handlers import TimedRotatingFileHandler, WatchedFileHandler
from pathlib import Path
from typing import Any

from ..system.private_files import make_file
from .once_a_minute import OnceAMinute


class Output(logging.StreamHandler[Any]):
    """A place where lines go.

    It reports once a minute that it cannot write, and not for every line that is lost.
    """

    place = "in the log's file"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._reported = OnceAMinute()

    def write(self, blocks: Sequence[str]) -> None:
        try:
            self._write(blocks)
        except (OSError, ValueError) as error:
            # A closed stream raises ValueError.
            if self._reported.due():
                # The standard error may be the same closed pipe.
                with suppress(OSError):
                    sys.stderr.write(f"Lines are missing {self.place}: {error}\n")

    def _write(self, blocks: Sequence[str]) -> None:
        for block in blocks:
            self.stream.write(block)
            self.stream.flush()

    def close(self) -> None:
        # The lines that follow report what is wrong.
        with suppress(OSError):
            super().close()


class Console(Output):
    """The standard output."""

    place = "on the standard output"


class LogFile(Output, logging.FileHandler):
    """A file that is made for its owner alone."""

    def _open(self) -> Any:
        make_file(Path(self.baseFilename), lasting=True)
        return super()._open()

    def _write(self, blocks: Sequence[str]) -> None:
        # It could not be opened after a rotation, or it was closed.
        self.stream = self.stream or self._open()
        super()._write(blocks)


class SharedLogFile(LogFile, WatchedFileHandler):
    """A file that several processes may write, and that another program rotates."""

    def _write(self, blocks: Sequence[str]) -> None:
        self.reopenIfNeeded()
        super()._write(blocks)


class DailyLogFile(LogFile, TimedRotatingFileHandler):
    """A file for each day. A line that waited over midnight is in the new one."""

    def _write(self, blocks: Sequence[str]) -> None:
        # Only the time matters, but the method wants a record.
        if self.shouldRollover(logging.makeLogRecord({})):
            self.doRollover()
        super()._write(blocks)

    def rotate(self, source: str, dest: str) -> None:
        # Windows does not rename a file that a program has open. The file is then used for another day.
        with suppress(PermissionError):
            super().rotate(source, dest)
