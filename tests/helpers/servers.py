"""Real servers, private to the tests: on free ports, with their data in a temporary folder."""

import itertools
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Final, Self

import pymysql
import redis

from myaccount.settings.paths import resource

from .certificates import Authority

START_SECONDS = 120
STOP_SECONDS = 60

# No statement of a test takes so long.
QUERY_SECONDS = 120

PORTS_EACH = 500


class ServerMissing(Exception):
    """A server that the tests need is not installed."""


def ports() -> Iterator[int]:
    """Yield ports that no other process with these tests has, in turn: one comes again only after all others.

    Otherwise a client that goes on asking a service that was killed could be answered by another test's service.
    The system gives higher ports to clients' ends of connections.
    """
    for first in range(10_000, 32_000, PORTS_EACH):
        # The system frees the name when the process ends, even if it is killed.
        with socket.socket(socket.AF_UNIX) as claim:
            try:
                claim.bind(f"\0myaccount's tests have ports from {first}")
            except OSError:
                continue
            yield from itertools.cycle(range(first, first + PORTS_EACH))
    raise ServerMissing("no ports are left: too many tests run")


_next_ports: Final = ports()


def free_port(above: int = 0) -> int:
    """Return a free port that is followed by `above` more free ones."""
    while True:
        ports = list(itertools.islice(_next_ports, above + 1))
        if all(map(_is_free, ports)) and ports[-1] == ports[0] + above:
            return ports[0]


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def program(name: str, package: str) -> str:
    """Return the path of a program. The error names the Debian package that has it."""
    path = shutil.which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    if path is None:
        raise ServerMissing(f"{name} is not installed: apt-get install {package}, or run `make test`, which does.")
    return path


