"""One Chromium for all tests of pages: each test has its own context in it."""

import urllib.request
from collections.abc import Iterator

import pytest

from .servers import Server, program

# Not the script of /usr/bin: that would end at a signal, and leave the browser.
PROGRAM = "/usr/lib/chromium/chromium-headless-shell"
QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    # Names of another site, and of the service's own one, that lead to this machine.
    "--host-resolver-rules=MAP evil.test 127.0.0.1, MAP pay.test 127.0.0.1",
    # As in a browser that lets a site's page reach this machine without asking the person.
    "--disable-features=LocalNetworkAccessChecks",
)


class Chromium(Server):
    """A headless browser, which is controlled through its port."""

    def command(self) -> list[str]:
        return [
            program(PROGRAM, "chromium-headless-shell"),
            "--no-sandbox",
            f"--remote-debugging-port={self.port}",
            f"--user-data-dir={self.folder}",
            *QUIET,
        ]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ping(self) -> None:
        urllib.request.urlopen(f"{self.address}/json/version", timeout=5).close()  # noqa: S310 - our own


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    chromium = Chromium(tmp_path_factory.mktemp("chromium") / "profile").start()
    yield chromium
    chromium.stop()
