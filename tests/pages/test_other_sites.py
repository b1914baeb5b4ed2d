"""What a page of another site reaches in a real Chromium: nothing."""

from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page

from ..conftest import Client
from ..helpers.actions import balance, open_users, send
from .conftest import in_one_loop

pytestmark = pytest.mark.asyncio(loop_scope="session")

ATTACK = """<!doctype html><title>Evil</title>
<form method="post" action="{address}/withdraw" target="{target}">
<input name="orderId" value="stolen"><input name="userId" value="u1"><input name="amount" value="40">
</form><iframe name="frame"></iframe>"""
# What each attempt gives the page: the text that it read, or why it could not.
FETCH = """async ([url, options]) => {
  try { const reply = await fetch(url, options); return `${reply.status} ${await reply.text()}`; }
  catch (error) { return String(error); }
}"""
FOLLOW = """url => new Promise(resolve => {
  const source = new EventSource(url);
  source.onopen = () => resolve("open");
  source.onmessage = event => resolve(event.data);
  source.onerror = () => { source.close(); resolve("refused"); };
})"""
WITHDRAWAL = "orderId=stolen&userId=u1&amount=40"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@in_one_loop
async def rich(client: Client) -> AsyncIterator[Client]:
    """A service with the user u1, who still has all the money afterwards."""
    await open_users(client, "u1")
    assert (await send(client, "/recharge", orderId="r1", userId="u1", amount="100"))[0] == 200
    yield client
    assert await balance(client, "u1") == "100.00"
    assert (await send(client, "/querorder", orderId="stolen"))[0] == 404


@in_one_loop
async def page(browser: Browser) -> AsyncIterator[Page]:
    page = await browser.new_page()
    yield page
    await page.context.close()


Site = Callable[[str], str]


@in_one_loop
async def other_site(rich: Client) -> AsyncIterator[Site]:
    """Serve the attack on a port of its own; return its address by a name."""

    async def attack(request: web.Request) -> web.Response:
        text = ATTACK.format(address=_address(rich), target=request.query.get("target", "_self"))
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", attack)
    async with TestServer(app) as server:
        yield lambda name: f"http://{name}:{server.port}/"


def _address(client: Client, name: str = "127.0.0.1") -> str:
    return f"http://{name}:{client.port}"


async def _submit(page: Page) -> None:
    await page.evaluate("document.forms[0].submit()")


# Another site, and two of the same: the browser's `same-site` does not look at the port.
@pytest.mark.parametrize("name", ["evil.test", "127.0.0.1", "localhost"])
async def test_the_form_of_another_site_moves_no_money(page: Page, other_site: Site, name: str) -> None:
    await page.goto(other_site(name))
    async with page.expect_navigation() as navigation:
        await _submit(page)
    reply = await (await navigation.value).json()
    assert (reply["status"], reply["code"]) == (403, "cross_site")


async def test_the_form_of_another_site_moves_no_money_from_within_a_frame(page: Page, other_site: Site) -> None:
    await page.goto(f"{other_site('evil.test')}?target=frame")
    async with page.expect_response("**/withdraw") as response:
        await _submit(page)
    assert (await response.value).status == 403


@pytest.mark.parametrize("name", ["evil.test", "127.0.0.1"])
async def test_a_script_of_another_site_changes_and_reads_nothing(
    page: Page, rich: Client, other_site: Site, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    await page.goto(other_site(name))
    address = _address(rich)
    caplog.set_level("INFO", "myaccount.access")
    # The first and the last are sent as a form is. The browser asks before the second.
    for options in ({"headers": FORM}, {"headers": {"Content-Type": "application/json"}}, {"mode": "no-cors"}):
        await page.evaluate(FETCH, [f"{address}/withdraw", {"method": "POST", "body": WITHDRAWAL, **options}])
    lines = [record.getMessage() for record in caplog.records if record.name == "myaccount.access"]
    came = [" ".join(line.split()[:3]) for line in lines]
    # The service's own request about the opening may come at any time.
    came = [line for line in came if "/opeacclistentest" not in line]
    assert came == ["POST /withdraw 403", "OPTIONS /withdraw 405", "POST /withdraw 403"]
    for target in ("/", "/messages?userId=u1", "/healthz"):
        assert "Failed to fetch" in await page.evaluate(FETCH, [f"{address}{target}", {}])
    assert await page.evaluate(FOLLOW, f"{address}/messages/stream?userId=u1") == "refused"


async def test_a_name_that_leads_to_this_machine_changes_and_reads_nothing(page: Page, rich: Client) -> None:
    """DNS rebinding: the browser holds the service for the site whose page it shows."""
    address = _address(rich, "evil.test")
    # The site's own page, from before its name led here.
    await page.route(f"{address}/attack", lambda route: route.fulfill(body="<p>Evil", content_type="text/html"))
    await page.goto(f"{address}/attack")
    withdrawal = [f"{address}/withdraw", {"method": "POST", "headers": FORM, "body": WITHDRAWAL}]
    for sent in (withdrawal, [f"{address}/", {}], [f"{address}/messages?userId=u1", {}]):
        reply = await page.evaluate(FETCH, sent)
        assert reply.startswith("403 ")
        assert "unknown_host" in reply
    assert await page.evaluate(FOLLOW, f"{address}/messages/stream?userId=u1") == "refused"


async def test_the_service_s_own_page_does_all_of_this(page: Page, rich: Client) -> None:
    """So the tests above can fail."""
    for name in ("127.0.0.1", "localhost"):
        address = _address(rich, name)
        await page.goto(f"{address}/withdrawtest")
        refund = [f"{address}/refund", {"method": "POST", "headers": FORM, "body": "orderId=f&originalOrderId=w"}]
        withdrawal = WITHDRAWAL.replace("stolen", "w")
        sent = [f"{address}/withdraw", {"method": "POST", "headers": FORM, "body": withdrawal}]
        for each in (sent, refund):
            assert (await page.evaluate(FETCH, each)).startswith('200 {"result": 1}')
        assert "recharge" in await page.evaluate(FETCH, [f"{address}/messages?userId=u1", {}])
        assert await page.evaluate(FOLLOW, f"{address}/messages/stream?userId=u1") == "open"
