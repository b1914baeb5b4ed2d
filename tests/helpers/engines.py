"""The database servers that the tests run on: MariaDB, or the one that ENGINE names.

`make engines` runs the same test files on each. ENGINE is one of NAMES, or the address of a running server,
`mysql://user:password@host:port`, in which the tests create databases of their own and drop them.
"""

import importlib.util
import os
import platform
import secrets
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Final, Self, TypedDict
from urllib.parse import unquote, urlsplit

import pymysql

from .servers import QUERY_SECONDS, MariaDB, Server, ServerMissing

NAMES: Final = ("sqlite", "mariadb", "mysql8", "oceanbase")
ENGINE: Final = os.environ.get("ENGINE", "")
# An address: a server that is not ours to stop.
FOREIGN: Final = "://" in ENGINE

PING_SECONDS: Final = 2
ANSWER_SECONDS: Final = 20
# With more databases than this, an OceanBase begins again before the next test.
DATABASES_LIMIT: Final = 25
# In the virtual environment that the tests run in, where `make engines` has put it.
MYSQL8: Final = Path(sys.prefix) / "mysql8" / "server"


class MySQL8(MariaDB):
    """MySQL 8.0.15, which `make engines` takes from a Maven package. It does not enforce CHECK."""

    def __init__(self, folder: Path) -> None:
        Server.__init__(self, folder)
        self._databases = 0
        shutil.copytree(f"{_initialized_mysql8().name}/data", folder / "data")
        # Each server needs its own identity.
        (folder / "data" / "auto.cnf").unlink(missing_ok=True)

    def command(self) -> list[str]:
        return [
            *_mysql8(self.folder / "data"),
            f"--tmpdir={self.folder}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self.folder}/socket",
            f"--pid-file={self.folder}/pid",
            "--mysqlx=OFF",
            *self.options,
        ]


class OceanBase(MariaDB):
    """OceanBase's engine as one process, which the package pylibseekdb holds."""

    # Its foreign keys name the database.
    copies_ledgers = False
    _was_killed = False

    def __init__(self, folder: Path) -> None:
        Server.__init__(self, folder)
        self._databases = 0

    def command(self) -> list[str]:
        package = importlib.util.find_spec("pylibseekdb")
        if package is None or package.origin is None:
            raise ServerMissing("pylibseekdb is not installed: run `make engines`, which installs it.")
        parameters = ("memory_budget=1G", "log_disk_size=2G", "datafile_size=64M", "cpu_count=2")
        return [
            str(Path(package.origin).with_name("seekdb")),
            "--nodaemon",
            f"--base-dir={self.folder}/data",
            f"--port={self.port}",
            "--log-level=ERROR",
            *[word for parameter in parameters for word in ("--parameter", parameter)],
        ]

    def start(self) -> Self:
        """Start it. After a kill it sometimes accepts connections and answers nothing, so it is tried again."""
        for _ in range(5):
            try:
                return super().start()
            except (AssertionError, TimeoutError, pymysql.err.OperationalError):
                self.kill()
        return super().start()

    def kill(self) -> None:
        super().kill()
        self._was_killed = True

    def ping(self) -> None:
        # It listens before it accepts sign-ins, and may never answer such an early connection.
        _connect("127.0.0.1", self.port, "root", "", read_timeout=PING_SECONDS).close()

    def connect(
        self, user: str = MariaDB.user, password: str = MariaDB.password, database: str | None = None
    ) -> "pymysql.connections.Connection[pymysql.cursors.Cursor]":
        return _connect("127.0.0.1", self.port, user, password, database, read_timeout=ANSWER_SECONDS)

    def prepare_for_test(self) -> None:
        """Begin again without data now and then.

        With hundreds of databases, an idle server takes half a processor. After one kill in twelve it reads and
        writes rows as before, but never again makes a user, a database or a table, not even after another start.
        """
        if self._was_killed or self._databases > DATABASES_LIMIT:
            self.kill()
            shutil.rmtree(self.folder / "data")
            self._databases = 0
            self._has_users = self._was_killed = False
            self.start()


class ForeignServer(MariaDB):
    """The server at the address in ENGINE. It is never stopped, and what was created in it is dropped."""

    # It may be an OceanBase.
    copies_ledgers = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        address = _address()
        self.host, self.port = address["host"], address["port"]
        self.user, self.password = address["user"], address["password"]
        self._prefix = f"myaccount_test_{secrets.token_hex(4)}"
        self._created: list[str] = []

    def start(self) -> Self:
        self.connect().close()
        return self

    def stop(self) -> None:
        for name in self._created:
            self.drop_database(name)

    kill = stop

    def connect(
        self, user: str | None = None, password: str | None = None, database: str | None = None
    ) -> "pymysql.connections.Connection[pymysql.cursors.Cursor]":
        return _connect(**_address(), database=database)

    def new_database(self) -> str:
        name = f"{self._prefix}_{len(self._created)}"
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        self._created.append(name)
        return name

    def drop_database(self, name: str) -> None:
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")


@cache
def _names() -> set[str]:
    """Return what the engine is called in `not_on`; a foreign server may be an OceanBase as well."""
    if not FOREIGN:
        return {ENGINE}
    with _connect(**_address()) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW VARIABLES LIKE 'ob_trx_lock_timeout'")
        return {"foreign", "oceanbase"} if cursor.fetchone() else {"foreign"}


def runs_on(engine: str) -> bool:
    return engine in _names()


def new_server(folder: Path) -> MariaDB:
    """Return a server of the engine that is tested, not yet started."""
    if FOREIGN:
        return ForeignServer(folder)
    return {"mysql8": MySQL8, "oceanbase": OceanBase}.get(ENGINE, MariaDB)(folder)


@cache
def _initialized_mysql8() -> "tempfile.TemporaryDirectory[str]":
    """A data folder as the installation leaves it. It takes seconds, so the servers get copies of one."""
    folder = tempfile.TemporaryDirectory()
    subprocess.run([*_mysql8(Path(folder.name, "data")), "--initialize-insecure"], check=True, capture_output=True)
    return folder


def _mysql8(data: Path) -> list[str]:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise ServerMissing("The MySQL 8 of the tests is for Linux on x86-64. ENGINE=mysql://... names another.")
    if not MYSQL8.exists():
        raise ServerMissing("MySQL 8 is not installed: run `make engines`, which installs it.")
    return [
        f"{MYSQL8}/bin/mysqld",
        "--no-defaults",
        f"--basedir={MYSQL8}",
        f"--lc-messages-dir={MYSQL8}/share",
        f"--datadir={data}",
        "--user=root",
        "--innodb-log-file-size=16M",
        "--innodb-use-native-aio=0",
        "--innodb-buffer-pool-size=64M",
        "--performance-schema=0",
    ]


class _Address(TypedDict):
    host: str
    port: int
    user: str
    password: str


def _address() -> _Address:
    """Return where the foreign server is."""
    address = urlsplit(ENGINE)
    return {
        "host": address.hostname or "127.0.0.1",
        "port": address.port or 3306,
        "user": unquote(address.username or "root"),
        "password": unquote(address.password or ""),
    }


def _connect(
    host: str,
    port: int,
    user: str,
    password: str,
    database: str | None = None,
    *,
    read_timeout: int = QUERY_SECONDS,
) -> "pymysql.connections.Connection[pymysql.cursors.Cursor]":
    return pymysql.connections.Connection(
        host=host,
        port=port,
        user=user,
        password=password,
        database=database,
        autocommit=True,
        read_timeout=read_timeout,
    )
