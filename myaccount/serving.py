"""How the service is served, whichever way it was started."""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, cast

from aiohttp import web

from . import protocol
from .appkeys import ending_key
from .system.addresses import key_at_fault, listening_fault

# Far above what nginx keeps its own connections open for (deploy/nginx.conf), so that it is never the service that
# hangs up on a request on its way. A connection that has sent no whole request for so long is closed as well.
KEEPALIVE_SECONDS: Final = 75
# A little longer than the database is waited for; a client that does not take its answer is not waited for.
SHUTDOWN_SECONDS: Final = 7
# How long those who are connected may go on at the end, each answer telling them to come back on a new connection.
# Twice what nginx keeps a connection for that it does not use, so that none is left on which a request could come.
DRAIN_SECONDS: Final = 2


class PortRefused(OSError):
    """The port is in use, or needs rights that this process does not have."""


async def serve(app: web.Application, addresses: Sequence[tuple[str, int]], started: Callable[[], None]) -> None:
    """Run the application until SIGTERM or SIGINT, reachable at the addresses, hosts and ports, if there are any.

    Raises OSError if one of them is taken, and what the application's resources raise.
    """
    told_to_end = asyncio.Event()
    end_by_signals(told_to_end)
    runner = Runner(app)
    try:
        await runner.setup()
        for host, port in addresses:
            await open_site(runner, "", host, port)
        started()
        await told_to_end.wait()
    finally:
        await runner.cleanup()


async def open_site(
    runner: web.BaseRunner, section: str, host: str, port: int, *, reuse_port: bool = False
) -> None:
    """Listen at an address, `::` for IPv6 and IPv4 alike, as gunicorn does.

    Raises OSError, which names the key at fault of the section, such as `metrics.`.
    """
    with _named(section, host, port):
        if host == "::":
            await web.SockSite(runner, _listening_on_both(port, reuse_port)).start()
        else:
            await web.TCPSite(runner, host, port, reuse_port=reuse_port or None).start()


async def refuse_taken(section: str, host: str, port: int) -> None:
    """Raise what `open_site` would raise now, without letting anybody in."""
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
    """Have an OSError name the address and the key at fault."""
    try:
        yield
    except OSError as error:
        key = key_at_fault(error)
        fault = PortRefused if key == "port" else OSError
        raise fault(f"{section}{key}: {listening_fault(host, port, error)}") from None


def end_process() -> None:
    """End this process as SIGTERM would: what was accepted is answered first, and a supervisor starts another."""
    signal.raise_signal(signal.SIGTERM)


def end_by_signals(told_to_end: asyncio.Event) -> None:
    """Set the event at SIGTERM, Ctrl-C, and on Windows Ctrl-Break."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, getattr(signal, "SIGBREAK", None)):
        if number is not None:
            try:
                loop.add_signal_handler(number, told_to_end.set)
            except NotImplementedError:
                # Windows' loop leaves signals to Python.
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(told_to_end.set))


class Runner(protocol.Runner):
    """Runs an application and, at its end, answers everyone who was let in before it closes their connections."""

    def __init__(self, app: web.Application) -> None:
        # The middleware writes the line a request, with its id.
        super().__init__(
            app, access_log=None, keepalive_timeout=KEEPALIVE_SECONDS, shutdown_timeout=SHUTDOWN_SECONDS
        )

    async def cleanup(self) -> None:
        await self._stop_accepting()
        if self.server is not None:
            self.app[ending_key].set()
            await self._drain(self.server)
        await super().cleanup()

    async def _stop_accepting(self) -> None:
        loop = asyncio.get_running_loop()
        for site in self.sites:
            # aiohttp shows it to nobody; without one the address was taken.
            server = cast("asyncio.Server | None", cast("Any", site)._server)
            for listening in server.sockets if server is not None else ():
                # Windows' loop has none, and accepts whom it has let in.
                with suppress(NotImplementedError):
                    loop.remove_reader(listening)
        # asyncio drops, without a word, who is accepted in the turn of the loop in which its server is closed
        # (https://github.com/python/cpython/issues/109564).
        await asyncio.sleep(0)
        for site in self.sites:
            await site.stop()

    async def _drain(self, server: web.Server) -> None:
        """Wait until nobody is connected any more, but not for long."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DRAIN_SECONDS
        # Those who were let in last are not among the connections yet.
        await asyncio.sleep(0.01)
        # Nothing tells when the last one leaves.
        while server.connections and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
