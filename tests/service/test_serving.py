"""Listening, and graceful shutdown: accepted connections are answered, with `Connection: close`."""

import asyncio
import re
import socket

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer

from myaccount import serving
from myaccount.appkeys import ending_key
from myaccount.main import create_app
from myaccount.serving import GracefulRunner, open_site, serve
from myaccount.settings.schema import Config
from myaccount.system.addresses import address_text

from ..conftest import Client, ClientOf, Server, eventually
from ..helpers.actions import open_users, send
from ..helpers.deployments import port_of
from ..helpers.servers import free_port
from ..helpers.services import Start


async def test_open_connections_are_answered_and_closed_at_shutdown(config: Config) -> None:
    app = create_app(config)
    runner = GracefulRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", config["port"]).start()
    address = f"http://127.0.0.1:{config['port']}/healthz"
    async with aiohttp.ClientSession() as session:
        async with session.get(address) as response:
            assert response.headers.get("Connection") != "close"
        ending = asyncio.create_task(runner.cleanup())
        await app[ending_key].wait()
        async with session.get(address) as response:
            assert (response.status, response.headers["Connection"]) == (200, "close")
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(address)
    await ending


async def test_shutdown_does_not_wait_for_streams_and_for_callbacks_to_itself(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "DRAIN_SECONDS", 3600)
    app = create_app(config)
    connector = aiohttp.TCPConnector(force_close=True)
    async with Server(app, port=config["port"]) as server, ClientOf(server, connector=connector) as client:
        await open_users(client, "u1")
        # The service's own connection stays open after its callback.
        await eventually(lambda: _connections(server) == 1)
        async with client.get("/messages/stream", params={"userId": "u1"}) as stream:
            await stream.content.readline()
            assert _connections(server) == 2
            async with asyncio.timeout(60):
                await server.close()


def _connections(server: BaseTestServer) -> int:
    assert server.runner is not None
    assert server.runner.server is not None
    return len(server.runner.server.connections)


async def test_a_connection_accepted_at_shutdown_is_answered(config: Config) -> None:
    runner = GracefulRunner(create_app(config))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", config["port"]).start()
    with socket.create_connection(("127.0.0.1", config["port"])) as connection:
        connection.settimeout(60)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: shop\r\n\r\n")
        # The loop sees the connection now, and accepts it in its next iteration, after shutdown has begun.
        await asyncio.sleep(0)
        ending = asyncio.create_task(runner.cleanup())
        answer = await asyncio.to_thread(connection.recv, 1000)
        assert answer.startswith(b"HTTP/1.1 200 OK"), answer
        await ending


async def test_a_host_that_does_not_exist_is_named(config: Config) -> None:
    with pytest.raises(OSError, match=r"^host: nowhere\.invalid:\d+: "):
        await serve(create_app(config), [("nowhere.invalid", config["port"])], lambda: pytest.fail("it started"))


@pytest.mark.parametrize("command", [("python3", "myaccount"), ("gunicorn", "myaccount")], ids=" ".join)
def test_the_unspecified_ipv6_address_serves_ipv4_as_well(start: Start, command: tuple[str, ...]) -> None:
    port = free_port()
    by_gunicorn = command[0] == "gunicorn"
    metrics = {"host": "::", "port": port}
    service = start(*command, by_environment=by_gunicorn, host="::", access="open", metrics=metrics)
    for host in ("127.0.0.1", "::1"):
        for number in (port_of(service), port):
            socket.create_connection((host, number), timeout=10).close()


async def test_an_ipv6_address_does_not_serve_ipv4(config: Config) -> None:
    runner = GracefulRunner(create_app(config))
    await runner.setup()
    await open_site(runner, "", "::1", config["port"])
    socket.create_connection(("::1", config["port"]), timeout=10).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", config["port"]), timeout=10)
    await runner.cleanup()


@pytest.mark.parametrize("taken", ["127.0.0.1", "::1"])
async def test_an_address_in_use_names_the_key_and_what_to_do(config: Config, taken: str) -> None:
    runner = web.ServerRunner(web.Server(lambda request: pytest.fail("nobody asks")))
    await runner.setup()
    family = socket.AF_INET6 if ":" in taken else socket.AF_INET
    with socket.create_server((taken, config["port"]), family=family):
        for host in (taken, "::"):
            fault = f"metrics.port: {address_text(host, config['port'])}: address already in use: end"
            with pytest.raises(OSError, match=f"^{re.escape(fault)}"):
                await open_site(runner, "metrics.", host, config["port"])
    await runner.cleanup()


async def test_an_address_of_another_machine_names_the_host(config: Config) -> None:
    runner = web.ServerRunner(web.Server(lambda request: pytest.fail("nobody asks")))
    await runner.setup()
    with pytest.raises(OSError, match=r"^host: 192\.0\.2\.1:\d+: cannot assign requested address$"):
        await open_site(runner, "", "192.0.2.1", config["port"])
    await runner.cleanup()


async def test_a_connection_is_kept_open_between_requests(client: Client) -> None:
    assert (await send(client, "/queryacc", userId="u1"))[0] == 200
    async with client.get("/healthz") as response:
        assert response.headers.get("Connection") != "close"
