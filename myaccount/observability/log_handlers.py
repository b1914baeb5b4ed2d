"""Where log lines go: the console, and files. They are written in blocks, which costs less than line by line."""

import asyncio
import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from logging.handlers import TimedRotatingFileHandler, WatchedFileHandler
from pathlib import Path
from typing import Any, Final, TextIO

from ..system.private_files import make_file
from .once_a_minute import OnceAMinute

# A line waits so long for others. A line of a WARNING, and of anything worse, does not wait.
BLOCK_SECONDS: Final = 0.05
# POSIX: a pipe takes so many bytes in one piece. So lines of several processes do not mix.
BLOCK_BYTES: Final = 4096


class _Blocks:
    """A text stream that keeps its lines until `write_out`, and then writes many at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self.fileno = stream.fileno

    def write(self, line: str) -> None:
        self._lines.append(line)

    def flush(self) -> None:
        """Do nothing. Handlers do this after each line."""

    def write_out(self) -> None:
        """Write all lines. If that raises OSError, they are lost."""
        lines, self._lines = self._lines, []
        for block in _blocks(lines):
            self._stream.write(block)
            self._stream.flush()

    def close(self) -> None:
        # The lines that follow report what is wrong.
        with suppress(OSError):
            try:
                self.write_out()
            finally:
                self._stream.close()


def _blocks(lines: Iterable[str]) -> Iterator[str]:
    """Join the lines to blocks of at most BLOCK_BYTES; a longer line is a block of its own."""
    block, size = "", 0
    for line in lines:
        bytes_ = len(line.encode())
        if block and size + bytes_ > BLOCK_BYTES:
            yield block
            block, size = "", 0
        block += line
        size += bytes_
    if block:
        yield block


class InBlocks(logging.StreamHandler[Any]):
    """Writes lines in blocks, a moment later, if an event loop runs; at once if none does.

    It reports once a minute that it cannot write, and not for every line that is lost.
    """

    place = "in the log's file"
    _timer: asyncio.TimerHandle | None = None

    @cached_property
    def _reported(self) -> OnceAMinute:
        return OnceAMinute()

    def handle(self, record: logging.LogRecord) -> bool:
        if not super().handle(record):
            return False
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.write_out()
        else:
            if record.levelno >= logging.WARNING:
                self.write_out()
            elif self._timer is None or self._timer.when() < loop.time() - BLOCK_SECONDS:
                # One that is so late belongs to a loop that has ended.
                self._timer = loop.call_later(BLOCK_SECONDS, self.write_out)
        return True

    def write_out(self) -> None:
        """Write the lines that wait."""
        self._timer = None
        self.acquire()
        try:
            if self.stream is not None:
                self.stream.write_out()
        except (OSError, ValueError) as error:
            # A closed stream raises ValueError.
            self._report(error)
        finally:
            self.release()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            self._report(error)
        else:
            # The line itself is at fault, such as a missing argument.
            super().handleError(record)

    def _report(self, error: Exception) -> None:
        if self._reported.due():
            # The standard error may be the same closed pipe.
            with suppress(OSError):
                sys.stderr.write(f"Lines are missing {self.place}: {error}\n")


class Console(InBlocks):
    """The standard output."""

    place = "on the standard output"

    def __init__(self, stream: TextIO) -> None:
        super().__init__(_Blocks(stream))

    def close(self) -> None:
        self.write_out()
        super().close()


class LogFile(InBlocks, logging.FileHandler):
    """A file that is made for its owner alone."""

    def _open(self) -> Any:
        make_file(Path(self.baseFilename), lasting=True)
        return _Blocks(super()._open())


class SharedLogFile(LogFile, WatchedFileHandler):
    """A file that several processes may write, and that another program rotates."""


class DailyLogFile(LogFile, TimedRotatingFileHandler):
    """A file for each day."""

    def rotate(self, source: str, dest: str) -> None:
        # Windows does not rename a file that a program has open. The file is then used for another day.
        with suppress(PermissionError):
            super().rotate(source, dest)
