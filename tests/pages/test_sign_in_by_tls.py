"""An operator in a real Chromium signs in through nginx with TLS, and out in each of gunicorn's workers."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, BrowserContext, Page

from myaccount.access.audit_log import AuditFilter, list_audit
from myaccount.database.database import Database, open_database
from myaccount.settings.schema import CONFIGURATION

from ..conftest import Section
from ..helpers.certificates import Authority
from ..helpers.deployments import Nginx, NginxBefore, nginx_before, port_of, sections, start_gunicorn
from ..helpers.operators import PASSWORD, new_operator
from ..helpers.services import Service, Start
from .conftest import in_one_loop

__all__ = ["nginx_before", "sections"]

pytestmark = pytest.mark.asyncio(loop_scope="session")

WORKERS = 2
GUARANTEE_SECONDS = 1
# Chromium takes them all from a sibling name: to it they are no cookies of the service's name.
TOSSED = ("a=b {}", "\u2000{}", "\u3000{}", "$Version=1 {}", "{}")
TOSS = """cookies => {
  for (const cookie of cookies) document.cookie = `${cookie}; domain=pay.test; path=/account; secure`;
  for (const cookie of cookies) document.cookie = `${cookie}; domain=pay.test; path=/; secure`;
  return document.cookie;
}"""


@pytest.fixture
def service(start: Start, sections: Section) -> Service:
    return start_gunicorn(start, WORKERS, access="keys", **sections)


@pytest.fixture
def nginx(service: Service, nginx_before: NginxBefore, tmp_path: Path) -> Nginx:
    return nginx_before(port_of(service), pair=Authority(tmp_path / "authority").issue("nginx"))


@in_one_loop
async def context(browser: Browser, nginx: Nginx) -> AsyncIterator[BrowserContext]:
    # It knows no authority of tests.
    context = await browser.new_context(
        base_url=nginx.address, ignore_https_errors=True, java_script_enabled=False
    )
    yield context
    await context.close()


@in_one_loop
async def database(sections: Section) -> AsyncIterator[Database]:
    async with open_database(CONFIGURATION.check(sections), Path()) as database:
        yield database


async def _sign_in(page: Page, name: str, password: str) -> None:
    await page.fill("input[name=name]", name)
    await page.fill("input[name=password]", password)
    await page.click("main button[type=submit]")


async def test_a_person_signs_in_by_tls_without_javascript_and_out_in_each_worker(
    context: BrowserContext, service: Service, database: Database
) -> None:
    await new_operator(database, "alice")
    page = await context.new_page()
    await page.goto("/account")
    assert page.url.endswith("/signin?next=/account")
    for password in ("wrong", PASSWORD):
        await _sign_in(page, "alice", password)
    assert page.url.endswith("/account")
    # Chromium takes this name only if the rest is as it must be.
    (cookie,) = await context.cookies()
    assert cookie["name"] == "__Host-myaccount"
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        # What nginx would send for somebody who has kept the cookie.
        headers = {"Cookie": f"{cookie['name']}={cookie['value']}", "X-Forwarded-Proto": "https"}

        async def all_answer(status: int) -> bool:
            """Whether each worker answers so; each request has a connection of its own."""
            workers: set[str] = set()
            while len(workers) < WORKERS:
                async with session.get(f"{service.address}/account", headers=headers) as response:
                    if response.status != status:
                        return False
                workers.add(response.headers["X-Request-ID"].partition("-")[0])
            return True

        assert await all_answer(200)
        await page.click("form[action='/signout'] button")
        assert page.url.endswith("/signin")
        signed_out_at = time.monotonic()
        while True:
            began = time.monotonic()
            if await all_answer(401):
                break
            assert began < signed_out_at + GUARANTEE_SECONDS
    assert await context.cookies() == []
    await page.goto("/account")
    assert page.url.endswith("/signin?next=/account")
    # Each was counted once.
    told = [row.what for row in await list_audit(database, AuditFilter(), 2**62, 10)]
    assert told == ["signed_out", "signed_in", "sign_in_failed", "operator_added"]


async def test_a_sibling_site_makes_nobody_another_operator(
    browser: Browser, nginx: Nginx, database: Database
) -> None:
    """A page of sub.pay.test may set cookies for pay.test, but none whose name has the prefix."""
    service = nginx.address.replace("127.0.0.1", "pay.test")
    async with await browser.new_context(ignore_https_errors=True) as context:
        page = await context.new_page()
        cookies = {}
        for name in ("mallory", "alice"):
            await new_operator(database, name)
            await context.clear_cookies()
            await page.goto(f"{service}/signin?next=/account")
            await _sign_in(page, name, PASSWORD)
            (cookie,) = await context.cookies()
            cookies[name] = f"{cookie['name']}={cookie['value']}"
        await page.route(
            "https://sub.pay.test/", lambda route: route.fulfill(body="<p>", content_type="text/html")
        )
        await page.goto("https://sub.pay.test/")
        seen = await page.evaluate(TOSS, [form.format(cookies["mallory"]) for form in TOSSED])
        assert seen.count(cookies["mallory"]) == len(TOSSED) - 1
        await page.goto(f"{service}/account")
        assert "alice" in await page.inner_text("h1")
