"""TLS and Unix sockets to MySQL and MariaDB: who is accepted, who is refused, and in which words."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pymysql.constants import CLIENT
from sqlalchemy import TextClause, text

from myaccount.database import retries
from myaccount.database.database import Database, open_database
from myaccount.database.start_errors import DatabaseNotReady
from myaccount.errors import Unavailable
from myaccount.migrations.startup import prepare_schema
from myaccount.settings.schema import CONFIGURATION, Config

from ..conftest import Section
from ..helpers.actions import first_row
from ..helpers.certificates import DAY, Authority
from ..helpers.servers import MariaDB

pytestmark = [
    pytest.mark.not_on("foreign", because="its certificate is not the tests' own"),
    pytest.mark.not_on("oceanbase", because="the tests give it no certificate"),
]

CIPHER = text("SHOW SESSION STATUS LIKE 'Ssl_cipher'")


@pytest.fixture
def tls_section(mysql_section: Section, mariadb: MariaDB) -> Section:
    return mysql_section | {"tls": True, "ca": str(mariadb.authority.ca)}


@pytest.fixture
def strangers(tmp_path: Path) -> Authority:
    """An authority that signed nothing of the server's."""
    return Authority(tmp_path / "strangers")


def _config(section: Section) -> Config:
    checked: Config = CONFIGURATION.check({"mysql": section})
    return checked


async def _cipher(section: Section) -> str:
    """Return what the connections to a database are encrypted by, once a service could start on it."""
    async with open_database(_config(section), Path()) as database:
        await prepare_schema(database)
        return await _last_value(database, CIPHER)


async def _last_value(database: Database, query: TextClause) -> str:
    row = await database.read(lambda connection: first_row(connection, query))
    assert row
    return str(row[-1])


async def _fault(section: Section) -> str:
    """Return why a service cannot start on a database, in one line with the place."""
    async with open_database(_config(section), Path()) as database:
        with pytest.raises(DatabaseNotReady) as raised:
            await prepare_schema(database)
    place, _, reason = str(raised.value).partition(" cannot be used: ")
    assert place == f"the database {database.place}"
    return reason.removesuffix(". Check the database, and the configuration that names it.")


async def test_a_connection_is_encrypted_with_tls_alone(mysql_section: Section, tls_section: Section) -> None:
    assert await _cipher(tls_section)
    assert await _cipher(mysql_section | {"tls": True, "verify": False})
    assert not await _cipher(mysql_section)


async def test_a_server_of_another_authority_is_refused(mysql_section: Section, strangers: Authority) -> None:
    for settings in ({"ca": str(strangers.ca)}, {}):
        fault = await _fault(mysql_section | {"tls": True} | settings)
        assert fault == "TLS failed: self-signed certificate in certificate chain: name its authority in ca"


async def test_a_server_of_another_name_is_refused(tls_section: Section) -> None:
    fault = await _fault(tls_section | {"host": "localhost"})
    assert fault == "TLS failed: Hostname mismatch, certificate is not valid for 'localhost'"
    del tls_section["ca"]
    assert await _cipher(tls_section | {"host": "localhost", "verify": False})


@pytest.mark.not_on("mysql8", because="before 8.0.16 it reads its certificate only at its start")
async def test_a_certificate_that_has_expired_is_refused_and_a_renewed_one_accepted(
    tls_section: Section, mariadb: MariaDB
) -> None:
    mariadb.renew_certificate(-DAY)
    try:
        assert await _fault(tls_section) == "TLS failed: certificate has expired"
    finally:
        mariadb.renew_certificate(DAY)
    assert await _cipher(tls_section)


@pytest.fixture
def users(mariadb: MariaDB) -> Iterator[dict[str, Section]]:
    """Users who must come by TLS, without and with a certificate."""
    names = {"SSL": "by_tls", "X509": "by_certificate"}
    with mariadb.connect("root", "") as connection, connection.cursor() as cursor:
        for requirement, name in names.items():
            cursor.execute(f"CREATE USER {name} IDENTIFIED BY 'secret' REQUIRE {requirement}")
            cursor.execute(f"GRANT ALL ON *.* TO {name}")
        yield {requirement: {"user": name, "password": "secret"} for requirement, name in names.items()}
        for name in names.values():
            cursor.execute(f"DROP USER {name}")


async def test_a_user_who_must_use_tls_is_refused_without_it(
    mysql_section: Section, tls_section: Section, users: dict[str, Section]
) -> None:
    assert (await _fault(mysql_section | users["SSL"])).startswith("Access denied for user 'by_tls'@")
    assert await _cipher(tls_section | users["SSL"])


