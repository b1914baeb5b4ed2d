"""The sections `mysql` and `redis`: what may stand in them together, and files that cannot be used."""

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization

from myaccount.settings.loading import WrongConfiguration, load_configuration
from myaccount.settings.servers import server_address, tls_context

from ..helpers.certificates import Authority, Pair

NEEDED = {"mysql": {"db": "bus", "user": "u", "password": "hunter2"}, "redis": {}}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("client")


@pytest.fixture(params=["mysql", "redis"])
def section(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def _load(tmp_path: Path, section: str, **settings: object) -> Any:
    file = tmp_path / "config.yaml"
    given = {key: str(value) if isinstance(value, Path) else value for key, value in settings.items()}
    file.write_text(yaml.safe_dump({section: NEEDED[section] | given}))
    config: Any = load_configuration(file, {})
    return config[section]


def _refusals(tmp_path: Path, section: str, **settings: object) -> list[str]:
    """Return the lines of a refusal, without the places in the file."""
    with pytest.raises(WrongConfiguration) as raised:
        _load(tmp_path, section, **settings)
    assert "hunter2" not in str(raised.value)
    return [line.partition(f": {section}.")[2] for line in str(raised.value).splitlines()]


def test_a_server_has_its_usual_port_and_no_tls(tmp_path: Path, section: str) -> None:
    config = _load(tmp_path, section, host="db.example")
    assert server_address(config) == f"db.example:{3306 if section == 'mysql' else 6379}"
    assert tls_context(config) is None


def test_tls_checks_authority_and_name_unless_told_otherwise(
    tmp_path: Path, section: str, authority: Authority, pair: Pair
) -> None:
    for settings in ({}, {"ca": authority.ca}, {"cert": pair.cert, "key": pair.key}, {"verify": True}):
        context = tls_context(_load(tmp_path, section, host="db", tls=True, **settings))
        assert context
        assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    context = tls_context(_load(tmp_path, section, host="db", tls=True, verify=False))
    assert context
    assert (context.check_hostname, context.verify_mode) == (False, ssl.CERT_NONE)


def test_the_authorities_of_ca_replace_those_of_the_system(
    tmp_path: Path, section: str, authority: Authority
) -> None:
    context = tls_context(_load(tmp_path, section, host="db", tls=True, ca=authority.ca))
    assert context
    assert len(context.get_ca_certs()) == 1


def test_a_socket_takes_the_place_of_host_and_port(tmp_path: Path, section: str) -> None:
    config = _load(tmp_path, section, unix_socket="/run/server.sock", tls=False)
    assert server_address(config) == "/run/server.sock"
    assert tls_context(config) is None


SOCKET = {"unix_socket": "/run/server.sock"}
TLS = {"host": "db", "tls": True}
WITHOUT_TLS = "expected tls: true beside it"
WHOLE_PATH = "expected the whole path of a socket, of at most 103 bytes, such as /run/mysqld/mysqld.sock"


@pytest.mark.parametrize(
    ("settings", "refusals"),
    [
        ({}, ["host: is required, or unix_socket"]),
        ({"port": 1}, ["host: is required, or unix_socket"]),
        (SOCKET | {"host": "db"}, ["host: expected no host beside unix_socket"]),
        (SOCKET | {"port": 1}, ["port: expected no port beside unix_socket"]),
        (SOCKET | {"tls": True}, ["tls: expected no tls beside unix_socket, which does not leave the machine"]),
        ({"host": "db", "verify": False}, [f"verify: {WITHOUT_TLS}"]),
        ({"host": "db", "tls": False, "verify": False}, [f"verify: {WITHOUT_TLS}"]),
        (SOCKET | {"verify": False}, [f"verify: {WITHOUT_TLS}"]),
        (SOCKET | {"host": "db", "verify": False},
         ["host: expected no host beside unix_socket", f"verify: {WITHOUT_TLS}"]),
        (TLS | {"tls": "perhaps"}, ["tls: expected true or false"]),
        ({"host": "db", "minsize": 6}, ["minsize: expected at most maxsize"]),
        ({"unix_socket": "run/server.sock"}, [f"unix_socket: {WHOLE_PATH}"]),
        ({"unix_socket": f"/{'钱' * 35}"}, [f"unix_socket: {WHOLE_PATH}"]),
    ],
)  # fmt: skip
def test_what_means_nothing_together_is_refused_in_a_line_for_each_key(
    tmp_path: Path, section: str, settings: dict[str, object], refusals: list[str]
) -> None:
    assert sorted(_refusals(tmp_path, section, **settings)) == refusals


def test_files_are_refused_without_what_uses_them(
    tmp_path: Path, section: str, authority: Authority, pair: Pair
) -> None:
    for key, file in (("ca", authority.ca), ("cert", pair.cert), ("key", pair.key)):
        assert _refusals(tmp_path, section, host="db", **{key: file}) == [f"{key}: {WITHOUT_TLS}"]
    assert _refusals(tmp_path, section, **TLS, cert=pair.cert) == ["key: is required beside cert"]
    assert _refusals(tmp_path, section, **TLS, key=pair.key) == ["cert: is required beside key"]
    unchecked = "ca: expected no ca beside verify: false, which checks no certificate"
    assert _refusals(tmp_path, section, **TLS, ca=authority.ca, verify=False) == [unchecked]


def test_files_that_cannot_be_read_are_refused_with_the_reason(tmp_path: Path, section: str, pair: Pair) -> None:
    ca = "ca: expected a file with certificates of authorities in PEM, which can be read"
    assert _refusals(tmp_path, section, **TLS, ca=tmp_path / "none") == [f"{ca}: no such file or directory"]
    assert _refusals(tmp_path, section, **TLS, ca=tmp_path)[0].startswith(ca)
    assert _refusals(tmp_path, section, **TLS, ca=pair.key) == [ca]
    for key in ("cert", "key"):
        files = {"cert": pair.cert, "key": pair.key}
        expected = f"{key}: expected a file in PEM, which can be read"
        for file, reason in ((tmp_path / "none", "no such file or directory"), (tmp_path, "is a directory")):
            assert _refusals(tmp_path, section, **TLS, **files | {key: file}) == [f"{expected}: {reason}"]


def test_a_certificate_and_a_key_that_do_not_fit_are_refused(
    tmp_path: Path, section: str, authority: Authority, pair: Pair
) -> None:
    locked = tmp_path / "locked.key"
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hunter2"),
        )
    )
    expected = "cert: expected a certificate and, in key, its private key without a passphrase, both in PEM"
    for cert, key_file in ((pair.cert, authority.issue("other").key), (pair.key, pair.cert), (pair.cert, locked)):
        assert _refusals(tmp_path, section, **TLS, cert=cert, key=key_file) == [expected]


def test_a_socket_is_refused_where_the_system_has_none(
    tmp_path: Path, section: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    refusals = _refusals(tmp_path, section, **SOCKET)
    assert refusals == ["unix_socket: expected a host: this system has no Unix sockets"]


def test_only_redis_may_go_without_a_user(tmp_path: Path) -> None:
    assert "user" not in _load(tmp_path, "redis", host="h")
    assert _load(tmp_path, "redis", host="h", user="myaccount")["user"] == "myaccount"
    assert _refusals(tmp_path, "redis", host="h", user="")[0].startswith("user: expected text on one line")
