"""The inbox page, in a real Chromium."""

import asyncio
import re
from functools import partial
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, Route, expect

from ..conftest import Client, eventually
from ..helpers.actions import open_users, send, transfer
from . import test_pages
from .conftest import in_one_loop

pytestmark = pytest.mark.asyncio(loop_scope="session")

# With the same check of its console.
page = test_pages.page

PAGE_SIZE = 20
ROWS_LIMIT = 200


@in_one_loop
async def people(client: Client) -> None:
    await open_users(client, "u1", "u2")
    await _recharge(client, "r1", "u1", "100")


async def _recharge(client: Client, order_id: str, user_id: str, amount: str = "1") -> None:
    assert (await send(client, "/recharge", orderId=order_id, userId=user_id, amount=amount))[0] == 200


async def _recharge_often(client: Client, user_id: str, count: int) -> list[str]:
    ids = [f"n{n}" for n in range(count)]
    await asyncio.gather(*[_recharge(client, id_, user_id) for id_ in ids])
    return ids


async def _inbox(client: Client, user_id: str, **fields: str) -> dict[str, Any]:
    status, reply, _ = await send(client, "/messages", userId=user_id, **fields)
    assert status == 200
    return reply


async def _until_total(client: Client, user_id: str, count: int) -> None:
    async def written() -> bool:
        return bool((await _inbox(client, user_id))["total"] == count)

    await eventually(written)


async def _open(page: Page, user_id: str, language: str = "en") -> None:
    await page.goto("/messagestest")
    await page.fill("#userId", user_id)
    await page.select_option("#language", language)
    await page.click("[type=submit]")
    await expect(page.locator("#opened")).to_be_visible()
    await expect(page.locator("#connection")).to_have_text("实时 Live")


def _break_connections(client: Client) -> None:
    runner = client.server.runner
    assert runner is not None
    assert runner.server is not None
    for connection in runner.server.connections:
        if connection.transport is not None:
            connection.transport.abort()


def _titles(page: Page) -> Locator:
    return page.locator("#messages h3")


async def _expect_unread(page: Page, count: int) -> None:
    await expect(page.locator("#count")).to_have_text(str(count))
    assert await page.is_visible("#unread") == (count > 0)
    assert await page.locator("#messages .unread").count() == count
    title = "消息 Messages · MyAccount"
    assert await page.title() == (f"({count}) {title}" if count else title)


async def test_an_inbox_fills_while_orders_run(page: Page, client: Client, people: None) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await _open(page, "u2")
    await expect(_titles(page)).to_have_text(["Welcome, N"])
    await _expect_unread(page, 1)
    await _recharge(client, "r2", "u2", "5")
    for n in range(3):
        await transfer(client, f"t{n}", "u1", "u2", f"1.0{n}")
    await transfer(client, "t9", "u2", "u1", "999")
    newest_first = [
        "Declined: transfer of 999.00 CNY", "Received 1.02 CNY", "Received 1.01 CNY", "Received 1.00 CNY",
        "Top-up of 5.00 CNY", "Welcome, N",
    ]  # fmt: skip
    await expect(_titles(page)).to_have_text(newest_first)
    await _expect_unread(page, 6)
    received = page.locator("#messages li").nth(1)
    await expect(received.locator(".text")).to_have_text("You received 1.02 CNY from N. The balance is 8.03 CNY.")
    await expect(received.locator(".account code")).to_have_text("a-u2")
    await expect(received.locator(".order code")).to_have_text("t2")
    first = (await _inbox(client, "u2"))["result"][0]
    assert await page.locator("#messages time").first.get_attribute("datetime") == first["CREATE_TIME"]
    # The welcome is about no order.
    assert not await page.locator("#messages .order").last.is_visible()
    assert {url.removeprefix(str(client.make_url("/"))).split("?")[0] for url in asked} == {
        "messagestest", "messages", "messages/stream", "static/style.css", "static/messages.js", "static/icon.svg",
    }  # fmt: skip