async def test_a_user_who_must_have_a_certificate_is_refused_without_it(
    mariadb: MariaDB, tls_section: Section, users: dict[str, Section], strangers: Authority
) -> None:
    user = tls_section | users["X509"]
    assert (await _fault(user)).startswith("Access denied for user 'by_certificate'@")
    pair = mariadb.authority.issue("client")
    assert await _cipher(user | {"cert": str(pair.cert), "key": str(pair.key)})
    pair = strangers.issue("client")
    fault = await _fault(user | {"cert": str(pair.cert), "key": str(pair.key)})
    # The server closes the connection without reading what has come meanwhile, so its words may be lost.
    words = "TLS failed: the server does not know the authority that signed cert"
    assert fault == words or fault.endswith("(Connection reset by peer)")


async def test_files_are_read_once(mariadb: MariaDB, tls_section: Section, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(mariadb.authority.ca.read_bytes())
    async with open_database(_config(tls_section | {"ca": str(ca)}), Path()) as database:
        ca.unlink()
        assert await _last_value(database, CIPHER)


async def test_a_lost_connection_by_tls_is_replaced(mariadb: MariaDB, tls_section: Section) -> None:
    number = text("SELECT CONNECTION_ID()")
    async with open_database(_config(tls_section), Path()) as database:
        lost = await _last_value(database, number)
        with mariadb.connect("root", "") as connection, connection.cursor() as cursor:
            cursor.execute(f"KILL {lost}")
        assert await _last_value(database, number) != lost


async def test_a_closed_connection_by_tls_leaves_no_socket(tls_section: Section) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    async with open_database(_config(tls_section), Path()) as database:
        assert await _last_value(database, CIPHER)
        assert not set(Path("/proc/self/fd").iterdir()) <= before
    await asyncio.sleep(0)
    assert set(Path("/proc/self/fd").iterdir()) <= before


async def test_a_unix_socket_is_used(mysql_section: Section, mariadb: MariaDB, tmp_path: Path) -> None:
    del mysql_section["host"], mysql_section["port"]
    config = _config(mysql_section | {"unix_socket": mariadb.socket})
    async with open_database(config, Path()) as database:
        await prepare_schema(database)
        host = text("SELECT host FROM information_schema.processlist WHERE id = CONNECTION_ID()")
        assert await _last_value(database, host) == "localhost"
        assert database.place == f"{mysql_section['db']} at {mariadb.socket}"
    fault = await _fault(mysql_section | {"unix_socket": f"{tmp_path}/none"})
    assert fault.endswith("(No such file or directory)")


class Impostor:
    """It greets as the server does, but for the flags `without`, and never says anything else."""

    def __init__(self, server: MariaDB, without: int) -> None:
        self._server = server
        self._without = without
        self.received = b""
        # Set when a client has closed its connection.
        self.left = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server.port)
        greeting = bytearray(await from_server.read(1000))
        to_server.close()
        # After the header come the protocol, the version with a 0, the connection's id, and 9 bytes of salt.
        flags = greeting.index(0, 5) + 1 + 4 + 9
        greeting[flags : flags + 2] = (
            int.from_bytes(greeting[flags : flags + 2], "little") & ~self._without
        ).to_bytes(2, "little")
        writer.write(greeting)
        self.received += await reader.read()
        writer.close()
        self.left.set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Give the port."""
        server = await asyncio.start_server(self.answer, "127.0.0.1")
        yield server.sockets[0].getsockname()[1]
        await self.left.wait()
        server.close()
        await server.wait_closed()


async def test_nothing_is_sent_to_a_server_that_offers_no_tls(mariadb: MariaDB, tls_section: Section) -> None:
    impostor = Impostor(mariadb, without=CLIENT.SSL)
    async with impostor.listening() as port:
        fault = await _fault(tls_section | {"port": port})
    assert fault == "the server offers no TLS, and the configuration wants it"
    assert impostor.received == b""


async def test_a_server_that_never_ends_its_handshake_is_given_up(
    mariadb: MariaDB, tls_section: Section, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough for the beginning of the handshake, on a machine that stands still.
    monkeypatch.setattr(retries, "TRANSACTION_TIMEOUT_SECONDS", 10)
    impostor = Impostor(mariadb, without=0)
    async with (
        impostor.listening() as port,
        open_database(_config(tls_section | {"port": port}), Path()) as database,
    ):
        with pytest.raises(Unavailable, match="The database cannot be reached"):
            await _last_value(database, CIPHER)
    # The beginning of TLS, after one packet that asks for it; and no name of a user.
    assert b"\x16\x03\x01" in impostor.received
    assert tls_section["user"].encode() not in impostor.received
