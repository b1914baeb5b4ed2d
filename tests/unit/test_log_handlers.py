"""Lines of the log are written in blocks: whole lines, in their order, a moment late at most."""

import asyncio
import io
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from myaccount.observability import log_handlers, log_outputs
from myaccount.observability.log_handlers import BLOCK_BYTES, InBlocks
from myaccount.observability.log_outputs import Console, SharedLogFile

from ..conftest import eventually


class Pieces(io.StringIO):
    """A stream that knows in which pieces it was written."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def write(self, piece: str) -> int:
        self.pieces.append(piece)
        return len(piece)


@pytest.fixture
def stream() -> Pieces:
    return Pieces()


@pytest.fixture
def logger(stream: Pieces) -> Iterator[logging.Logger]:
    handler = InBlocks(Console(stream))
    logger = logging.Logger("blocks")
    logger.addHandler(handler)
    yield logger
    handler.close()


def test_without_a_loop_each_line_is_written_at_once(logger: logging.Logger, stream: Pieces) -> None:
    logger.info("one")
    logger.info("two")
    assert stream.pieces == ["one\n", "two\n"]


async def test_in_a_loop_lines_wait_for_others(
    logger: logging.Logger, stream: Pieces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_handlers, "BLOCK_SECONDS", 0.001)
    logger.info("one")
    logger.info("two")
    assert stream.pieces == []
    await eventually(lambda: stream.pieces != [])
    assert stream.pieces == ["one\ntwo\n"]
    logger.info("three")
    await eventually(lambda: len(stream.pieces) == 2)
    assert stream.pieces == ["one\ntwo\n", "three\n"]


async def test_a_warning_does_not_wait_nor_do_the_lines_before_it(logger: logging.Logger, stream: Pieces) -> None:
    logger.info("one")
    logger.warning("two")
    assert stream.pieces == ["one\ntwo\n"]


async def test_what_waits_is_written_when_the_handler_closes(logger: logging.Logger, stream: Pieces) -> None:
    logger.info("one")
    logger.handlers[0].close()
    assert stream.pieces == ["one\n"]


async def test_blocks_are_whole_lines_that_a_pipe_takes_in_one_piece(
    logger: logging.Logger, stream: Pieces
) -> None:
    lines = ["é" * (n % 150) for n in range(500)]
    lines.insert(200, "long" * BLOCK_BYTES)
    for line in lines:
        logger.info(line)
    logger.handlers[0].close()
    assert "".join(stream.pieces).splitlines() == lines
    sizes = [len(piece.encode()) for piece in stream.pieces]
    assert [piece for piece, size in zip(stream.pieces, sizes, strict=True) if size > BLOCK_BYTES] == [
        "long" * BLOCK_BYTES + "\n"
    ]
    assert all(piece.endswith("\n") for piece in stream.pieces)
    assert len(stream.pieces) < 30


def test_a_line_that_an_ended_loop_left_is_written_with_the_next(
    logger: logging.Logger, stream: Pieces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_handlers, "BLOCK_SECONDS", 60)

    async def log(line: str) -> None:
        logger.info(line)

    asyncio.run(log("one"))
    assert stream.pieces == []
    logger.info("two")
    assert stream.pieces == ["one\ntwo\n"]


def test_an_ended_loop_keeps_no_later_line_back(
    logger: logging.Logger, stream: Pieces, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def log(line: str, *, wait: bool) -> None:
        logger.info(line)
        if wait:
            await eventually(lambda: stream.pieces != [])

    handler = logger.handlers[0]
    assert isinstance(handler, InBlocks)
    monkeypatch.setattr(log_handlers, "BLOCK_SECONDS", 60)
    asyncio.run(log("one", wait=False))
    # That loop's write would have been by then.
    assert 60 < handler._due - time.time() <= 120
    handler._due -= 120
    monkeypatch.setattr(log_handlers, "BLOCK_SECONDS", 0.001)
    asyncio.run(log("two", wait=True))
    assert stream.pieces == ["one\ntwo\n"]


async def test_lines_that_come_while_others_are_written_are_written_after_them(
    logger: logging.Logger, stream: Pieces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from a destructor, which the garbage collector runs at any moment."""
    talk = iter(("three", "four"))

    def write(piece: str) -> int:
        for line in talk:
            logger.warning(line)
        stream.pieces.append(piece)
        return len(piece)

    monkeypatch.setattr(stream, "write", write)
    logger.info("one")
    logger.warning("two")
    assert "".join(stream.pieces).split() == ["one", "two", "three", "four"]


async def test_a_line_that_is_at_fault_loses_no_other(
    logger: logging.Logger, stream: Pieces, capsys: pytest.CaptureFixture[str]
) -> None:
    for line, values in (("one", ()), ("%s and %s", ("one",)), ("two", ())):
        logger.info(line, *values)
    logger.handlers[0].close()
    assert stream.pieces == ["one\ntwo\n"]
    assert "not enough arguments" in capsys.readouterr().err


async def test_the_lines_that_wait_go_to_the_new_file_after_a_rotation(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    handler = InBlocks(SharedLogFile(file))
    logger = logging.Logger("rotated")
    logger.addHandler(handler)
    logger.warning("one")
    logger.info("two")
    file.rename(tmp_path / "log.1")
    logger.info("three")
    handler.close()
    assert (tmp_path / "log.1").read_text("utf-8") == "one\n"
    assert file.read_text("utf-8") == "two\nthree\n"


async def test_a_file_that_could_not_be_opened_again_is_opened_with_the_next_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "log.txt"
    handler = InBlocks(SharedLogFile(file))
    logger = logging.Logger("rotated")
    logger.addHandler(handler)
    file.rename(tmp_path / "log.1")
    with monkeypatch.context() as patch:
        patch.setattr(log_outputs, "make_file", Mock(side_effect=OSError("Too many open files")))
        logger.warning("lost")
    assert "Lines are missing in the log's file: Too many open files" in capsys.readouterr().err
    logger.warning("kept")
    handler.close()
    assert file.read_text("utf-8") == "kept\n"
