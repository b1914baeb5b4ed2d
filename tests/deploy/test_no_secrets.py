"""After a mixed run through nginx and gunicorn, with faults, no secret stands in anything that was written."""

import asyncio
import base64
import os
import signal
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import yaml

from ..conftest import Section, eventually
from ..helpers.acl import permissions
from ..helpers.certificates import Authority
from ..helpers.deployments import NginxBefore, nginx_before, port_of, start_gunicorn, workers_of
from ..helpers.mixed_run import Known, Run
from ..helpers.receivers import Receiving
from ..helpers.secret_use import CARD, USER, move_money, sign_in_and_out, use_keys, use_tokens
from ..helpers.servers import MariaDB, Redis, free_port
from ..helpers.services import Start
from ..helpers.written import commands_of, files_in, process_lines, redis_contents, rows_in

__all__ = ["nginx_before"]

# Of the database and of Redis.
SERVER_USER: Final = "limited7"
# What the run must have left, so that no place is empty: of the log, the audit log, metrics, Redis, nginx.
SEEN: Final = (
    "POST /signin 401", "Field 'wanted'", "Access denied", "The callback away", "sign_in_failed",
    'route="/signin"', "XADD", ":rates:shop:", "nginx: worker process", '"POST /openacc HTTP/1.1"',
)  # fmt: skip


@pytest.fixture
def known() -> Known:
    known = Known()
    known.keep("card number", CARD)
    return known


@pytest.fixture
def servers(
    known: Known, mariadb: MariaDB, mysql_section: Section, redis_server: Redis, redis_section: Section
) -> Iterator[Section]:
    """The sections of servers at which the service has a user with a password."""
    passwords = known.new("password of the database"), known.new("password of Redis")
    with mariadb.connect("root", "") as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE USER {SERVER_USER}@'%' IDENTIFIED BY '{passwords[0]}'")
        cursor.execute(f"GRANT ALL ON {mysql_section['db']}.* TO {SERVER_USER}@'%'")
        with redis_server.client() as client:
            client.execute_command("ACL", "SETUSER", SERVER_USER, "on", f">{passwords[1]}", *permissions())
            users = [{"user": SERVER_USER, "password": password} for password in passwords]
            yield {"mysql": mysql_section | users[0], "redis": redis_section | users[1]}
            client.acl_deluser(SERVER_USER)
        cursor.execute(f"DROP USER {SERVER_USER}")


def _callbacks(known: Known, good: str) -> list[Section]:
    """Return endpoints: one that answers, one that is not there, and one behind a proxy that is not."""
    nowhere = f"127.0.0.1:{free_port()}"
    password, of_proxy = known.new("password of a callback"), known.new("password of a proxy")
    known.keep("a callback's header", base64.b64encode(f"user:{password}".encode()).decode().rstrip("="))
    signing = [known.new_signing(f"{which} secret of a callback") for which in ("new", "old")]
    return [
        {"url": f"{good}?token={known.new('token of a callback')}", "secret": signing},
        {"url": f"http://user:{password}@{nowhere}/", "name": "away", "secret": signing[0]},
        {"url": f"http://127.0.0.1:{free_port()}/", "proxy": f"http://user:{of_proxy}@{nowhere}"},
    ]


@pytest.fixture
async def run(
    start: Start, nginx_before: NginxBefore, known: Known, servers: Section, receiver: Receiving, tmp_path: Path
) -> AsyncIterator[Run]:
    """The service with two workers, which logs all that it can, and nginx with TLS."""
    receiver.receiver.answers = [500]
    (tmp_path / "temporary").mkdir()
    settings: dict[str, Any] = {
        "access": "keys", "trusted_proxies": ["127.0.0.1"], "log_level": "DEBUG", "metrics": {"port": free_port()},
        "log_file": f"{tmp_path}/log.txt", "callbacks": _callbacks(known, receiver.url), **servers,
        "environment": {"TMPDIR": f"{tmp_path}/temporary"},
    }  # fmt: skip
    service = await asyncio.to_thread(start_gunicorn, start, 2, **settings)
    authority = Authority(tmp_path / "authority")
    nginx = await asyncio.to_thread(nginx_before, port_of(service), pair=authority.issue("nginx"))
    trust = ssl.create_default_context(cafile=authority.ca)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust), cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield Run(service, nginx, session, known, [])


async def _answers(run: Run, status: int, shop: Mapping[str, str]) -> bool:
    response, text = await run.ask_for_secret("POST", "/queryacc", data={"userId": "u1"}, headers=shop)
    run.shown.append(text)
    return response.status == status


