"""The client's address: a proxy's word counts only if the configuration trusts the proxy."""

from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from myaccount.access.proxies import Proxies

NGINX = Proxies(["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"])


def _request(peer: str, *headers: tuple[str, str]) -> Any:
    transport = Mock()
    transport.get_extra_info = lambda name, default=None: (peer, 1) if name == "peername" and peer else None
    return make_mocked_request("GET", "/", headers=CIMultiDict(headers), transport=transport)


def _forwarded(peer: str, *values: str) -> Any:
    return _request(peer, *[("X-Forwarded-For", value) for value in values])


@pytest.mark.parametrize(
    ("peer", "values", "address"),
    [
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        # What the client wrote stands before what nginx saw.
        ("127.0.0.1", ["198.51.100.1, 203.0.113.5"], "203.0.113.5"),
        ("127.0.0.1", ["198.51.100.1", "203.0.113.5"], "203.0.113.5"),
        ("127.0.0.1", ["203.0.113.5, 10.1.2.3"], "203.0.113.5"),
        ("127.0.0.1", ["10.9.9.9, 10.1.2.3"], "10.9.9.9"),
        ("127.0.0.1", ["198.51.100.1, unknown, 10.1.2.3"], "10.1.2.3"),
        ("127.0.0.1", ["x"], "127.0.0.1"),
        # No more proxies than this stand in a row.
        ("127.0.0.1", ["203.0.113.5, " + "10.1.2.3, " * 14 + "10.9.9.9"], "203.0.113.5"),
        ("127.0.0.1", ["203.0.113.5, 10.9.9.9, " + "10.1.2.3, " * 14 + "10.1.2.3"], "10.9.9.9"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", ["2a00:1450::5"], "2a00:1450::5"),
        ("127.0.0.1", ["::ffff:203.0.113.5"], "203.0.113.5"),
        ("::ffff:127.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        ("2001:db8::7", ["203.0.113.5"], "203.0.113.5"),
        ("fe80::1%eth0", [], "fe80::1"),
        # Not trusted.
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("2001:db9::7", ["203.0.113.5"], "2001:db9::7"),
        # A Unix socket.
        ("", ["203.0.113.5"], "203.0.113.5"),
        ("", [], ""),
    ],
)
def test_the_address_is_the_nearest_that_no_trusted_proxy_has(peer: str, values: list[str], address: str) -> None:
    assert NGINX.client_address(_forwarded(peer, *values)) == address


@pytest.mark.parametrize("peer", ["127.0.0.1", ""])
def test_by_default_no_header_is_believed(peer: str) -> None:
    nobody = Proxies([])
    assert nobody.client_address(_forwarded(peer, "203.0.113.5")) == peer
    assert not nobody.is_https(_request(peer, ("X-Forwarded-Proto", "https")))


@pytest.mark.parametrize(
    ("peer", "values", "secure"),
    [
        ("127.0.0.1", ["https"], True),
        ("127.0.0.1", ["HTTPS"], True),
        ("", ["https"], True),
        ("127.0.0.1", [], False),
        ("127.0.0.1", ["http"], False),
        ("127.0.0.1", ["http", "https"], False),
        ("127.0.0.1", ["https, http"], False),
        ("203.0.113.9", ["https"], False),
    ],
)
def test_tls_is_what_a_trusted_proxy_says(peer: str, values: list[str], secure: bool) -> None:
    assert NGINX.is_https(_request(peer, *[("X-Forwarded-Proto", value) for value in values])) is secure
