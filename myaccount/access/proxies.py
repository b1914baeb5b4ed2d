"""Where a request comes from, which a proxy in front of the service knows better than the service does."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, Protocol

from aiohttp import hdrs, web
from multidict import CIMultiDictProxy, istr
from yarl import URL

from ..system.host_names import is_loopback

# A proxy adds at least one of these, unless it is as bare as nginx without any `proxy_set_header`.
_FORWARDING: Final = (
    hdrs.X_FORWARDED_FOR,
    hdrs.X_FORWARDED_HOST,
    hdrs.X_FORWARDED_PROTO,
    hdrs.FORWARDED,
    hdrs.VIA,
    istr("X-Real-IP"),
)
# More than stand in a row. Each address costs much more than its characters.
PROXIES_LIMIT: Final = 16


class Head(Protocol):
    """What a request has before its body."""

    @property
    def method(self) -> str: ...
    @property
    def raw_path(self) -> str: ...
    @property
    def rel_url(self) -> URL: ...
    @property
    def headers(self) -> CIMultiDictProxy[str]: ...
    @property
    def remote(self) -> str | None: ...
    @property
    def secure(self) -> bool: ...


def was_forwarded(request: Head) -> bool:
    """Whether a proxy says that it passed the request on."""
    return any(map(request.headers.__contains__, _FORWARDING))


class Proxies:
    """The proxies whose headers are believed. A client could write the same headers."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._networks = [ip_network(network) for network in trusted]

    def client_address(self, request: Head) -> str:
        """Return the address of the client: the one nearest to the service that is no trusted proxy.

        It is empty for a Unix socket, whose other end has none.
        """
        client = _address(request.remote or "")
        if self._trusts(client):
            forwarded = ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, ()))
            # Each proxy appends the address that it sees. What stands before may be the client's invention.
            for text in reversed(forwarded.rsplit(",", PROXIES_LIMIT)[-PROXIES_LIMIT:]):
                address = _address(text.strip(" \t"))
                if address is None:
                    break
                client = address
                if not self._trusts(client):
                    break
        return "" if client is None else str(client)

    def is_client_local(self, request: Head) -> bool:
        """Whether a trusted proxy says that it passed the request on for a client on this machine."""
        if not self._trusts(_address(request.remote or "")) or hdrs.X_FORWARDED_FOR not in request.headers:
            return False
        return is_loopback(self.client_address(request))

    def scheme(self, request: Head) -> str:
        """Return the scheme of the address that the client uses, as far as a trusted proxy says so."""
        return "https" if self.is_https(request) else "http"

    def is_https(self, request: Head) -> bool:
        """Whether the client uses TLS, as far as a trusted proxy says so."""
        if request.secure:
            return True
        schemes = request.headers.getall(hdrs.X_FORWARDED_PROTO, ())
        return self._trusts(_address(request.remote or "")) and [scheme.lower() for scheme in schemes] == ["https"]

    def _trusts(self, address: IPv4Address | IPv6Address | None) -> bool:
        if address is None:
            # Only the proxy may open the Unix socket.
            return bool(self._networks)
        return any(address in network for network in self._networks)


def is_direct(request: web.Request) -> bool:
    """Whether the request comes from this machine, and no proxy says that it passed it on."""
    peer = _address(request.remote or "")
    return peer is not None and is_loopback(str(peer)) and not was_forwarded(request)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address, an IPv4 one as such also on an IPv6 socket. None if the text is none."""
    try:
        # Without the name of an interface.
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
