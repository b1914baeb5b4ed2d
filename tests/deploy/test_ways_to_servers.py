"""The whole service over each way to its servers, and what `myaccount check` says of a way that does not work."""

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ..conftest import Section
from ..helpers.acl import permissions
from ..helpers.certificates import DAY, Authority
from ..helpers.deployments import port_of
from ..helpers.monitoring import ask
from ..helpers.servers import START_SECONDS, MariaDB, Redis, free_port, wait_until
from ..helpers.services import Start, run_command

READY = "A service can start on this configuration."


@pytest.fixture
def by_sockets(mysql_section: Section, mariadb: MariaDB, redis_section: Section, redis_server: Redis) -> Section:
    for section, server in ((mysql_section, mariadb), (redis_section, redis_server)):
        del section["host"], section["port"]
        section["unix_socket"] = server.socket
    return {"mysql": mysql_section, "redis": redis_section}


@pytest.fixture
def by_tls(mysql_section: Section, mariadb: MariaDB, redis_section: Section, redis_server: Redis) -> Section:
    mysql_section |= {"tls": True, "ca": str(mariadb.authority.ca)}
    redis_section |= {"tls": True, "ca": str(redis_server.authority.ca), "port": redis_server.tls_port}
    return {"mysql": mysql_section, "redis": redis_section}


@pytest.fixture
def by_certificates(by_tls: Section, mariadb: MariaDB, redis_server: Redis) -> Iterator[Section]:
    """Both servers want a certificate, and Redis has a user with the permissions of docs/operations.rst."""
    for section, server in ((by_tls["mysql"], mariadb), (by_tls["redis"], redis_server)):
        pair = server.authority.issue("client")
        section |= {"user": "certified", "password": "secret", "cert": str(pair.cert), "key": str(pair.key)}
    with (
        mariadb.connect("root", "") as connection,
        connection.cursor() as cursor,
        redis_server.client() as client,
    ):
        cursor.execute("CREATE USER certified IDENTIFIED BY 'secret' REQUIRE X509")
        cursor.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON *.* TO certified")
        client.config_set("tls-auth-clients", "yes")
        client.execute_command("ACL", "SETUSER", "certified", "on", ">secret", *permissions())
        client.acl_log_reset()
        yield by_tls
        refused = client.acl_log()
        client.acl_deluser("certified")
        client.config_set("tls-auth-clients", "no")
        cursor.execute("DROP USER certified")
    assert refused == []


@pytest.mark.parametrize("way", ["by_sockets", "by_tls", "by_certificates"])
def test_orders_are_posted_and_messages_delivered(
    request: pytest.FixtureRequest, way: str, start: Start, redis_server: Redis
) -> None:
    service = start("python3", "myaccount", callbacks=[], **request.getfixturevalue(way))
    fields = {"userName": "N", "sex": "F", "cardNum": "1", "accountType": "01"}
    service.post("/openacc", userId="u1", accountId="a1", **fields)
    assert service.post("/recharge", orderId="r1", userId="u1", amount="5") == {"result": 1}
    wait_until(lambda: '"recharge"' in service.get("/messages?userId=u1"), START_SECONDS)
    with redis_server.client() as client:

        def went_through_redis() -> bool:
            streams = client.keys("myaccount:*:events")
            assert len(streams) <= 1
            groups = client.xinfo_groups(streams[0]) if streams else []
            return bool(groups) and groups[0]["lag"] == 0 and client.xlen(streams[0]) > 0

        # Both do: the event, and the notification of live streams.
        wait_until(went_through_redis, START_SECONDS)
        wait_until(lambda: len(client.pubsub_channels("myaccount:*:live")) == 1, START_SECONDS)
    wait_until(lambda: '"redis": "ok"' in ask(port_of(service), "/readyz").text, START_SECONDS)
    assert service.end(signal.SIGTERM) == 0
    # On a machine that stands still, a probe may not be answered.
    late = re.compile(r".*\.probe \[.* did not answer")
    output = "\n".join(line for line in service.output.read_text().splitlines() if not late.match(line))
    assert " WARNING " not in output
    assert " ERROR " not in output
    assert "Traceback" not in output


