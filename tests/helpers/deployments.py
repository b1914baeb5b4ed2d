"""The programs of a deployment, with the files of deploy/, each on its own port and in its own folder."""

import asyncio
import re
import signal
import ssl
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from ..conftest import Section
from .certificates import Pair
from .child_processes import children
from .servers import Server, free_port, program, wait_until
from .services import CHECKOUT, ENVIRONMENT, Service, Start

DEPLOY = CHECKOUT / "deploy"
GUNICORN = ("gunicorn", "myaccount")
# For a start that is to be refused: it waits only a second for what another process has.
IMPATIENT_GUNICORN = (*GUNICORN, "-c", "tests/helpers/impatient_gunicorn.py")
# Its workers wait a minute for the database, and for a connection to it.
PATIENT_GUNICORN = (*GUNICORN, "-c", "tests/helpers/patient_gunicorn.py")

# So that clients on this machine may use its own address.
BEHIND_NGINX = {"trusted_proxies": ["127.0.0.1"]}

NGINX = """\
user root;
worker_processes 2;
pid {folder}/pid;
error_log {folder}/error.txt;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""

SUPERVISORD = """\
[supervisord]
logfile={folder}/supervisord.txt
pidfile={folder}/pid
childlogdir={folder}
user=root
"""


class Nginx(Server):
    """nginx on deploy/nginx.conf, in front of the service on the ports given.

    With a certificate it serves with TLS, as the file says, and at `plain_port` without; otherwise only without.
    A client that sends nothing for `slow_seconds` is refused: no test is one on a machine that stands still.
    """

    def __init__(self, folder: Path, *ports: int, pair: Pair | None = None, slow_seconds: int = 60) -> None:
        super().__init__(folder)
        self.address = f"{'https' if pair else 'http'}://127.0.0.1:{self.port}"
        self.plain_port = free_port()
        # The file lists gunicorn's one port four times.
        lines = ports * 4 if len(ports) == 1 else ports
        upstream = "".join(f"server 127.0.0.1:{port} max_fails=0;\n" for port in lines)
        site = (DEPLOY / "nginx.conf").read_text()
        for old, new in (
            ("    server 127.0.0.1:8080 max_fails=0;\n" * 4, upstream),
            ("listen 80;", f"listen 127.0.0.1:{self.plain_port};"),
            ("listen 443 ssl;", f"listen 127.0.0.1:{self.port}{' ssl' if pair else ''};"),
            ("/etc/myaccount/tls.pem", str(pair.cert if pair else "")),
            ("/etc/myaccount/tls.key", str(pair.key if pair else "")),
            ("client_header_timeout 10s;", f"client_header_timeout {slow_seconds}s;"),
            ("client_body_timeout 10s;", f"client_body_timeout {slow_seconds}s;"),
            ("/var/log/nginx/", f"{folder}/"),
        ):
            assert old in site
            site = site.replace(old, new)
        if pair is None:
            site = re.sub(r"^ +ssl_.*\n", "", site, flags=re.MULTILINE)
        (folder / "site.conf").write_text(site)
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder))

    def command(self) -> list[str]:
        # Errors before its file is read go to stderr.
        return [
            program("nginx", "nginx"), "-p", str(self.folder), "-c", f"{self.folder}/nginx.conf", "-e", "stderr",
            "-g", "daemon off;",
        ]  # fmt: skip

    def refusals(self) -> str:
        """Return nginx's log of the requests that it refused itself."""
        return (self.folder / "myaccount.log").read_text()

    def ping(self) -> None:
        # Tests may make its certificate themselves.
        trusting = ssl._create_unverified_context()  # noqa: S323
        address = f"{self.address}/opeacclistentest"
        urllib.request.urlopen(address, timeout=5, context=trusting).close()  # noqa: S310 - our own


class Supervisord(Server):
    """supervisord on deploy/supervisord.conf, or on another program, with a configuration file of the service."""

    def __init__(self, folder: Path, configuration: Path, program: str | None = None) -> None:
        super().__init__(folder)
        section = program or (DEPLOY / "supervisord.conf").read_text()
        for old, new in (
            ("/opt/myaccount/.venv/bin/", f"{ENVIRONMENT['PATH'].partition(':')[0]}/"),
            ("/etc/myaccount/config.yaml", str(configuration)),
            ("directory=/opt/myaccount", f"directory={CHECKOUT}"),
            ("user=myaccount", "user=root"),
            ("/var/log/myaccount", str(folder)),
        ):
            assert program or old in section
            section = section.replace(old, new)
        self._file = folder / "supervisord.conf"
        self._file.write_text(SUPERVISORD.format(folder=folder) + section)

    def command(self) -> list[str]:
        return [program("supervisord", "supervisor"), "-n", "-c", str(self._file)]

    def ping(self) -> None:
        assert (self.folder / "pid").exists()

    def children(self) -> list[int]:
        return children(self.pid)


def workers_of(service: Service) -> set[int]:
    return set(children(service.process.pid))


def roll(service: Service) -> None:
    """Have gunicorn's master replace every worker, and wait until it has."""
    before = workers_of(service)
    service.process.send_signal(signal.SIGHUP)
    wait_until(lambda: not before & workers_of(service) and len(workers_of(service)) == len(before), 60)


NginxBefore = Callable[..., Nginx]


@pytest.fixture
def nginx_before(tmp_path: Path) -> Iterator[NginxBefore]:
    """A factory of nginx servers in front of the given ports."""
    started: list[Nginx] = []

    def nginx_before(*ports: int, pair: Pair | None = None) -> Nginx:
        started.append(Nginx(tmp_path / f"nginx-{len(started)}", *ports, pair=pair).start())
        return started[-1]

    yield nginx_before
    for nginx in started:
        nginx.stop()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


@pytest.fixture
def sections(mysql_section: Section, redis_section: Section) -> Section:
    return {"mysql": mysql_section, "redis": redis_section, **BEHIND_NGINX}


def start_gunicorn(start: Start, workers: int = 3, **sections: object) -> Service:
    return start(*GUNICORN, "--workers", str(workers), by_environment=True, **sections)


def port_of(service: Service) -> int:
    return int(service.address.rpartition(":")[2])


async def answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
