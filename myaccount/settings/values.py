"""The kinds of values in a configuration. Each is returned as it is used, or refused with what was expected.

No error repeats the value, which may be a password.
"""

import base64
import re
import socket
import ssl
from contextlib import suppress
from ipaddress import ip_network
from typing import Final
from urllib.parse import urlsplit

import trafaret as t

from ..system.host_names import plain_host
from .paths import working_path

HIGHEST_PORT: Final = 65_535
# The system's limit is 107 on Linux, and 103 on macOS.
LONGEST_SOCKET_PATH_BYTES: Final = 103


def number(least: int, most: int) -> t.Trafaret:
    """Take a whole number, or text that is one, as from an environment variable; but neither True nor 12.0."""

    def whole(value: object) -> int:
        if re.fullmatch("[0-9]{1,9}", str(value)) and least <= int(str(value)) <= most:
            return int(str(value))
        raise t.DataError(f"expected a whole number from {least} to {most}")

    return t.Call(whole)


PORT: Final = number(1, HIGHEST_PORT)


def one_of(*words: str) -> t.Trafaret:
    *others, last = words
    expected = f"{', '.join(others)} or {last}" if others else last

    def known(value: object) -> object:
        if value in words:
            return value
        raise t.DataError(f"expected {expected}")

    return t.Call(known)


def flag(value: object) -> bool:
    if str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    raise t.DataError("expected true or false")


def seconds(value: object) -> float:
    if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", str(value)) and 0 < float(str(value)) <= 3600:
        return float(str(value))
    raise t.DataError("expected seconds: a number above 0 and at most 3600")


def text(value: object) -> str:
    if isinstance(value, str) and value and value.isprintable():
        return value
    raise t.DataError("expected text on one line; a number, true or false must be in quotes to be text")


def text_or_none(value: object) -> str:
    return text(value) if value != "" else ""


def host(value: object) -> str:
    """Take a host's name or address that the socket module can encode, which it does by IDNA."""
    name = text(value)
    with suppress(UnicodeError):
        name.encode("idna")
        return name
    raise t.DataError("expected a host: labels of 1 to 63 characters with single dots between them, or an address")


def plain_name(value: object) -> str:
    """Take a host's name or address as browsers send it."""
    with suppress(ValueError):
        return plain_host(host(value).encode("idna").decode())
    raise t.DataError("expected a host's name or address without a port, such as pay.example.com")


def network(value: object) -> str:
    """Take an IP address, or a network in CIDR notation."""
    with suppress(ValueError):
        return str(ip_network(text(value)))
    raise t.DataError("expected an IP address or a network, such as 127.0.0.1 or 10.0.0.0/8")


def address(value: object) -> str:
    """Take a URL as it is written, with its escapes."""
    with suppress(ValueError):
        url = text(value).strip()
        parts = urlsplit(url)
        # Reading the port raises ValueError if it is above the highest one.
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            # Raises UnicodeError, which is a ValueError, as in `host`.
            parts.hostname.encode("idna")
            return url
    raise t.DataError("expected an address, such as http://127.0.0.1:9000/account-opened")


def signing_secret(value: object) -> str:
    with suppress(ValueError):
        prefix, key = text_or_none(value)[:6], base64.b64decode(text_or_none(value)[6:], validate=True)
        if prefix == "whsec_" and 24 <= len(key) <= 64:
            return f"{prefix}{base64.b64encode(key).decode()}"
    raise t.DataError("expected whsec_ and 24 to 64 random bytes in base64")


def signing_secrets(value: object) -> list[str]:
    """Take one secret, or several while an old one is being replaced."""
    if isinstance(value, list) and value:
        return [signing_secret(secret) for secret in value]
    return [signing_secret(value)]


def endpoint_name(value: object) -> str:
    # `myaccount events` takes these for other things.
    if re.fullmatch("all|(event|delivery)-[0-9]+", str(value)):
        raise t.DataError("all, event-NUMBER and delivery-NUMBER are reserved: choose another name")
    if isinstance(value, str) and re.fullmatch("[A-Za-z0-9._-]{1,16}", value):
        return value
    raise t.DataError("expected 1 to 16 letters, digits, dots, underscores or hyphens, such as shop")


def certificates(value: object) -> str:
    file = working_path(text(value))
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:
        expected = "expected a file with certificates of authorities in PEM"
        raise t.DataError(f"{expected}, which can be read{_said(error)}") from None
    return str(file)


def pem_file(value: object) -> str:
    file = working_path(text(value))
    try:
        file.read_bytes()
    except OSError as error:
        raise t.DataError(f"expected a file in PEM, which can be read{_said(error)}") from None
    return str(file)


def _said(error: OSError) -> str:
    """Return what the system said, if it was the system: TLS's errors have numbers of their own."""
    return "" if isinstance(error, ssl.SSLError) else f": {str(error.strerror).lower()}"


def socket_path(value: object) -> str:
    if not hasattr(socket, "AF_UNIX"):
        raise t.DataError("expected a host: this system has no Unix sockets")
    path = text(value)
    if path.startswith("/") and len(path.encode()) <= LONGEST_SOCKET_PATH_BYTES:
        return path
    raise t.DataError(
        f"expected the whole path of a socket, of at most {LONGEST_SOCKET_PATH_BYTES} bytes, "
        "such as /run/mysqld/mysqld.sock"
    )
