"""What a mistake in a page lets in does not run in a real Chromium, and no other site has a page in a frame."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page

from ..conftest import Client
from .conftest import in_one_loop

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Gives the directives by which the browser refused each of these, and what ran in spite of it.
LET_IN = """async foreign => {
  const refused = [], all = 6;
  const seen = new Promise(resolve => document.addEventListener("securitypolicyviolation", event => {
    if (refused.push(event.effectiveDirective) === all) resolve();
  }));
  const add = (name, properties) => document.body.append(Object.assign(document.createElement(name), properties));
  add("script", { textContent: "window.ran = 'a script in the page'" });
  add("script", { src: `${foreign}script.js` });
  add("div", { innerHTML: `<img src="data:," onerror="window.ran = 'an attribute'">` });
  add("iframe", { src: foreign });
  add("form", { method: "post", action: foreign });
  document.forms[document.forms.length - 1].submit();
  await fetch(foreign).catch(() => {});
  await seen;
  return [window.ran ?? "nothing", [...new Set(refused)].sort()];
}"""


@in_one_loop
async def page(browser: Browser, client: Client) -> AsyncIterator[Page]:
    page = await browser.new_page(base_url=str(client.make_url("/")))
    yield page
    await page.context.close()


@pytest.mark.parametrize("path", ["/transfertest", "/messagestest"])
async def test_what_got_into_a_page_neither_runs_nor_reaches_another_site(page: Page, path: str) -> None:
    asked: list[str] = []

    async def foreign(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(text="window.ran = 'a script of another site'", content_type="text/javascript")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", foreign)
    async with TestServer(app) as server:
        await page.goto(path)
        ran, refused = await page.evaluate(LET_IN, f"http://evil.test:{server.port}/")
    assert (ran, asked) == ("nothing", [])
    assert refused == ["connect-src", "form-action", "frame-src", "script-src-attr", "script-src-elem"]


async def test_no_other_site_shows_a_page_in_a_frame(page: Page, client: Client) -> None:
    async def frame(request: web.Request) -> web.Response:
        text = f'<iframe src="{client.make_url("/transfertest")}"></iframe>'
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", frame)
    async with TestServer(app) as server:
        # Also one of the same site, on another port.
        for name in ("evil.test", "127.0.0.1"):
            await page.goto(f"http://{name}:{server.port}/")
            (shown,) = page.main_frame.child_frames
            assert await shown.locator("form").count() == 0
    await page.goto("/transfertest")
    assert await page.locator("form").count() == 1
