"""The sections `mysql` and `redis` of the configuration: how to reach each server, and the sign-in there."""

import ssl
from collections.abc import Iterator
from typing import Any, Final, NotRequired, TypedDict

import trafaret as t

from ..system.addresses import address_text
from .strict_section import Section
from .values import PORT, certificates, flag, host, number, pem_file, socket_path, text, text_or_none


class ServerConfig(TypedDict):
    """Where a server is: `host` and `port`, or `unix_socket`."""

    host: NotRequired[str]
    port: NotRequired[int]
    unix_socket: NotRequired[str]
    tls: NotRequired[bool]
    ca: NotRequired[str]
    cert: NotRequired[str]
    key: NotRequired[str]
    verify: NotRequired[bool]
    minsize: int
    maxsize: int


class MysqlConfig(ServerConfig):
    db: str
    user: str
    password: str
    connect_timeout: int


class RedisConfig(ServerConfig):
    db: int
    user: NotRequired[str]
    password: NotRequired[str]


def server_address(config: ServerConfig) -> str:
    """Return where the server is, for messages."""
    return config.get("unix_socket") or address_text(config["host"], config["port"])


def tls_context(config: ServerConfig) -> ssl.SSLContext | None:
    """Return what TLS to the server needs, or None without TLS. The files are read now, and not again.

    Raises OSError, of which TLS's own errors are a kind, if a file cannot be used.
    """
    if not config.get("tls"):
        return None
    # With `ca`, the system's authorities are not trusted.
    context = ssl.create_default_context(cafile=config.get("ca"))
    if not config.get("verify", True):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if "cert" in config:
        # Without a password, OpenSSL would ask for the passphrase at the terminal.
        context.load_cert_chain(config["cert"], config["key"], password="")
    return context


def _contradictions(value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Give each key that means nothing beside the others, or is missing, and what was expected."""
    by_socket, by_tls = "unix_socket" in value, value.get("tls", False)
    for key in value:
        if by_socket and key in ("host", "port"):
            yield key, f"expected no {key} beside unix_socket"
        if not by_tls and (key in ("ca", "cert", "key") or (key == "verify" and not value[key])):
            yield key, "expected tls: true beside it"
    if by_socket and by_tls:
        yield "tls", "expected no tls beside unix_socket, which does not leave the machine"
    if not by_socket and "host" not in value:
        yield "host", "is required, or unix_socket"
    if by_tls and "ca" in value and not value.get("verify", True):
        yield "ca", "expected no ca beside verify: false, which checks no certificate"
    for key, other in (("cert", "key"), ("key", "cert")):
        if by_tls and key in value and other not in value:
            yield other, f"is required beside {key}"


def _check_server(value: dict[str, Any], port: int) -> dict[str, Any]:
    faults = {key: t.DataError(expected) for key, expected in _contradictions(value)}
    if value["minsize"] > value["maxsize"]:
        faults["minsize"] = t.DataError("expected at most maxsize")
    if faults:
        raise t.DataError(faults)
    checked: Any = {"tls": False, "verify": True} | ({} if "unix_socket" in value else {"port": port}) | value
    try:
        tls_context(checked)
    except OSError:
        # The other files have been read.
        expected = "expected a certificate and, in key, its private key without a passphrase, both in PEM"
        raise t.DataError({"cert": t.DataError(expected)}) from None
    return dict(checked)


_SERVER: Final = {
    t.Key("host", optional=True): host,
    t.Key("port", optional=True): PORT,
    t.Key("unix_socket", optional=True): socket_path,
    t.Key("tls", optional=True): flag,
    t.Key("ca", optional=True): certificates,
    t.Key("cert", optional=True): pem_file,
    t.Key("key", optional=True): pem_file,
    t.Key("verify", optional=True): flag,
    # Unused: connections are opened when they are needed. The demo's file has it.
    t.Key("minsize", default=1): number(0, 1000),
}

MYSQL: Final = Section(
    {
        **_SERVER,
        t.Key("db"): text,
        t.Key("user"): text,
        t.Key("password"): text_or_none,
        # One is reserved for the journal; the rest needs at least one more.
        t.Key("maxsize", default=5): number(2, 1000),
        # Seconds. The limit is high because the demo's file says 5000.
        t.Key("connect_timeout", default=5): number(1, 86_400),
    }
) & t.Call(lambda value: _check_server(value, 3306))

REDIS: Final = Section(
    {
        **_SERVER,
        t.Key("maxsize", default=5): number(1, 1000),
        t.Key("db", default=0): number(0, 1_000_000),
        t.Key("user", optional=True): text,
        t.Key("password", optional=True): text_or_none,
    }
) & t.Call(lambda value: _check_server(value, 6379))