def _check(tmp_path: Path, sections: Section) -> "subprocess.CompletedProcess[str]":
    file = tmp_path / "check.yaml"
    file.write_text(yaml.safe_dump({"port": free_port(), "log_folder": str(tmp_path), **sections}))
    done = run_command("python3", "-m", "myaccount", "check", "-c", str(file))
    assert "secret" not in done.stdout + done.stderr
    return done


@pytest.mark.parametrize("way", ["by_sockets", "by_tls", "by_certificates"])
def test_a_check_has_no_warning_of_a_way_that_works(
    request: pytest.FixtureRequest, tmp_path: Path, way: str
) -> None:
    done = _check(tmp_path, request.getfixturevalue(way))
    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if not line.startswith("20")] == [READY]


def _redis_warning(tmp_path: Path, redis: Section, **settings: object) -> str:
    """Return what a check says of Redis, without its place and its advice."""
    given = {key: str(value) if isinstance(value, Path) else value for key, value in settings.items()}
    section = {key: value for key, value in (redis | given).items() if value is not None}
    done = _check(tmp_path, {"sqlite_file": f"{tmp_path}/new.db", "redis": section})
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("Warning: ")]
    place = section.get("unix_socket") or f"{section['host']}:{section['port']}"
    advice = ". Until it works, events are delivered from the database"
    assert line.startswith(f"Warning: redis: {place}: ")
    assert line.endswith(advice)
    return line.removeprefix(f"Warning: redis: {place}: ").removesuffix(advice)


def test_a_check_says_what_is_wrong_with_redis(tmp_path: Path, by_tls: Section, redis_server: Redis) -> None:
    redis = by_tls["redis"]
    strangers = Authority(tmp_path / "strangers")
    for ca in (strangers.ca, None):
        fault = _redis_warning(tmp_path, redis, ca=ca)
        assert fault == "self-signed certificate in certificate chain: name its authority in ca"
    fault = _redis_warning(tmp_path, redis, host="localhost")
    assert fault == "Hostname mismatch, certificate is not valid for 'localhost'"
    unchecked = {key: value for key, value in redis.items() if key != "ca"}
    unchecked |= {"host": "localhost", "verify": False}
    done = _check(tmp_path, {"sqlite_file": f"{tmp_path}/new.db", "redis": unchecked})
    assert (done.returncode, "Warning" in done.stdout) == (0, False)
    fault = _redis_warning(tmp_path, redis, tls=False, ca=None)
    # Whichever comes first.
    assert fault in ("Connection closed by server", "connection reset by peer")
    fault = _redis_warning(tmp_path, redis, user="nobody", password="secret")
    assert fault == "invalid username-password pair or user is disabled"
    socket = {"tls": None, "ca": None, "host": None, "port": None, "unix_socket": f"{tmp_path}/none"}
    assert _redis_warning(tmp_path, redis, **socket) == "no such file or directory"


def test_a_check_says_that_redis_s_certificate_has_expired(
    tmp_path: Path, by_tls: Section, redis_server: Redis
) -> None:
    redis_server.renew_certificate(-DAY)
    try:
        assert _redis_warning(tmp_path, by_tls["redis"]) == "certificate has expired"
    finally:
        redis_server.renew_certificate(DAY)


# Instead of the server's words: it closes the connection without reading what has come meanwhile.
RESET = "connection reset by peer"


def test_a_check_says_that_redis_wants_a_certificate(
    tmp_path: Path, by_certificates: Section, redis_server: Redis
) -> None:
    redis = by_certificates["redis"]
    fault = _redis_warning(tmp_path, redis, cert=None, key=None)
    assert fault in ("the server wants a certificate of its clients", RESET)
    pair = Authority(tmp_path / "strangers").issue("client")
    fault = _redis_warning(tmp_path, redis, **pair._asdict())
    assert fault in ("the server does not know the authority that signed cert", RESET)


def test_a_database_that_is_not_trusted_is_a_fault_in_one_line(
    tmp_path: Path, by_tls: Section, mariadb: MariaDB
) -> None:
    mysql = by_tls["mysql"] | {"host": "localhost"}
    done = _check(tmp_path, {"mysql": mysql})
    assert done.returncode == 1
    assert done.stderr == (
        f"myaccount cannot start: the database {mysql['db']} at localhost:{mariadb.port} cannot be used: "
        "TLS failed: Hostname mismatch, certificate is not valid for 'localhost'. "
        "Check the database, and the configuration that names it.\n"
    )
