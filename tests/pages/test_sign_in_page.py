"""Operators in a real Chromium: they sign in without JavaScript, and no other site acts with their session."""

from collections.abc import AsyncIterator, Iterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, BrowserContext, Page

from myaccount.database.database import Database, open_database
from myaccount.settings.paths import working_path
from myaccount.settings.schema import Config

from ..conftest import Client, Section
from ..helpers.callers import ALL, client_with, new_key
from ..helpers.operators import PASSWORD, new_operator, quick_passwords
from ..helpers.wallets import open_account, post
from .conftest import in_one_loop
from .test_other_sites import ATTACK, FETCH, FOLLOW, FORM, WITHDRAWAL

pytestmark = pytest.mark.asyncio(loop_scope="session")

FOLLOW_WITH_COOKIE = FOLLOW.replace("EventSource(url)", "EventSource(url, { withCredentials: true })")


@pytest.fixture
def queue() -> Section:
    return {"access": "keys"}


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with quick_passwords():
        yield


@in_one_loop
async def database(config: Config, client: Client) -> AsyncIterator[Database]:
    async with open_database(config, working_path(config["sqlite_file"])) as database:
        yield database


@in_one_loop
async def shop(client: Client, database: Database) -> AsyncIterator[Client]:
    """A client with a key that may do everything. There are the operator alice, and u1, who has money."""
    await new_operator(database, "alice")
    async with client_with(client, await new_key(database, "shop", *ALL)) as shop:
        await open_account(shop, "u1", "a1")
        assert (await post(shop, "/recharge", orderId="r1", userId="u1", amount="100")).code == "done"
        yield shop


@in_one_loop
async def context(browser: Browser, shop: Client) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(base_url=str(shop.make_url("/")), java_script_enabled=False)
    yield context
    await context.close()


@in_one_loop
async def alice(browser: Browser, shop: Client) -> AsyncIterator[Page]:
    """A page of a browser in which alice has signed in."""
    context = await browser.new_context(base_url=str(shop.make_url("/")))
    page = await context.new_page()
    await _sign_in(page)
    yield page
    await context.close()


async def _sign_in(page: Page, start: str = "/signin", password: str = PASSWORD) -> None:
    await page.goto(start)
    await page.fill("input[name=name]", "alice")
    await page.fill("input[name=password]", password)
    await page.click("main button[type=submit]")


async def test_a_person_signs_in_without_javascript_uses_a_page_and_signs_out(context: BrowserContext) -> None:
    page = await context.new_page()
    await page.goto("/rechargetest")
    assert page.url.endswith("/signin?next=/rechargetest")
    await _sign_in(page, "/signin?next=/rechargetest", "wrong")
    assert "unauthenticated" in await page.inner_text("[role=alert]")
    assert "The name or the password is wrong." in await page.inner_text("[role=alert]")
    await _sign_in(page, "/signin?next=/rechargetest")
    assert page.url.endswith("/rechargetest")
    (cookie,) = await context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (
        "myaccount", True, "Strict", "/",
    )  # fmt: skip
    for name, value in (("orderId", "r2"), ("userId", "u1"), ("amount", "5")):
        await page.fill(f"input[name={name}]", value)
    await page.click("main button[type=submit]")
    assert '{"result": 1}' in await page.inner_text("body")
    await page.goto("/account")
    assert "alice" in await page.inner_text("header")
    await page.click("form[action='/signout'] button")
    assert page.url.endswith("/signin")
    assert await context.cookies() == []
    await page.goto("/account")
    assert page.url.endswith("/signin?next=/account")


async def test_a_person_changes_the_password_without_javascript(context: BrowserContext) -> None:
    page = await context.new_page()
    await _sign_in(page, "/signin?next=/account")
    for again, shown in (("other password", "[role=alert]"), ("another password", "[role=status]")):
        for name, value in (("password", PASSWORD), ("newPassword", "another password"), ("again", again)):
            await page.fill(f"input[name={name}]", value)
        await page.click("form[action='/account/password'] button")
        await page.wait_for_selector(shown)
    await page.click("form[action='/account/sessions'] button")
    assert "其他会话已结束" in await page.inner_text("[role=status]")
    await page.click("form[action='/signout'] button")
    await _sign_in(page, "/signin?next=/account", "another password")
    assert page.url.endswith("/account")


