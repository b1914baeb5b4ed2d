"""The same requests to two services, with the fast path and without it, and what is seen of each."""

import asyncio
import itertools
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, Self

import pytest
from prometheus_client import generate_latest

from myaccount import middlewares
from myaccount.controller import body
from myaccount.fast_connection import FastConnection
from myaccount.observability import metrics, refusal_log
from myaccount.protocol import Connection

from ..conftest import PATIENCE_SECONDS
from .monitoring import Scrape
from .plain_requests import Step

_DATE: Final = re.compile(rb"\r\nDate: [A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT\r\n")
_GENERATED: Final = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8}\b")
_TIME: Final = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}Z")
# Of users and of messages.
_ROW_ID: Final = re.compile(rb'("ID": |"NID": |"before": "(?:un)?read-)[0-9]+')
_LENGTH: Final = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)
Receive = Callable[[Any, bytes], None]
_RECEIVE: Final[dict[type[Connection], Receive]] = {
    Connection: Connection.data_received,
    FastConnection: FastConnection.data_received,
}
_MILLISECONDS: Final = re.compile(r"[0-9]+\.[0-9] ms$")


class Seen(NamedTuple):
    """What came back on each connection, the lines of the log, and what was counted."""

    replies: list[list[bytes]]
    lines: Counter[str]
    counts: dict[object, float]


def plain(reply: bytes) -> bytes:
    """Return a reply without what differs from time to time."""
    dated = _DATE.sub(rb"\r\nDate: now\r\n", reply)
    return re.sub(_GENERATED.pattern.encode(), b"generated", dated)


def _plain_rows(head: bytes, body: bytes) -> bytes:
    """Return a whole reply without the times and ids of rows; its length is that of its body then."""
    body = _ROW_ID.sub(rb"\g<1>1", _TIME.sub(b"then", body))
    return _LENGTH.sub(b"\r\nContent-Length: %d\r\n" % len(body), head) + body


class Sender:
    """A client that sends steps, each on the connection of the last one if that is open.

    `received` tells how many bytes the service has had of each client's address.
    """

    def __init__(self, port: int, received: Counter[object] | None = None) -> None:
        self._port = port
        self._received = received
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self._close()

    async def send(self, step: Step) -> bytes:
        """Return all that comes back, without what differs from time to time."""
        if self._reader is None or self._writer is None or self._reader.at_eof():
            self._close()
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
            self._sent = 0
        for part in step.parts:
            self._writer.write(part)
            self._sent += len(part)
            await self._had(self._sent, self._reader, self._writer)
        if step.is_last:
            with suppress(OSError):
                self._writer.write_eof()
        received = b""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while step.is_last or step.replies > final_replies(received):
                reply = await _reply(self._reader)
                received += reply
                if not reply:
                    break
                if b"\r\nConnection: close\r\n" in reply:
                    while more := await _reply(self._reader):
                        received += more
                    break
        if self._reader.at_eof() or self._reader.exception() or step.is_last:
            self._close()
        if step.is_last:
            # Whether a reply says so depends on when the service sees the end (test_fast_path_ends.py).
            received = received.replace(b"\r\nConnection: close\r\n", b"\r\n")
        return plain(received)

    async def _had(self, count: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Wait until the service has had so many bytes, unless it has closed the connection, and a moment more."""
        if self._received is not None:
            address = writer.get_extra_info("sockname")
            # aiohttp has no event for it.
            while self._received[address] < count and not _is_closed(reader):  # noqa: ASYNC110
                await asyncio.sleep(0)
        await moment()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


def _is_closed(reader: asyncio.StreamReader) -> bool:
    return reader.exception() is not None or bool(vars(reader)["_eof"])


async def moment() -> None:
    """Let a service in this process read what was sent."""
    for _ in range(4):
        await asyncio.sleep(0)


def final_replies(received: bytes) -> int:
    return received.count(b"HTTP/1.1 ") + received.count(b"HTTP/1.0 ") - received.count(b"HTTP/1.1 100 ")


async def _reply(reader: asyncio.StreamReader) -> bytes:
    """Return the next reply, without the times and ids of rows, or what is left at the end of the connection."""
    head = b""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        return _plain_rows(head, await reader.readexactly(int(length[1]))) if length else head
    except asyncio.IncompleteReadError as error:
        return head + error.partial
    except ConnectionError:
        # The service closed it before it had read everything. What came before is there.
        buffer = vars(reader)["_buffer"]
        rest = bytes(buffer)
        buffer.clear()
        return head + rest


def counted() -> dict[object, float]:
    """Return what was counted about requests and orders so far."""
    metrics.count_noted()
    samples = Scrape(generate_latest(metrics.REGISTRY).decode()).samples
    names = ("myaccount_http_request_duration_seconds_count", "myaccount_refusals_total", "myaccount_orders_total")
    return {key: value for key, value in samples.items() if key[0] in names}


async def watch(
    port: int, clients: Sequence[Iterable[Step]], log: pytest.LogCaptureFixture, patch: pytest.MonkeyPatch
) -> Seen:
    """Send each client's steps in their order, all clients at once."""
    # Ids of one length.
    patch.setattr(middlewares, "_numbers", itertools.count(16**7))
    # A 503 has its own line at once. With several in a second, it would depend on the time which share one.
    patch.setattr(refusal_log, "GATHERING_SECONDS", 0)
    # However long the machine stands still between two parts of a body.
    patch.setattr(body, "BODY_TIMEOUT_SECONDS", 600)
    received = _count_received(patch)
    log.clear()
    log.set_level(logging.INFO)
    before = counted()
    replies = await asyncio.gather(*(_sent(Sender(port, received), steps) for steps in clients))
    counts = {key: value - before.get(key, 0) for key, value in counted().items()}
    # Whether a transaction is run again depends on others at the same time.
    lines = [_line(record) for record in log.records if record.name != "myaccount.database.retries"]
    return Seen(replies, Counter(lines), {key: value for key, value in counts.items() if value})


def _count_received(patch: pytest.MonkeyPatch) -> Counter[object]:
    """Count from now on the bytes that the service has had of each client's address."""
    counts: Counter[object] = Counter()

    def counting(kind: type[Connection], receive: Receive) -> Receive:
        def data_received(self: Connection, data: bytes) -> None:
            # One of the fast path may call the other's.
            if type(self) is kind:
                counts[self.peername] += len(data)
            receive(self, data)

        return data_received

    for kind, receive in _RECEIVE.items():
        patch.setattr(kind, "data_received", counting(kind, receive))
    return counts


async def _sent(sender: Sender, steps: Iterable[Step]) -> list[bytes]:
    async with sender:
        return [await sender.send(step) for step in steps]


def _line(record: logging.LogRecord) -> str:
    id_, text = vars(record)["request_id"], record.getMessage()
    line = f"{record.levelname} {record.name} [{id_}] {text}"
    return _GENERATED.sub("generated", _MILLISECONDS.sub("ms", line))
