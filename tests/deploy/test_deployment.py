"""nginx in front of gunicorn, and of processes under supervisord, as in deploy/."""

import asyncio
import json
import os
import re
import signal
import subprocess
from functools import partial
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest
import yaml

from myaccount.serving import DRAIN_SECONDS, KEEPALIVE_SECONDS

from ..conftest import Section, eventually
from ..helpers.deployments import (
    BEHIND_NGINX,
    DEPLOY,
    Nginx,
    NginxBefore,
    Supervisord,
    answers,
    nginx_before,
    port_of,
    sections,
    session,
    start_gunicorn,
)
from ..helpers.servers import free_port
from ..helpers.services import Start
from ..service.test_exchanges import FORM, JSON, replay

__all__ = ["nginx_before", "sections", "session"]


@pytest.mark.parametrize("content_type", [FORM, JSON])
async def test_the_contract_is_kept_through_nginx_and_gunicorn(
    start: Start, nginx_before: NginxBefore, session: aiohttp.ClientSession, sections: Section, content_type: str
) -> None:
    service = await asyncio.to_thread(start_gunicorn, start, **sections)
    nginx = await asyncio.to_thread(nginx_before, port_of(service))
    await replay(session, nginx.address, content_type)


async def test_the_contract_is_kept_through_nginx_and_the_processes_of_supervisord(
    nginx_before: NginxBefore, session: aiohttp.ClientSession, sections: Section, tmp_path: Path
) -> None:
    first = free_port(4)
    shared = tmp_path / "config.yaml"
    shared.write_text(yaml.safe_dump({"port": first, **sections}))
    # The fourth process has its own file.
    own = free_port()
    (tmp_path / "config-4.yaml").write_text(yaml.safe_dump({"port": own, **sections}))
    supervisord = Supervisord(tmp_path / "supervisord", shared)
    await asyncio.to_thread(supervisord.start)
    try:
        ports = [first + 1, first + 2, first + 3, own]
        for port in ports:
            await eventually(partial(answers, port))
        assert not await answers(first + 4)
        nginx = await asyncio.to_thread(nginx_before, *ports)
        await replay(session, nginx.address, FORM)
        # supervisord restarts a process that dies.
        killed = supervisord.children()[0]
        os.kill(killed, signal.SIGKILL)
        await eventually(lambda: killed not in supervisord.children() and len(supervisord.children()) == 4)
        for port in ports:
            await eventually(partial(answers, port))
    finally:
        await asyncio.to_thread(supervisord.stop)


@pytest.mark.parametrize(
    ("path", "times"),
    [
        ("/transfer", 4),
        ("/recharge", 4),
        ("/queryacc", 4),
        ("/openacc", 1),
        ("/addaccount", 1),
        ("/freeze", 1),
        ("/limit", 1),
        ("/close", 1),
        ("/teammessage", 1),
        ("/signin", 1),
        ("/account/password", 1),
    ],
)
async def test_nginx_retries_only_idempotent_requests(
    nginx_before: NginxBefore, session: aiohttp.ClientSession, path: str, times: int
) -> None:
    """The service reads each request and closes the connection without a reply."""
    came: list[bytes] = []
    heads: list[str] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"POST"):
            heads.append(head.decode())
            came.append(await reader.readexactly(4))
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        nginx = await asyncio.to_thread(nginx_before, server.sockets[0].getsockname()[1])
        async with session.post(f"{nginx.address}{path}", data=b"once") as response:
            problem = await response.json(content_type=None)
            assert (response.status, problem["code"]) == (503, "unavailable")
            assert response.headers["X-Request-ID"] == problem["request_id"]
    assert came == [b"once"] * times
    for head in heads:
        assert f"\r\nHost: 127.0.0.1:{nginx.port}\r\n" in head
        assert f"\r\nX-Request-ID: {problem['request_id']}\r\n" in head
        assert ("\r\nConnection: close\r\n" in head) == (times == 1)


async def test_no_log_of_nginx_has_the_token_of_a_stream(
    nginx_before: NginxBefore, session: aiohttp.ClientSession
) -> None:
    async def ping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(ping, "127.0.0.1", 0) as server:
        nginx = await asyncio.to_thread(nginx_before, server.sockets[0].getsockname()[1])
    # The service is gone, and nginx logs that.
    for path in ("/messages/stream?userId=u1&token=hunter2", "/messages?userId=u2"):
        async with session.get(f"{nginx.address}{path}") as response:
            assert response.status == 503
    await eventually(lambda: "/messages?userId=u2" in (nginx.folder / "error.txt").read_text())
    for log in nginx.folder.glob("*.*"):
        assert "hunter2" not in log.read_text(), log