async def test_the_pages_scripts_work_with_the_session(alice: Page, shop: Client) -> None:
    await alice.goto("/queryacctest")
    await alice.fill("input[name=userId]", "u1")
    await alice.click("main button[type=submit]")
    assert "200" in await alice.inner_text("#reply .outcome")
    for follow in (FOLLOW, FOLLOW_WITH_COOKIE):
        assert await alice.evaluate(follow, str(shop.make_url("/messages/stream?userId=u1"))) == "open"
    assert await alice.evaluate("document.cookie") == ""


# Another site, and another port of this one, to which the browser sends the cookie.
@pytest.mark.parametrize("name", ["evil.test", "127.0.0.1"])
async def test_another_site_does_nothing_while_an_operator_is_signed_in(
    alice: Page, shop: Client, name: str
) -> None:
    address = str(shop.make_url("/")).rstrip("/")

    async def attack(request: web.Request) -> web.Response:
        return web.Response(text=ATTACK.format(address=address, target="_self"), content_type="text/html")

    app = web.Application()
    app.router.add_get("/", attack)
    async with TestServer(app) as server:
        evil = f"http://{name}:{server.port}/"
        await alice.goto(evil)
        for path in ("/withdraw", "/signout", "/account/password", "/account/sessions", "/signin"):
            for options in ({"headers": FORM}, {"mode": "no-cors"}, {"headers": FORM, "credentials": "include"}):
                await alice.evaluate(FETCH, [address + path, {"method": "POST", "body": WITHDRAWAL, **options}])
        for path in ("/account", "/audit", "/messages?userId=u1"):
            got = await alice.evaluate(FETCH, [address + path, {"credentials": "include"}])
            assert "Failed to fetch" in got
        for follow in (FOLLOW, FOLLOW_WITH_COOKIE):
            assert await alice.evaluate(follow, f"{address}/messages/stream?userId=u1") == "refused"
        async with alice.expect_navigation() as navigation:
            await alice.evaluate("document.forms[0].submit()")
        assert (await (await navigation.value).json())["code"] == "cross_site"
    # She is still signed in, and nothing has moved.
    await alice.goto("/account")
    assert "alice" in await alice.inner_text("h1")
    assert (await post(shop, "/querorder", orderId="stolen")).code == "order_not_found"
    changes = [row["WHAT"] for row in (await post(shop, "/audit", who="alice")).body["result"]]
    assert changes == ["signed_in"]


async def test_a_name_that_leads_to_this_machine_has_no_session_and_gets_none(alice: Page, shop: Client) -> None:
    """DNS rebinding: the browser holds the service for the site whose page it shows."""
    address = f"http://evil.test:{shop.port}"
    await alice.route(f"{address}/attack", lambda route: route.fulfill(body="<p>Evil", content_type="text/html"))
    await alice.goto(f"{address}/attack")
    for path in ("/account", "/audit", "/messages?userId=u1"):
        got = await alice.evaluate(FETCH, [address + path, {"credentials": "include"}])
        assert got.startswith("401 "), path
    sent = {"method": "POST", "headers": FORM, "credentials": "include"}
    assert (await alice.evaluate(FETCH, [f"{address}/withdraw", sent | {"body": WITHDRAWAL}])).startswith("401 ")
    assert await alice.evaluate(FOLLOW_WITH_COOKIE, f"{address}/messages/stream?userId=u1") == "refused"
    # Not even with the password, which another machine could then read as well.
    password = f"name=alice&password={PASSWORD.replace(' ', '+')}"
    assert (await alice.evaluate(FETCH, [f"{address}/signin", sent | {"body": password}])).startswith("403 ")
    assert (await post(shop, "/querorder", orderId="stolen")).code == "order_not_found"
