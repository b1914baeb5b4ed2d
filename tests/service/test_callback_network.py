"""How callbacks reach endpoints: unchanged addresses, private certificate authorities, and proxies."""

import asyncio
import base64
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook

from myaccount.settings.loading import WrongConfiguration, load_configuration
from myaccount.settings.schema import CONFIGURATION, Config
from myaccount.webhooks.deliveries import Delivery
from myaccount.webhooks.endpoint import open_endpoints

from ..conftest import PATIENCE_SECONDS
from ..helpers.proxies import Proxy, open_proxy
from ..helpers.receivers import Receiver
from ..helpers.servers import program
from ..helpers.services import CHECKOUT, ENVIRONMENT

SECRETS = [f"whsec_{base64.b64encode(letter * 32).decode()}" for letter in (b"k", b"n")]
REFUSED = "the request failed: self-signed certificate: name its authority in ca"
# Python that sends as `_send` does; the arguments follow.
SEND_ALONE = "import asyncio; from tests.service import test_callback_network as t; print(asyncio.run(t._send(**"
DELIVERY = Delivery(1, "msg_1", "{}")


class Https(NamedTuple):
    """A receiver behind TLS, with a certificate that only the file `ca` makes valid."""

    receiver: Receiver
    url: str
    ca: Path


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with open_proxy() as proxy:
        yield proxy


@pytest.fixture
async def paths() -> AsyncIterator[tuple[str, list[str]]]:
    """A server's address, and the list of requested paths, as they are in the requests."""
    asked: list[str] = []

    async def note(request: web.BaseRequest) -> web.Response:
        asked.append(request.raw_path if isinstance(request, web.Request) else request.path_qs)
        # Passwords that the configuration does not name must not be sent.
        return web.Response(status=401 if "Authorization" in request.headers else 200)

    app = web.Application()
    app.router.add_post("/{path:.*}", note)
    async with TestServer(app) as server:
        yield f"http://127.0.0.1:{server.port}", asked


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    return _make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def other_certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an authority that did not sign the receiver's certificate."""
    return _make_certificate(tmp_path_factory.mktemp("other"))[0]


def _make_certificate(folder: Path) -> tuple[Path, Path]:
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [program("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=receiver", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return certificate, key


@pytest.fixture
async def https(certificate: tuple[Path, Path]) -> AsyncIterator[Https]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.answer)
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=context)
    yield Https(receiver, f"https://127.0.0.1:{server.port}/hook", certificate[0])
    await server.close()


async def _send(**callback: Any) -> str | None:
    """Send a request to the endpoint; return why it failed, or None."""
    config: Config = CONFIGURATION.check({"callbacks": [{"timeout_seconds": PATIENCE_SECONDS, **callback}]})
    no_database: Any = None
    async with open_endpoints(no_database, config["callbacks"]) as endpoints:
        (endpoint,) = endpoints
        return await endpoint._send(DELIVERY)


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("/hook%2Fmoney?token=a%3Db%26c&x=%7E", "/hook%2Fmoney?token=a%3Db%26c&x=%7E"),
        ("/hook?", "/hook"),
        ("/a+b?c+d=%20", "/a+b?c+d=%20"),
        # Characters that a request must not contain are escaped.
        ("/é?q=钱", "/%C3%A9?q=%E9%92%B1"),
    ],
)
async def test_an_address_is_requested_as_it_is_written(
    paths: tuple[str, list[str]], written: str, asked: str
) -> None:
    address, came = paths
    assert await _send(url=address + written) is None
    assert [path.rstrip("?") for path in came] == [asked]


@pytest.mark.parametrize("port", ["99999", "0", "x", "-1"])
def test_an_address_with_an_invalid_port_is_refused(tmp_path: Path, port: str) -> None:
    file = tmp_path / "config.yaml"
    for key in ("url", "proxy"):
        urls = {"url": "http://127.0.0.1:9000/"} | {key: f"http://127.0.0.1:{port}/"}
        file.write_text(
            "callbacks:\n- url: {url}\n".format(**urls) + f"  proxy: {urls.get('proxy', urls['url'])}\n"
        )
        with pytest.raises(WrongConfiguration, match=rf"callbacks\[0\].{key}: expected an address"):
            load_configuration(file, {})


async def test_each_of_several_secrets_signs(https: Https) -> None:
    assert await _send(url=https.url, ca=str(https.ca), secret=SECRETS) is None
    (call,) = https.receiver.calls
    signatures = call.headers["webhook-signature"].split(" ")
    for secret, signature in zip(SECRETS, signatures, strict=True):
        # Receivers look for theirs among all; the first secret's comes first.
        Webhook(secret).verify(call.text, call.headers)
        Webhook(secret).verify(call.text, {**call.headers, "webhook-signature": signature})