async def _lose_servers(
    run: Run, shop: Mapping[str, str], mariadb: MariaDB, redis_server: Redis, database: str
) -> None:
    """Let statements fail, take the passwords away, and kill the workers."""
    with mariadb.connect("root", "", database) as connection, connection.cursor() as cursor:
        # The statement with the card number fails.
        cursor.execute("ALTER TABLE user ADD COLUMN wanted INTEGER NOT NULL")
        await run.ask(500, "POST", "/openacc", data=USER | {"userId": "u2", "accountId": "a2"}, headers=shop)
        cursor.execute("ALTER TABLE user DROP COLUMN wanted")
        right = run.known.by_name["password of the database"]
        for password, status in (("another", 503), (right, 200)):
            cursor.execute(f"ALTER USER {SERVER_USER}@'%' IDENTIFIED BY '{password}'")
            cursor.execute(f"KILL USER {SERVER_USER}")
            await eventually(lambda: _answers(run, status, shop))  # noqa: B023
    await run.command("check")
    with redis_server.client() as client:
        for change in ("off", "on"):
            client.execute_command("ACL", "SETUSER", SERVER_USER, change)
            client.client_kill_filter(user=SERVER_USER)
            await run.command("check")
            assert await _answers(run, 200, shop)
    old = workers_of(run.service)
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    await eventually(lambda: not workers_of(run.service) & old)
    await eventually(lambda: _answers(run, 200, shop))


async def _check_wrong_files(run: Run, folder: Path) -> None:
    settings = yaml.safe_load(run.service.configuration.read_text())
    wrong = run.known.new("word of a wrong configuration")
    file = folder / "wrong.yaml"
    for changes in (
        {"callbacks": [{"url": "http://h/", "secret": wrong}]},
        {"callbacks": [{"url": f"h/?token={wrong}"}]},
        {"callbacks": [{"url": "http://h/", "proxy": f"user:{wrong}@h"}]},
        {"mysql": settings["mysql"] | {"password": [wrong]}},
        {"mysql": settings["mysql"] | {"pasword": wrong}},
        {"mysql": settings["mysql"] | {"password": wrong}},
        {"redis": settings["redis"] | {"password": wrong}},
    ):
        file.write_text(yaml.safe_dump(settings | changes))
        await run.command("check", file=file)


def _signing_key(mariadb: MariaDB, database: str) -> str:
    with mariadb.connect(database=database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM signing_key")
        ((secret,),) = cursor.fetchall()
        return str(secret)


async def test_no_secret_is_in_anything_that_is_written(
    run: Run, known: Known, mariadb: MariaDB, redis_server: Redis, servers: Section, tmp_path: Path
) -> None:
    database = servers["mysql"]["db"]
    known.keep("signing key", _signing_key(mariadb, database))
    with commands_of(redis_server) as commands:
        shop = await use_keys(run)
        await move_money(run, shop)
        stream = await use_tokens(run, shop)
        await sign_in_and_out(run, servers["mysql"])
        await _lose_servers(run, shop, mariadb, redis_server, database)
        await _check_wrong_files(run, tmp_path)
        for words in (("events",), ("audit",), ("operators",), ("verify",)):
            await run.command(*words)
        for path in ("/audit?pageSize=100", "/", "/signin"):
            await run.ask(200, "GET", path, headers=shop)
        port = yaml.safe_load(run.service.configuration.read_text())["metrics"]["port"]
        async with run.session.get(f"http://127.0.0.1:{port}/metrics", headers=shop) as response:
            run.shown.append(await response.text())
        redis = redis_contents(redis_server)
    written = {"Redis": redis, "Redis's commands": "\n".join(commands), "processes": process_lines()}
    written |= files_in(tmp_path / "temporary")
    # What nginx answers, and writes, when nobody is there.
    assert await asyncio.to_thread(run.service.end, signal.SIGTERM) == 0
    await run.ask(503, "GET", stream)
    await run.ask(503, "POST", "/signin", data={"name": "alice", "password": known.by_name["new password"]})
    await run.ask(503, "POST", "/openacc", data=USER, headers=shop)
    await run.ask(404, "GET", "/metrics", headers=shop)
    written |= {"replies": "\n".join(run.shown)} | files_in(tmp_path, but_for=tmp_path.glob("*.yaml"))
    assert {place: known.found_in(text) for place, text in written.items() if known.found_in(text)} == {}
    # The tables have card numbers, and the key that signs.
    assert known.found_in(rows_in(mariadb, database)) == ["card number", "signing key"]
    everything = "\n".join(written.values())
    assert [word for word in SEEN if word not in everything] == []
