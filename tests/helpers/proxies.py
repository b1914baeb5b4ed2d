"""A forward proxy: it opens tunnels, and forwards plain requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Proxy:
    """Records the first line of each request and its credentials."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.credentials: list[str] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, _, fields = head.partition("\r\n")
            self.lines.append(line)
            self.credentials += [f for f in fields.splitlines() if f.lower().startswith("proxy-authorization:")]
            method, target, _ = line.split()
            tunnel = method == "CONNECT"
            address = urlsplit(f"//{target}" if tunnel else target)
            upstream, downstream = await asyncio.open_connection(address.hostname, address.port)
            if tunnel:
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                downstream.write(f"{method} {address.path} HTTP/1.1\r\n{fields}".encode())
            await asyncio.gather(_pass_on(reader, downstream), _pass_on(upstream, writer))
        writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def open_proxy() -> AsyncIterator[Proxy]:
    proxy = Proxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    yield proxy
    server.close()
