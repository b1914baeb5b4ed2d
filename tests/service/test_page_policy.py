"""What a page may load and do is said with each page, and it is only what the service's own pages need."""

from collections.abc import Iterator

import pytest

from myaccount.database.database import Database

from ..conftest import Client, Section
from ..helpers.callers import routes_of
from ..helpers.operators import BROWSER, new_operator, quick_passwords, signed_in

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}


@pytest.fixture
def backend() -> Section:
    """The pages do not know which database there is."""
    return {}


@pytest.fixture
def queue() -> Section:
    return {"access": "keys"}


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with quick_passwords():
        yield


async def test_every_page_has_the_policy(client: Client, database: Database) -> None:
    await new_operator(database, "alice")
    pages = set()
    requests = {("GET", path) for _, path, _ in routes_of(client)}
    requests |= {("GET", "/nowhere"), ("POST", "/signin"), ("POST", "/account/password")}
    async with signed_in(client, "alice") as alice:
        for method, path in requests:
            async with alice.request(method, path, headers=BROWSER) as response:
                if response.content_type != "text/html":
                    continue
                pages.add(f"{method} {path}")
                (policy,) = response.headers.getall("Content-Security-Policy")
            directives = [directive.strip().partition(" ")[::2] for directive in policy.split(";")]
            assert dict(directives) == POLICY
            # A repeated one would be ignored.
            assert len(directives) == len(POLICY)
    assert pages >= {
        "GET /", "GET /errors", "GET /transfertest", "GET /messagestest", "GET /signin", "GET /account",
        "GET /nowhere", "POST /signin", "POST /account/password",
    }  # fmt: skip
