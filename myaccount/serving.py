"""Listening, signals and graceful shutdown, for the command line and for gunicorn's workers."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from aiohttp import web

from . import protocol
from .appkeys import ending_key
from .system.addresses import key_at_fault, listening_fault

_logger = logging.getLogger(__name__)

# Much longer than nginx keeps an idle connection (deploy/nginx.conf), so that the service never closes one on
# which a request is on its way. A connection that takes longer to send a whole request is closed as well.
KEEPALIVE_SECONDS: Final = 75
# A little longer than a request waits for the database. A client that does not read its reply gets no more time.
SHUTDOWN_SECONDS: Final = 7
# How long open connections may go on during shutdown. Each reply says `Connection: close`. Twice as long as nginx
# keeps an idle connection, so that nginx has closed all of them by then.
DRAIN_SECONDS: Final = 2


class PortRefused(OSError):
    """The port is in use, or this process may not use it."""


async def serve(app: web.Application, addresses: Sequence[tuple[str, int]], started: Callable[[], None]) -> None:
    """Run the application until SIGTERM or SIGINT, listening at the addresses (host and port), if there are any.

    `started` is called once it listens. Raises OSError if an address cannot be used, and what the application's
    resources raise.
    """
    ended = asyncio.Event()
    end_by_signals(ended)
    runner = GracefulRunner(app)
    try:
        await runner.setup()
        for host, port in addresses:
            await open_site(runner, "", host, port)
        started()
        await ended.wait()
        _logger.info(
            "Ending: accepted requests are answered first, and open connections get %s seconds.", DRAIN_SECONDS
        )
    finally:
        await runner.cleanup()


async def open_site(
    runner: web.BaseRunner, section: str, host: str, port: int, *, reuse_port: bool = False
) -> None:
    """Listen at an address. `::` means IPv6 and IPv4, as with gunicorn.

    Raises OSError, which names the section's key to change: `section` is a prefix, such as `metrics.`.
    """
    with _named(section, host, port):
        if host == "::":
            await web.SockSite(runner, _listening_on_both(port, reuse_port)).start()
        else:
            await web.TCPSite(runner, host, port, reuse_port=reuse_port or None).start()


async def refuse_taken(section: str, host: str, port: int) -> None:
    """Raise what `open_site` would raise now, without accepting a connection."""
    with _named(section, host, port):
        if host == "::":
            _listening_on_both(port, reuse_port=False).close()
        else:
            loop = asyncio.get_running_loop()
            (await loop.create_server(asyncio.Protocol, host, port, start_serving=False)).close()


def _listening_on_both(port: int, reuse_port: bool) -> socket.socket:
    both = socket.has_dualstack_ipv6()
    return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=both, reuse_port=reuse_port)


@contextmanager
def _named(section: str, host: str, port: int) -> Iterator[None]:
    """Make an OSError name the address and the key to change."""
    try:
        yield
    except OSError as error:
        key = key_at_fault(error)
        fault = PortRefused if key == "port" else OSError
        raise fault(f"{section}{key}: {listening_fault(host, port, error)}") from None


def end_process() -> None:
    """End this process as SIGTERM does: accepted requests are answered, and a supervisor starts a new one."""
    signal.raise_signal(signal.SIGTERM)


def end_by_signals(ended: asyncio.Event) -> None:
    """Set the event at SIGTERM, Ctrl-C, and on Windows Ctrl-Break."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, getattr(signal, "SIGBREAK", None)):
        if number is not None:
            try:
                loop.add_signal_handler(number, ended.set)
            except NotImplementedError:
                # Windows' loop does not handle signals.
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(ended.set))


class GracefulRunner(protocol.Runner):
    """Runs an application. At shutdown it answers every accepted connection before it closes it."""

    def __init__(self, app: web.Application) -> None:
        # A middleware writes the access log, with the request id.
        super().__init__(
            app, access_log=None, keepalive_timeout=KEEPALIVE_SECONDS, shutdown_timeout=SHUTDOWN_SECONDS
        )

    async def cleanup(self) -> None:
        await self._stop_accepting()
        if self.server is not None:
            self.app[ending_key].set()
            # First: streams, and the callbacks to this service, would keep connections open.
            await self.app.shutdown()
            await self._drain(self.server)
        await super().cleanup()

    async def _stop_accepting(self) -> None:
        loop = asyncio.get_running_loop()
        for listening in self.listening_sockets:
            # Windows' loop has no readers, and does not need this.
            with suppress(NotImplementedError):
                loop.remove_reader(listening)
        # asyncio silently drops connections that it accepts in the iteration of the loop in which the server is
        # closed (https://github.com/python/cpython/issues/109564).
        await asyncio.sleep(0)
        for site in self.sites:
            await site.stop()

    async def _drain(self, server: web.Server) -> None:
        """Wait until all connections are closed, for DRAIN_SECONDS at most."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DRAIN_SECONDS
        # Connections accepted just now appear in the list a moment later.
        await asyncio.sleep(0.01)
        # aiohttp has no event for the last connection's end.
        while server.connections and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