async def test_a_private_authority_is_trusted_only_for_the_endpoint_that_names_it(https: Https) -> None:
    assert await _send(url=https.url) == REFUSED
    assert https.receiver.calls == []
    assert await _send(url=https.url, ca=str(https.ca)) is None
    assert len(https.receiver.calls) == 1


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_file_of_authorities_that_cannot_be_used_is_refused(tmp_path: Path, text: str | None) -> None:
    file, ca = tmp_path / "config.yaml", tmp_path / "ca.pem"
    if text is not None:
        ca.write_text(text)
    file.write_text(f"callbacks:\n- url: https://shop.example/\n  ca: {ca}\n")
    with pytest.raises(WrongConfiguration, match=r"config.yaml:2: callbacks\[0\].ca: expected a file with certif"):
        load_configuration(file, {})


async def test_a_proxy_is_used_with_its_credentials(
    proxy: Proxy, https: Https, paths: tuple[str, list[str]]
) -> None:
    address, asked = paths
    through = f"http://shop:secret@127.0.0.1:{proxy.port}"
    assert await _send(url=f"{address}/hook", proxy=through) is None
    assert await _send(url=https.url, ca=str(https.ca), proxy=through) is None
    assert asked == ["/hook"]
    assert len(https.receiver.calls) == 1
    https_target = https.url.removeprefix("https://").removesuffix("/hook")
    assert proxy.lines == [f"POST {address}/hook HTTP/1.1", f"CONNECT {https_target} HTTP/1.1"]
    assert len(proxy.credentials) == 2


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment, without the proxies and authorities of the machine that runs the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY"])
async def test_the_proxy_of_the_environment_is_used_only_with_trust_env(
    environment: pytest.MonkeyPatch, tmp_path: Path, proxy: Proxy, paths: tuple[str, list[str]], variable: str
) -> None:
    address, asked = paths
    environment.setenv(variable, f"http://127.0.0.1:{proxy.port}")
    # aiohttp's own trust_env would send this password, too.
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login shop password hunter2\n")
    environment.setenv("NETRC", str(netrc))
    assert await _send(url=f"{address}/one") is None
    assert proxy.lines == []
    assert await _send(url=f"{address}/two", trust_env=True) is None
    assert proxy.lines == [f"POST {address}/two HTTP/1.1"]
    environment.setenv("no_proxy", "127.0.0.1")
    assert await _send(url=f"{address}/three", trust_env=True) is None
    assert len(proxy.lines) == 1
    assert asked == ["/one", "/two", "/three"]


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY"])
async def test_the_proxy_of_the_environment_carries_https_only_with_trust_env(
    environment: pytest.MonkeyPatch, proxy: Proxy, https: Https, variable: str
) -> None:
    environment.setenv(variable, f"http://127.0.0.1:{proxy.port}")
    # Of the other scheme: nothing listens there.
    environment.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert await _send(url=https.url, ca=str(https.ca)) is None
    assert proxy.lines == []
    assert await _send(url=https.url, ca=str(https.ca), trust_env=True) is None
    https_target = https.url.removeprefix("https://").removesuffix("/hook")
    assert proxy.lines == [f"CONNECT {https_target} HTTP/1.1"]
    assert len(https.receiver.calls) == 2


async def test_a_proxy_of_the_configuration_precedes_that_of_the_environment(
    environment: pytest.MonkeyPatch, proxy: Proxy, paths: tuple[str, list[str]]
) -> None:
    address, _ = paths
    environment.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    own = f"http://127.0.0.1:{proxy.port}"
    assert await _send(url=f"{address}/hook", proxy=own, trust_env=True) is None
    assert len(proxy.lines) == 1


async def _send_in_new_process(environment: Mapping[str, str], **callback: Any) -> str:
    """Send as `_send` does, in a new process: OpenSSL's default authorities are read when aiohttp is imported."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"{SEND_ALONE}{callback!r})))",
        cwd=CHECKOUT,
        env={**ENVIRONMENT, **environment},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    printed, _ = await process.communicate()
    return printed.decode().strip()


async def test_the_default_authorities_are_those_of_the_environment(https: Https) -> None:
    """OpenSSL itself reads SSL_CERT_FILE, so this needs no `trust_env`."""
    assert await _send_in_new_process({"SSL_CERT_FILE": str(https.ca)}, url=https.url) == "None"
    assert len(https.receiver.calls) == 1


async def test_the_authorities_of_the_configuration_replace_those_of_the_environment(
    https: Https, other_certificate: Path
) -> None:
    environment = {"SSL_CERT_FILE": str(https.ca)}
    assert await _send_in_new_process(environment, url=https.url, ca=str(other_certificate)) == REFUSED
    assert https.receiver.calls == []
