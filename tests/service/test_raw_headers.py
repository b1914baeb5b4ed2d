"""Headers may have any bytes, also such as are no text; none makes the service fail (promise 8)."""

import asyncio

import pytest

from myaccount.access.signing import read_signing
from myaccount.access.tokens import owner_of_token
from myaccount.database.database import Database

from ..conftest import Client, Section

# On a machine that stands still, /readyz would answer 503.
pytestmark = pytest.mark.usefixtures("patient_probes")

HEADERS = (
    b"Cookie: myaccount=%s", b'Cookie: myaccount="%s"', b"Cookie: %s",
    b"Cookie: __Host-myaccount=%s\r\nX-Forwarded-Proto: https", b"Authorization: Bearer %s", b"Authorization: %s",
    b"Origin: http://%s", b"Sec-Fetch-Site: %s", b"X-Forwarded-For: %s", b"X-Forwarded-Proto: %s",
    b"X-Forwarded-Host: %s", b"Accept: text/html, %s", b"X-Request-ID: %s", b"Content-Type: text/%s",
    b"Content-Type: application/x-www-form-urlencoded; charset=%s",
)  # fmt: skip
TARGETS = (b"GET /account", b"GET /signin", b"POST /signin", b"POST /querorder", b"GET /readyz")


@pytest.fixture
def queue() -> Section:
    return {"access": "keys", "trusted_proxies": ["127.0.0.1"]}


async def _status(client: Client, target: bytes, header: bytes) -> int:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    head = b"%s HTTP/1.1\r\nHost: localhost\r\n%s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    writer.write(head % (target, header))
    reply = await reader.read()
    writer.close()
    return int(reply.split()[1])


@pytest.mark.parametrize("value", [b"\xff", b"\xed\xa0\x80", b"\xc3\xa9", b"a.\xff.c"], ids=ascii)
async def test_no_bytes_in_a_header_make_the_service_fail(client: Client, value: bytes) -> None:
    for header in HEADERS:
        for target in TARGETS:
            assert await _status(client, target, header % value) < 500, (target, header)


async def test_a_cookie_that_is_no_text_is_not_known(client: Client) -> None:
    for header in HEADERS[:4]:
        assert await _status(client, b"GET /account", header % b"\xff") == 401


async def test_a_token_that_is_no_text_is_not_known(database: Database) -> None:
    signing = await database.read(read_signing)
    for token in ("\udcff", "é", "a.\udcff.c"):
        assert owner_of_token(token, signing) is None