async def test_marked_messages_are_no_longer_counted_as_unread(page: Page, client: Client, people: None) -> None:
    await _open(page, "u1")
    await _recharge(client, "r2", "u1", "2")
    await _recharge(client, "r3", "u1", "3")
    await _expect_unread(page, 4)
    marked = page.locator("#messages li").nth(1)
    await marked.locator("button").press("Enter")
    await _expect_unread(page, 3)
    # Although the button is gone, the message keeps the focus, and its position in the list.
    await expect(marked).to_be_focused()
    await expect(_titles(page).nth(1)).to_have_text("Top-up of 2.00 CNY")
    assert (await _inbox(client, "u1"))["unread"] == 3
    await page.click("#mark-all")
    await _expect_unread(page, 0)
    assert (await _inbox(client, "u1"))["unread"] == 0
    await _recharge(client, "r4", "u1", "4")
    await _expect_unread(page, 1)
    await expect(_titles(page)).to_have_text(
        [f"Top-up of {amount}.00 CNY" for amount in (4, 3, 2, 100)] + ["Welcome, N"]
    )


async def test_mark_all_works_after_another_tab_has_marked_all(page: Page, client: Client, people: None) -> None:
    await _open(page, "u1")
    await send(client, "/messages/read", userId="u1", upTo="1000000")
    await _expect_unread(page, 2)
    await page.click("#mark-all")
    await _expect_unread(page, 0)


async def test_a_message_that_comes_by_stream_and_page_is_counted_once(
    page: Page, client: Client, people: None
) -> None:
    """More messages than a page has arrive between the opening of the stream and the reply with the page."""
    await page.add_init_script("""
        const listen = EventSource.prototype.addEventListener;
        EventSource.prototype.addEventListener = function (type, heard) {
          const late = (event) => (window.isHeld ? setTimeout(late, 10, event) : heard(event));
          listen.call(this, type, type === "message" ? late : heard);
        };
        window.isHeld = true;
    """)
    expected = 1

    async def more_before(route: Route) -> None:
        nonlocal expected
        expected += len(await _recharge_often(client, "u2", PAGE_SIZE + 5))
        await _until_total(client, "u2", expected)
        await route.continue_()

    async def more_after(route: Route) -> None:
        nonlocal expected
        response = await route.fetch()
        for n in range(3):
            await _recharge(client, f"late-{n}", "u2", "2")
        expected += 3
        await expect(_titles(page).filter(has_text="2.00")).to_have_count(3)
        await route.fulfill(response=response)

    await page.route("**/messages", more_before)
    await _open(page, "u2")
    await expect(page.locator("#count")).to_have_text(str(expected))
    await page.evaluate("isHeld = false")
    await expect(_titles(page)).to_have_count(expected - 1)
    await expect(page.locator("#count")).to_have_text(str(expected))
    await page.route("**/messages", more_after)
    await page.click("[type=submit]")
    await expect(page.locator("#opened")).to_be_visible()
    await expect(page.locator("#count")).to_have_text(str(expected))
    assert (await _inbox(client, "u2"))["unread"] == expected


async def _are_shown(page: Page, count: int) -> bool:
    return await _titles(page).count() >= count


