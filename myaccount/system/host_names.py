"""Names of hosts: one spelling of each, and which of them mean this machine alone."""

import re
from ipaddress import IPv4Network, IPv6Address, ip_address
from typing import Final

_NAME: Final = re.compile(r"(?:[a-z0-9_-]+\.)*[a-z0-9_-]+")
# A Host header: an IPv6 address in brackets, or a name of at most 253 characters and a dot; and a port.
_HEADER: Final = re.compile(r"(?:\[([0-9A-Fa-f.]*:[0-9A-Fa-f.:]*)\]|([^\[\]:]{1,254}))(?::[0-9]{1,5})?")
_LOOPBACK_IPV4: Final = IPv4Network("127.0.0.0/8")
_LOOPBACK_IPV6: Final = IPv6Address("::1")


def plain_host(host: str) -> str:
    """Return a name or address in its one spelling: lower case, no dot at the end, IPv6 as short as possible.

    Raises ValueError if it is neither.
    """
    # Lower case makes an ASCII letter of the Kelvin sign.
    if host.isascii() and _NAME.fullmatch(name := host.lower().removesuffix(".")):
        return name
    return str(IPv6Address(host))


def requested_host(header: str) -> str:
    """Return the plain name or address of a Host header, without its port. Raises ValueError if there is none."""
    found = _HEADER.fullmatch(header)
    if found is None:
        raise ValueError("expected a host and an optional port")
    return plain_host(found[1] or found[2])


def is_loopback(host: str) -> bool:
    """Return whether a host is `localhost` or a loopback address, written as every program reads it."""
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address in _LOOPBACK_IPV4 or address == _LOOPBACK_IPV6


def is_local(host: str) -> bool:
    """Return whether a plain host is a loopback address, or a name that always means this machine."""
    return is_loopback(host) or host.endswith(".localhost")
