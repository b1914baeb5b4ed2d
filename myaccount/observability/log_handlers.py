"""Where log lines go: the console, and files. They are written in blocks, which costs less than line by line."""

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from functools import lru_cache
from logging.handlers import TimedRotatingFileHandler, WatchedFileHandler
from pathlib import Path
from typing import Any, Final

from ..system.private_files import make_file
from .once_a_minute import OnceAMinute

# A line waits so long for others. A line of a WARNING, and of anything worse, does not wait.
BLOCK_SECONDS: Final = 0.05
# POSIX: a pipe takes so many bytes in one piece. So lines of several processes do not mix.
BLOCK_BYTES: Final = 4096


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


@lru_cache(maxsize=2)
def _utc(second: int) -> str:
    """Return the time in seconds. Thousands of lines may have the same."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class InBlocks(logging.StreamHandler[Any]):
    """Writes lines in blocks, a moment later, if an event loop runs; at once if none does.

    It reports once a minute that it cannot write, and not for every line that is lost.
    """

    place = "in the log's file"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Another thread may log while this one writes.
        self._records: deque[logging.LogRecord] = deque()
        # Until then, by the records' clock, `write_out` is going to be called.
        self._due = 0.0
        self._is_writing = False
        self._reported = OnceAMinute()

    def handle(self, record: logging.LogRecord) -> bool:
        self._records.append(record)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.write_out()
        else:
            if record.levelno >= logging.WARNING:
                self.write_out()
            elif record.created >= self._due:
                loop.call_later(BLOCK_SECONDS, self.write_out)
                # If it does not write by then, its loop has ended.
                self._due = record.created + 2 * BLOCK_SECONDS
        return True

    def write_out(self) -> None:
        """Write the lines that wait. Those that cannot be written are lost."""
        self._due = 0.0
        with self.lock or nullcontext():
            if self._is_writing:
                # A line came while it formats others, such as from a destructor. It is written after them.
                return
            self._is_writing = True
            try:
                self._write_all()
            finally:
                self._is_writing = False

    def _write_all(self) -> None:
        try:
            while lines := list(self._lines()):
                self._write(lines)
        except (OSError, ValueError) as error:
            # A closed stream raises ValueError.
            if self._reported.due():
                # The standard error may be the same closed pipe.
                with suppress(OSError):
                    sys.stderr.write(f"Lines are missing {self.place}: {error}\n")

    def _lines(self) -> Iterator[str]:
        """Take the records that wait, and yield their lines. Many in a row take half the time of one by one."""
        while self._records:
            record = self._records.popleft()
            try:
                yield self.format(record)
            except Exception:
                # The line itself is at fault, such as a missing argument.
                self.handleError(record)

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line. All handlers have the same format, so it is made once."""
        line: str | None = record.__dict__.get("line")
        if line is None:
            second = int(record.created)
            record.time = f"{_utc(second)}.{int((record.created - second) * 1000):03}+00:00"
            line = super().format(record) + "\n"
            record.line = line
        return line

    def _write(self, lines: Iterable[str]) -> None:
        for block in _blocks(lines):
            self.stream.write(block)
            self.stream.flush()

    def close(self) -> None:
        self.write_out()
        # The lines that follow report what is wrong.
        with suppress(OSError):
            super().close()


class Console(InBlocks):
    """The standard output."""

    place = "on the standard output"


class LogFile(InBlocks, logging.FileHandler):
    """A file that is made for its owner alone."""

    def _open(self) -> Any:
        make_file(Path(self.baseFilename), lasting=True)
        return super()._open()

    def _write(self, lines: Iterable[str]) -> None:
        # It could not be opened after a rotation, or it was closed.
        self.stream = self.stream or self._open()
        super()._write(lines)


class SharedLogFile(LogFile, WatchedFileHandler):
    """A file that several processes may write, and that another program rotates."""

    def _write(self, lines: Iterable[str]) -> None:
        self.reopenIfNeeded()
        super()._write(lines)


class DailyLogFile(LogFile, TimedRotatingFileHandler):
    """A file for each day. A line that waited over midnight is in the new one."""

    def _write(self, lines: Iterable[str]) -> None:
        # Only the time matters, but the method wants a record.
        if self.shouldRollover(logging.makeLogRecord({})):
            self.doRollover()
        super()._write(lines)

    def rotate(self, source: str, dest: str) -> None:
        # Windows does not rename a file that a program has open. The file is then used for another day.
        with suppress(PermissionError):
            super().rotate(source, dest)