async def test_after_a_stream_was_interrupted_no_message_is_missing_or_shown_twice(
    browser: Browser, client: Client, people: None
) -> None:
    context = await browser.new_context(base_url=str(client.make_url("/")))
    page = await context.new_page()
    titles = ["Top-up of 100.00 CNY", "Welcome, N"]
    # Written before the stream opens, so that none of them comes by the stream.
    await _until_total(client, "u1", len(titles))
    await _open(page, "u1")
    for missed in (PAGE_SIZE + 1, PAGE_SIZE + 2):
        # Offline mode alone would only prevent new connections.
        await context.set_offline(True)
        _break_connections(client)
        await expect(page.locator("#connection")).to_have_text("重新连接中 Reconnecting")
        for n in range(missed):
            await _recharge(client, f"m{missed}-{n}", "u1", f"{n + 1}")
            titles.insert(0, f"Top-up of {n + 1}.00 CNY")
        await _until_total(client, "u1", len(titles))
        await expect(_titles(page)).to_have_count(len(titles) - missed)
        await context.set_offline(False)
        await expect(page.locator("#connection")).to_have_text("实时 Live")
        await _recharge(client, f"after-{missed}", "u1", "77")
        titles.insert(0, "Top-up of 77.00 CNY")
        if missed == PAGE_SIZE + 1:
            # The stream has sent no message yet, so pages fill the gap, of which the first leaves one out. If
            # Chromium has opened the stream again before it went offline, nothing is left out.
            await eventually(partial(_are_shown, page, len(titles) - 1))
            await page.click("#older")
        await expect(_titles(page)).to_have_text(titles)
        await _expect_unread(page, len(titles))
    await context.close()


