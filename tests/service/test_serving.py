"""The end of a service: whoever was let in is answered, and told to come back on another connection."""

import asyncio
import re
import socket

import aiohttp
import pytest
from aiohttp import web

from myaccount.appkeys import ending_key
from myaccount.main import create_app
from myaccount.serving import Runner, open_site, serve
from myaccount.settings.schema import Config
from myaccount.system.addresses import address_text

from ..conftest import Client
from ..helpers.actions import send
from ..helpers.deployments import port_of
from ..helpers.servers import free_port
from ..helpers.services import Start


async def test_who_is_connected_at_the_end_is_answered_and_told_to_come_back(config: Config) -> None:
    app = create_app(config)
    runner = Runner(app)
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


async def test_who_is_let_in_at_the_very_end_is_answered_too(config: Config) -> None:
    runner = Runner(create_app(config))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", config["port"]).start()
    with socket.create_connection(("127.0.0.1", config["port"])) as connection:
        connection.settimeout(10)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: shop\r\n\r\n")
        # The loop sees that it is there, and accepts it when this turn of ours is over, which ends the service.
        await asyncio.sleep(0)
        ending = asyncio.create_task(runner.cleanup())
        answer = await asyncio.to_thread(connection.recv, 1000)
        assert answer.startswith(b"HTTP/1.1 200 OK"), answer
        await ending


async def test_an_address_that_there_is_not_is_named(config: Config) -> None:
    with pytest.raises(OSError, match=r"^host: nowhere\.invalid:\d+: "):
        await serve(create_app(config), [("nowhere.invalid", config["port"])], lambda: pytest.fail("it started"))


@pytest.mark.parametrize("command", [("python3", "myaccount"), ("gunicorn", "myaccount")], ids=" ".join)
def test_the_address_of_all_serves_both_families(start: Start, command: tuple[str, ...]) -> None:
    port = free_port()
    by_gunicorn = command[0] == "gunicorn"
    service = start(*command, by_environment=by_gunicorn, host="::", metrics={"host": "::", "port": port})
    for host in ("127.0.0.1", "::1"):
        for number in (port_of(service), port):
            socket.create_connection((host, number), timeout=10).close()


async def test_the_address_of_one_serves_that_alone(config: Config) -> None:
    """The other side."""
    runner = Runner(create_app(config))
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


async def test_a_client_s_connection_is_kept_between_its_requests(client: Client) -> None:
    assert (await send(client, "/queryacc", userId="u1"))[0] == 200
    async with client.get("/healthz") as response:
        assert response.headers.get("Connection") != "close"