class Server:
    """A process that can be killed and started again on the same port and folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)

    def command(self) -> list[str]:
        raise NotImplementedError

    def ping(self) -> None:
        """Raise unless the server answers."""
        raise NotImplementedError

    def start(self) -> Self:
        with (self.folder / "output.txt").open("ab") as output:
            self._process = subprocess.Popen(
                self.command(), stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )
        wait_until(self._answers, START_SECONDS)
        return self

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End the server as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Stop the server: it keeps its connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        self._signal(number)
        if self._process is not None:
            self._process.wait(STOP_SECONDS)
        self._process = None

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError((self.folder / "output.txt").read_text())
        try:
            self.ping()
        except Exception:
            return False
        return True


# Small files, all tables in one of them, and no native input and output, of which a machine has little to give.
SMALL: Final = ("--innodb-log-file-size=16M", "--innodb-file-per-table=0", "--innodb-use-native-aio=0")


@cache
def _installed() -> "tempfile.TemporaryDirectory[str]":
    """A data folder as the installation leaves it. It takes two seconds, so the servers get copies of one."""
    folder = tempfile.TemporaryDirectory()
    installed = subprocess.run(
        [
            program("mariadb-install-db", "mariadb-server"),
            "--no-defaults",
            f"--datadir={folder.name}/data",
            # A server that starts removes the temporary tables of all others that have this folder.
            f"--tmpdir={folder.name}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            *SMALL,
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    if installed.returncode:
        raise RuntimeError(installed.stdout + installed.stderr)
    return folder


class MariaDB(Server):
    """MariaDB with the user `myaccount` / `secret`, who may do everything. It offers TLS, and a Unix socket."""

    host = "127.0.0.1"
    user = "myaccount"
    password = "secret"
    # What a test adds to the command.
    options: Sequence[str] = ()
    # Whether the server's own statements for a table are right in another database.
    copies_ledgers = True
    # The statements that make its users, once for its data.
    users: Sequence[str] = (
        f"CREATE USER '{user}'@'%' IDENTIFIED BY '{password}'",
        f"GRANT ALL ON *.* TO '{user}'@'%'",
    )
    _has_users = False
    # The statements that make a ledger, once there is one.
    _set_up: Sequence[str] = ()

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._databases = 0
        self.authority = Authority(folder / "authority")
        self.certificate = self.authority.issue("server")
        shutil.copytree(f"{_installed().name}/data", folder / "data")

    def start(self) -> Self:
        super().start()
        if not self._has_users:
            with self.connect("root", "") as connection, connection.cursor() as cursor:
                for statement in self.users:
                    cursor.execute(statement)
            self._has_users = True
        return self

    def command(self) -> list[str]:
        return [
            program("mariadbd", "mariadb-server"),
            "--no-defaults",
            f"--datadir={self.folder}/data",
            f"--tmpdir={self.folder}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self.socket}",
            f"--ssl-ca={self.authority.ca}",
            f"--ssl-cert={self.certificate.cert}",
            f"--ssl-key={self.certificate.key}",
            f"--pid-file={self.folder}/pid",
            "--user=root",
            "--innodb-flush-log-at-trx-commit=1",
            *SMALL,
            *self.options,
        ]

    @property
    def socket(self) -> str:
        return f"{self.folder}/socket"

    def ping(self) -> None:
        # Without the client, which leaves its socket open when it is refused. The server sends first.
        with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            if not connection.recv(1):
                raise ConnectionError("no greeting yet")

    def connect(
        self, user: str = user, password: str = password, database: str | None = None
    ) -> "pymysql.connections.Connection[pymysql.cursors.Cursor]":
        # Root may sign in without a password only by the socket.
        unix_socket = self.socket if user == "root" else None
        return pymysql.connections.Connection(
            host="127.0.0.1",
            port=self.port,
            unix_socket=unix_socket,
            user=user,
            password=password,
            database=database,
            autocommit=True,
            # PyMySQL uses TLS if it is offered. The tests' own statements need none.
            ssl_disabled=True,
            # A thread that waits for a stopped server would never end.
            read_timeout=QUERY_SECONDS,
        )

    def renew_certificate(self, valid: timedelta) -> None:
        """Serve new connections with a new certificate."""
        self.authority.issue("server", valid=valid)
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("FLUSH SSL")

    def new_database(self) -> str:
        """Return the name of a new, empty database."""
        self._databases += 1
        name = f"test_{self._databases}"
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        return name

    def new_ledger(self) -> str:
        """Return the name of a new database that is set up as sql/sql.sql sets one up."""
        if not self._set_up:
            self._set_up = resource("sql/sql.sql").read_text("utf-8").rstrip().split(";\n")
            if self.copies_ledgers:
                self._set_up = self._statements_of(self._new_database_by(self._set_up))
        return self._new_database_by(self._set_up)

    def _new_database_by(self, statements: Sequence[str]) -> str:
        name = self.new_database()
        with self.connect(database=name) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        return name

    def _statements_of(self, name: str) -> list[str]:
        """Return what makes a copy of a database. It is fast, since no table is changed after it was made."""
        statements = ["SET foreign_key_checks = 0"]
        with self.connect(database=name) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW TABLES")
            for (table,) in cursor.fetchall():
                cursor.execute(f"SHOW CREATE TABLE `{table}`")
                statements += [definition for _, definition in cursor.fetchall()]
                if cursor.execute(f"SELECT 1 FROM `{table}` LIMIT 1"):
                    statements.append(f"INSERT INTO `{table}` SELECT * FROM {name}.`{table}`")
        return statements

    def prepare_for_test(self) -> None:
        """Nothing needs to be done: this server does not suffer from the databases of earlier tests."""

    def drop_database(self, name: str) -> None:
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name}")

    def run_script(self, database: str, script: Path) -> None:
        """Run a file of SQL with the command-line client."""
        with script.open("rb") as sql:
            subprocess.run(
                [
                    program("mariadb", "mariadb-client"),
                    "--no-defaults",
                    f"--host={self.host}",
                    f"--port={self.port}",
                    f"--user={self.user}",
                    f"--password={self.password}",
                    database,
                ],
                stdin=sql,
                check=True,
                capture_output=True,
            )


class Redis(Server):
    """Redis without persistence: a restart loses its data. It has a port for TLS, and a Unix socket, too."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tls_port = free_port()
        self.socket = f"{folder}/socket"
        self.authority = Authority(folder / "authority")
        self.certificate = self.authority.issue("server")

    def command(self) -> list[str]:
        return [
            program("redis-server", "redis-server"),
            *("--port", str(self.port)),
            *("--bind", "127.0.0.1"),
            *("--dir", str(self.folder)),
            *("--save", ""),
            *("--appendonly", "no"),
            *("--unixsocket", self.socket),
            *("--tls-port", str(self.tls_port)),
            *("--tls-ca-cert-file", str(self.authority.ca)),
            *("--tls-cert-file", str(self.certificate.cert)),
            *("--tls-key-file", str(self.certificate.key)),
            *("--tls-auth-clients", "no"),
        ]

    def ping(self) -> None:
        with self.client() as client:
            client.ping()

    def renew_certificate(self, valid: timedelta) -> None:
        """Serve new connections with a new certificate."""
        pair = self.authority.issue("server", valid=valid)
        with self.client() as client:
            client.config_set("tls-cert-file", str(pair.cert), "tls-key-file", str(pair.key))

    def client(self) -> "redis.Redis":
        return redis.Redis(host="127.0.0.1", port=self.port, decode_responses=True)


def wait_until(condition: Callable[[], bool], timeout_seconds: float) -> None:
    """Wait until the condition holds. Only for what has no event to wait for."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{condition} did not come to hold in {timeout_seconds} seconds")
        time.sleep(0.02)
