"""Which Host headers mean this machine, or a name of the configuration."""

from contextlib import suppress
from ipaddress import ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from myaccount.system.host_names import is_loopback, plain_host, requested_host

LOOPBACK = [
    "localhost", "localhost:8080", "LOCALHOST", "LocalHost:1", "localhost.", "localhost.:8080", "127.0.0.1",
    "127.0.0.1:80", "127.255.255.254", "127.0.0.1.", "[::1]", "[::1]:8080", "[0:0:0:0:0:0:0:1]",
    "[::0.0.0.1]",
]  # fmt: skip
OTHERS = [
    "127.0.0.1.evil.com", "localhost.evil.com", "evil.com", "xlocalhost", "128.0.0.1", "126.255.255.255",
    "0.0.0.0", "10.0.0.1", "0x7f.1", "0x7f000001", "2130706433", "127.1", "127.0.1", "0177.0.0.1",
    "127.0.0.01", "127.0.0.256", "[::]", "[::2]", "[fe80::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "localhost-", "a." * 127, "evil.com:80",
]  # fmt: skip
INVALID = [
    "", ".", "..", ":", ":80", "localhost..", ".localhost", "localhost:", "localhost:x", "localhost:80:80",
    "localhost:-1", "localhost:800000", "localhost:８0", "user@localhost", "localhost@evil.com",
    "evil.com#localhost", "localhost/", "localhost/.evil.com", "localhost\\.evil.com", "localhost evil.com",
    " localhost", "localhost ", "localhost\t", "localhost,evil.com", "localhost%2eevil.com",
    "l\u014dcalhost", "localho\u017ft", "127.0.0.１", "127。0。0。1", "::1", "[::1", "::1]", "[::1]x", "[[::1]]",
    "[127.0.0.1]", "[localhost]", "[]", "[:]", "[::1%lo]", "[::1%25lo]", "[::1].", "[::1.]", "localhost\x00",
    "\udcff", "http://localhost", "*", "localhost\n", "\u212aey.com", f"{'a.' * 127}a",
]  # fmt: skip


@pytest.mark.parametrize("header", LOOPBACK)
def test_loopback_is_known_in_each_spelling_that_browsers_send(header: str) -> None:
    assert is_loopback(requested_host(header))


@pytest.mark.parametrize("header", OTHERS)
def test_other_names_and_unusual_spellings_are_not_loopback(header: str) -> None:
    assert not is_loopback(requested_host(header))


@pytest.mark.parametrize("header", INVALID)
def test_what_is_no_host_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        requested_host(header)


def test_a_host_has_one_spelling() -> None:
    assert {requested_host(h) for h in ("Pay.Example.com", "pay.example.com.", "pay.example.com:443")} == {
        "pay.example.com"
    }
    assert plain_host("2001:DB8:0:0::1") == requested_host("[2001:db8::1]:80") == "2001:db8::1"


LABELS = st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True)
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
PORTS = st.one_of(st.just(""), st.integers(0, 65535).map(":{}".format))


@given(NAMES, st.sampled_from(["", "."]), PORTS)
def test_case_a_last_dot_and_the_port_make_no_difference(name: str, dot: str, port: str) -> None:
    assert requested_host(f"{name}{dot}{port}") == requested_host(name.swapcase()) == plain_host(name)


@given(st.ip_addresses(), PORTS)
@example(ip_address("127.0.0.1"), ":80")
@example(ip_address("::1"), "")
def test_an_address_is_loopback_if_it_is_one(address: object, port: str) -> None:
    header = f"[{address}]{port}" if ":" in str(address) else f"{address}{port}"
    expected = str(address).startswith("127.") or str(address) == "::1"
    assert is_loopback(requested_host(header)) == expected


PARTS = st.lists(
    st.sampled_from([*"[]:.@/\\#?%, \t0127", "127.0.0.1", "localhost", "evil.com", "::1", "80", "é", "\udcff"]),
    max_size=6,
).map("".join)


@given(st.one_of(PARTS, st.text(max_size=20)))
def test_a_header_of_any_text_means_loopback_only_where_a_parser_of_urls_says_so(header: str) -> None:
    with suppress(ValueError):
        if is_loopback(requested_host(header)):
            assert is_loopback((URL(f"http://{header}/").host or "").removesuffix("."))