async def test_the_page_reconnects_after_a_stream_was_refused(
    browser: Browser, client: Client, people: None
) -> None:
    page = await browser.new_page(base_url=str(client.make_url("/")))
    await page.goto("/messagestest")
    await page.fill("#userId", "u1")
    # As a proxy replies while the service restarts.
    addresses = re.compile(r"/messages(/stream\?.*)?$")
    await page.route(addresses, lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"))
    await page.click("[type=submit]")
    await expect(page.locator("#problem")).to_contain_text("502")
    await expect(page.locator("#connection")).to_have_text("重新连接中 Reconnecting")
    await page.unroute(addresses)
    await expect(page.locator("#connection")).to_have_text("实时 Live")
    await expect(_titles(page)).to_have_count(2)
    await expect(page.locator("#problem")).to_be_empty()


async def test_older_messages_are_shown_page_by_page_and_each_once(
    page: Page, client: Client, people: None
) -> None:
    ids = await _recharge_often(client, "u2", 2 * PAGE_SIZE + 5)
    await _until_total(client, "u2", len(ids) + 1)
    await _open(page, "u2")
    await expect(_titles(page)).to_have_count(PAGE_SIZE)
    await expect(page.locator("#count")).to_have_text(str(len(ids) + 1))
    # Now all are read, and pages of read messages begin with messages that are shown already.
    await page.click("#mark-all")
    await _expect_unread(page, 0)
    for shown in (2 * PAGE_SIZE, len(ids) + 1):
        await page.click("#older")
        await expect(_titles(page)).to_have_count(shown)
    await expect(page.locator("#older")).to_be_hidden()
    await expect(page.locator("#messages li").last).to_be_focused()
    shown_ids = await page.locator("#messages li").evaluate_all("items => items.map(item => +item.dataset.nid)")
    assert shown_ids == [row["NID"] for row in (await _inbox(client, "u2", pageSize="100"))["result"]]


async def test_the_number_of_shown_messages_has_a_limit(page: Page, client: Client, people: None) -> None:
    await _recharge_often(client, "u2", ROWS_LIMIT - PAGE_SIZE + 5)
    await _until_total(client, "u2", ROWS_LIMIT - PAGE_SIZE + 6)
    await _open(page, "u2")
    while await page.is_visible("#older"):
        shown = await _titles(page).count()
        await page.click("#older")
        await expect(_titles(page)).not_to_have_count(shown)
    assert not await page.is_visible("#full")
    for n in range(PAGE_SIZE):
        await _recharge(client, f"late-{n}", "u2", "2")
    await expect(page.locator("#count")).to_have_text(str(ROWS_LIMIT + 6))
    await expect(_titles(page)).to_have_count(ROWS_LIMIT)
    assert (await _titles(page).all_inner_texts()).count("Top-up of 2.00 CNY") == PAGE_SIZE
    assert await page.is_visible("#full")
    assert str(ROWS_LIMIT) in await page.inner_text("#full")


async def test_for_an_unknown_user_the_page_shows_the_error_of_the_service(page: Page, people: None) -> None:
    await _open(page, "u1")
    await page.fill("#userId", "nobody")
    await page.click("[type=submit]")
    await expect(page.locator("#problem")).to_contain_text("There is no user 'nobody'.")
    await expect(page.locator("#problem")).to_contain_text("没有这个用户ID的用户。")
    await expect(page.locator("#connection")).to_have_text("未连接 Not connected")
    assert await page.get_attribute("#userId", "aria-invalid") == "true"
    assert not await page.is_visible("#opened")
    assert await page.title() == "消息 Messages · MyAccount"
    # The previous inbox is closed, and another can be opened.
    await page.fill("#userId", "u2")
    await page.click("[type=submit]")
    await _expect_unread(page, 1)
    await expect(page.locator("#problem")).to_be_empty()


async def test_after_a_change_of_user_no_messages_of_the_former_inbox_are_shown(
    page: Page, client: Client, people: None
) -> None:
    await _open(page, "u1")
    await page.fill("#userId", "u2")
    await page.click("[type=submit]")
    await expect(_titles(page)).to_have_text(["Welcome, N"])
    await expect(page.locator("#connection")).to_have_text("实时 Live")
    await _recharge(client, "r2", "u1", "2")
    await _until_total(client, "u1", 3)
    await _recharge(client, "r3", "u2", "3")
    await expect(_titles(page)).to_have_text(["Top-up of 3.00 CNY", "Welcome, N"])
    await _expect_unread(page, 2)


async def test_a_hostile_name_is_shown_as_text(page: Page, client: Client, people: None) -> None:
    for user_id in ("evil", "worse"):
        nasty = {**test_pages._opening(user_id), "userName": test_pages.NASTY}
        assert (await send(client, "/openacc", **nasty))[0] == 200
    await _open(page, "evil", "zh")
    await expect(_titles(page)).to_have_text([f"欢迎，{test_pages.NASTY}"])
    await _recharge(client, "r2", "worse", "2")
    await transfer(client, "t1", "worse", "evil", "2")
    await expect(page.locator("#messages .text").first).to_contain_text(test_pages.NASTY)
    assert await page.locator("#inbox img").count() == 0


async def test_messages_of_a_team_are_not_shown_among_those_of_the_account(
    page: Page, client: Client, people: None
) -> None:
    assert (await send(client, "/team", teamId="k1", teamName="K", add="u2"))[0] == 200
    assert (await send(client, "/openacc", **test_pages._opening("u3"), teamId="k1"))[0] == 200
    await _open(page, "u2")
    await _recharge(client, "r3", "u3")

    async def written() -> bool:
        return bool((await send(client, "/teammessages", userId="u2", teamId="k1"))[1]["total"])

    await eventually(written)
    await _recharge(client, "r2", "u2", "2")
    await expect(_titles(page)).to_have_text(["Top-up of 2.00 CNY", "Welcome, N"])
    await _expect_unread(page, 2)


async def test_without_javascript_the_page_says_what_it_needs(browser: Browser, client: Client) -> None:
    context = await browser.new_context(java_script_enabled=False, base_url=str(client.make_url("/")))
    page = await context.new_page()
    await page.goto("/")
    await page.click("main a[href='/messagestest'] >> nth=0")
    assert "本页需要 JavaScript" in await page.inner_text("main")
    assert not await page.is_visible("#inbox")
    await context.close()


async def test_the_page_leads_to_the_others_and_loads_nothing_from_elsewhere(page: Page) -> None:
    response = await page.goto("/messagestest")
    assert response is not None
    assert "default-src 'none'" in response.headers["content-security-policy"]
    links = await page.eval_on_selector_all("main a", "links => links.map(link => link.getAttribute('href'))")
    assert set(links) == {"/openacctest", "/rechargetest", "/transfertest"}
    assert await page.get_attribute("nav [aria-current]", "href") == "/messagestest"
    assert "/transfer" in await page.inner_text(".command")
