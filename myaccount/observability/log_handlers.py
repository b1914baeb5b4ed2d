"""Gathers the lines of the log in blocks, which costs less than to write line by line (log_outputs.py: where)."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from .log_outputs import Output

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
def utc_time(milliseconds: int) -> str:
    """Return the time of a line, by its milliseconds since 1970. Many lines have the same."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


class InBlocks(logging.Handler):
    """Writes lines to its outputs in blocks, a moment later, if an event loop runs; at once if none does."""

    def __init__(self, *outputs: Output) -> None:
        super().__init__()
        self._outputs = outputs
        # Another thread may log while this one writes.
        self._lines: deque[str] = deque()
        # Until then, by the lines' clock, `write_out` is going to be called.
        self._due = 0.0
        self._is_writing = False

    def handle(self, record: logging.LogRecord) -> bool:
        record.time = utc_time(int(record.created * 1000))
        try:
            line = self.format(record)
        except Exception:
            # The line itself is at fault, such as a missing argument.
            self.handleError(record)
        else:
            self.add(line, record.created, waits=record.levelno < logging.WARNING)
        return True

    def add(self, line: str, created: float, *, waits: bool = True) -> None:
        """Have the line written, after those before it; one that `waits` a moment later, if it can."""
        self._lines.append(line + "\n")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.write_out()
        else:
            if not waits:
                self.write_out()
            elif created >= self._due:
                loop.call_later(BLOCK_SECONDS, self.write_out)
                # If it does not write by then, its loop has ended.
                self._due = created + 2 * BLOCK_SECONDS

    def write_out(self) -> None:
        """Write the lines that wait. Those that cannot be written are lost."""
        self._due = 0.0
        with self.lock or nullcontext():
            if self._is_writing:
                # A line came while others are written, such as from a destructor. It is written after them.
                return
            self._is_writing = True
            try:
                while self._lines:
                    blocks = list(_blocks([self._lines.popleft() for _ in range(len(self._lines))]))
                    for output in self._outputs:
                        output.write(blocks)
            finally:
                self._is_writing = False

    def close(self) -> None:
        self.write_out()
        for output in self._outputs:
            output.close()
        super().close()

    def close_files(self) -> None:
        """Write to the console, which is the first output, alone from now on."""
        self.write_out()
        console, *files = self._outputs
        self._outputs = (console,)
        for file in files:
            file.close()