async def test_what_nginx_refuses_gets_the_service_s_error_format(
    start: Start, nginx_before: NginxBefore, session: aiohttp.ClientSession
) -> None:
    service = await asyncio.to_thread(start_gunicorn, start, 1, **BEHIND_NGINX)
    nginx = await asyncio.to_thread(nginx_before, port_of(service))
    for given, kept in [("order-17", True), ('a", "code": "posted', False)]:
        headers = {"X-Request-ID": given}
        async with session.post(f"{nginx.address}/queryacc", data=b"x" * 20_000, headers=headers) as response:
            problem = await response.json(content_type=None)
            assert (response.status, problem["code"]) == (413, "payload_too_large")
            assert (response.headers["X-Request-ID"] == given) == (problem["request_id"] == given) == kept
            await eventually(lambda: f"[{problem['request_id']}] 413\n" in nginx.refusals())  # noqa: B023
    # A bulk may have 1 MiB.
    content = {"Content-Type": JSON}
    for size, status in ((2**20, 400), (2**20 + 1, 413)):
        async with session.post(f"{nginx.address}/bulk", data=BytesIO(b" " * size), headers=content) as response:
            assert response.status == status
    # A long note reaches the service.
    note = {"teamId": "t", "title": "T", "text": "张" * 2000}
    async with session.post(f"{nginx.address}/teammessage", data=note) as response:
        assert (response.status, (await response.json(content_type=None))["code"]) == (404, "team_not_found")
    for path, status, code in [
        (f"/{'x' * 9000}", 400, "invalid_request"),
        ("/metrics", 404, "not_found"),
        ("/refused-as-unknown", 404, "not_found"),
        # nginx passes these on, and the service refuses them.
        ("/nowhere", 404, "not_found"),
        ("/messages?userId=张三", 400, "invalid_request"),
        ("/\xff\xfe", 400, "invalid_request"),
    ]:
        head, _, body = (await _raw(nginx, path)).partition("\r\n\r\n")
        problem = json.loads(body)
        assert (int(head.split()[1]), problem["status"], problem["code"]) == (status, status, code), path
        assert f"X-Request-ID: {problem['request_id']}" in head
        assert "application/problem+json" in head
        assert "Cache-Control: no-store" in head
        assert "X-Content-Type-Options: nosniff" in head
        assert "Strict-Transport-Security: max-age=31536000" in head
        assert "Server: nginx\r\n" in head


async def _raw(nginx: Nginx, path: str) -> str:
    """Request as curl does, which does not escape the address."""
    reader, writer = await asyncio.open_connection("127.0.0.1", nginx.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    reply = await reader.read()
    writer.close()
    return reply.decode()


async def test_nginx_passes_on_the_name_and_port_that_the_client_used(
    start: Start, nginx_before: NginxBefore, session: aiohttp.ClientSession
) -> None:
    service = await asyncio.to_thread(start_gunicorn, start, 1, hosts=["pay.example.com"])
    nginx = await asyncio.to_thread(nginx_before, port_of(service))
    for headers, code in (
        ({"Host": "pay.example.com"}, "user_not_found"),
        ({"Host": "pay.example.com:8443", "Origin": "http://pay.example.com:8443"}, "user_not_found"),
        ({"Host": "pay.example.com:8443", "Origin": "http://pay.example.com"}, "cross_site"),
        # What a client invents is not passed on.
        ({"Host": "pay.example.com", "X-Forwarded-Host": "evil.test"}, "user_not_found"),
        ({"Host": "pay.example.com", "Sec-Fetch-Site": "cross-site"}, "cross_site"),
        ({"Host": "other.example.com"}, "unknown_host"),
        # This service trusts no proxy, so nobody knows on which machine the client is.
        ({"Host": "127.0.0.1"}, "unknown_host"),
    ):
        order = {"orderId": "r1", "userId": "u1", "amount": "1"}
        async with session.post(f"{nginx.address}/recharge", data=order, headers=headers) as response:
            assert (await response.json(content_type=None))["code"] == code, headers


def test_nginx_closes_an_idle_connection_before_the_service_does() -> None:
    (seconds,) = re.findall(r"^ +keepalive_timeout (\d+)s;", (DEPLOY / "nginx.conf").read_text(), re.MULTILINE)
    assert 2 * int(seconds) <= DRAIN_SECONDS < KEEPALIVE_SECONDS


async def test_nginx_does_not_buffer_a_stream(
    start: Start, nginx_before: NginxBefore, session: aiohttp.ClientSession, sections: Section
) -> None:
    service = await asyncio.to_thread(start_gunicorn, start, **sections)
    nginx = await asyncio.to_thread(nginx_before, port_of(service))
    fields = {"userId": "u1", "userName": "N", "sex": "F", "cardNum": "1", "accountId": "a1", "accountType": "01"}
    async with session.post(f"{nginx.address}/openacc", data=fields) as response:
        assert response.status == 200
    async with session.get(f"{nginx.address}/messages/stream", params={"userId": "u1"}) as stream:
        assert (await stream.content.readline()).startswith(b"id: ")
        order = {"orderId": "r1", "userId": "u1", "amount": "1"}
        async with session.post(f"{nginx.address}/recharge", data=order) as response:
            assert response.status == 200
        async with asyncio.timeout(60):
            while b"r1" not in await stream.content.readline():
                pass


def test_the_unit_for_systemd_is_valid(tmp_path: Path) -> None:
    # systemd-analyze also looks for the programs, which are not where the unit has them.
    unit = tmp_path / "myaccount.service"
    text = (DEPLOY / "myaccount.service").read_text()
    for old, new in (
        ("/opt/myaccount/.venv/bin/gunicorn", "/bin/sh"),
        ("/opt/myaccount/.venv/bin/myaccount", "/bin/sh"),
        ("file:/opt/myaccount/docs/operations.rst", "https://example.org/"),
    ):
        assert old in text
        text = text.replace(old, new)
    unit.write_text(text)
    verified = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (verified.returncode, verified.stderr) == (0, "")
    unit.write_text(text.replace("KillMode=mixed", "KillMode=mixd"))
    verified = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert "kill mode" in verified.stderr
