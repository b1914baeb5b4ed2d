"""The browser pages, in a real Chromium."""

import json
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page

from myaccount.controller.pages import PAGES

from ..conftest import Client
from .conftest import in_one_loop

pytestmark = pytest.mark.asyncio(loop_scope="session")

NASTY = """<img src=x onerror=alert(1)>"'"""


@in_one_loop
async def page(browser: Browser, client: Client) -> AsyncIterator[Page]:
    page = await browser.new_page(base_url=str(client.make_url("/")))
    logged: list[str] = []
    page.on("console", lambda message: logged.append(message.text))
    page.on("pageerror", lambda error: logged.append(str(error)))
    page.on("dialog", lambda dialog: logged.append(dialog.message))
    yield page
    await page.context.close()
    # The browser logs refused requests itself. Nothing else may be logged.
    assert [text for text in logged if "the server responded with a status of 4" not in text] == []


async def _submit(page: Page, path: str, **fields: str) -> tuple[str, dict[str, object]]:
    """Fill in and send a page's form; return what it shows of the reply: the status line and the JSON."""
    await page.goto(path)
    for name, value in fields.items():
        if await page.locator(f"select[name={name}]").count():
            await page.select_option(f"select[name={name}]", value)
        else:
            await page.fill(f"input[name={name}]", value)
    await page.click("button[type=submit]")
    status = await page.inner_text("#reply .outcome")
    assert page.url.endswith(path)
    return status.strip(), json.loads(await page.inner_text("#reply pre"))


def _opening(user_id: str, **fields: str) -> dict[str, str]:
    return {
        "userId": user_id, "userName": "张三", "sex": "男", "cardNum": "6222020001", "accountId": f"a-{user_id}",
        "accountType": "01", **fields,
    }  # fmt: skip


async def test_the_five_pages_move_money_without_leaving_them(page: Page) -> None:
    assert await _submit(page, "/openacctest", **_opening("u1")) == ("200 OK", {"result": 1})
    assert await _submit(page, "/openacctest", **_opening("u2")) == ("200 OK", {"result": 1})
    assert (await _submit(page, "/rechargetest", orderId="r1", userId="u1", amount="100"))[0] == "200 OK"
    transfer = {"orderId": "t1", "fromuserId": "u1", "touserId": "u2", "amount": "30.50"}
    assert await _submit(page, "/transfertest", **transfer) == ("200 OK", {"result": 1})
    assert await page.inner_text("#sent") == "orderId=t1&fromuserId=u1&touserId=u2&amount=30.50"
    await page.click("button[type=submit]")
    await page.wait_for_selector("text=Idempotent-Replayed: true")
    for path in ("/ordertest", "/orderquerytest"):
        assert (await _submit(page, path, orderId="t1"))[1]["AMOUNT"] == "30.50"
    _, reply = await _submit(page, "/queryacctest", userId="u2")
    assert '"BALANCE": "30.50"' in json.dumps(reply)


async def test_the_other_pages_pay_out_give_back_hold_and_manage_accounts(page: Page) -> None:
    done = ("200 OK", {"result": 1})
    reason = {"reason": "涉嫌欺诈"}
    for path, fields in [
        ("/openacctest", _opening("u1")),
        ("/rechargetest", {"orderId": "r1", "userId": "u1", "amount": "100"}),
        ("/withdrawtest", {"orderId": "w1", "userId": "u1", "amount": "30"}),
        ("/refundtest", {"orderId": "f1", "originalOrderId": "w1"}),
        ("/holdtest", {"orderId": "h1", "fromuserId": "u1", "amount": "60"}),
        ("/extendtest", {"orderId": "e1", "holdOrderId": "h1", "expiresIn": "3600"}),
        ("/capturetest", {"orderId": "c1", "holdOrderId": "h1"}),
        ("/holdtest", {"orderId": "h2", "fromuserId": "u1", "amount": "40"}),
        ("/releasetest", {"orderId": "v1", "holdOrderId": "h2"}),
        ("/addaccounttest", {"userId": "u1", "accountId": "b-u1", "accountType": "02"}),
        ("/freezetest", {"accountId": "b-u1", "frozen": "all", **reason}),
        ("/limittest", {"accountId": "b-u1", "floor": "-500.00", **reason}),
        ("/closetest", {"accountId": "b-u1", **reason}),
    ]:
        assert await _submit(page, path, **fields) == done, path
    _, log = await _submit(page, "/accountlogtest", accountId="b-u1")
    assert [row["CHANGE"] for row in log["result"]] == ["status", "floor", "frozen"]  # type: ignore[attr-defined]
    _, account = await _submit(page, "/queryacctest", userId="u1")
    assert '"BALANCE": "40.00"' in json.dumps(account)
    await _submit(page, "/accountlogtest", accountId="a-u1")
    assert "Nothing was changed." in await page.inner_text("#reply")


async def test_a_page_names_the_fields_that_its_form_leaves_out(page: Page) -> None:
    await page.goto("/holdtest")
    listed = "可选字段 Optional fields: touserId, currency, expiresIn, note, reference"
    assert listed in await page.inner_text("#exchange")
    await page.goto("/queryacctest")
    assert "Optional fields" not in await page.inner_text("#exchange")


async def test_a_refusal_is_shown_beside_the_form_and_leads_to_its_meaning(page: Page) -> None:
    status, problem = await _submit(page, "/rechargetest", orderId="r1", userId="nobody", amount="1")
    assert (status, problem["code"]) == ("404 Not Found", "user_not_found")
    assert await page.get_attribute("input[name=userId]", "aria-invalid") == "true"
    await page.click("#reply a")
    assert page.url.endswith("/errors#user_not_found")
    assert "There is no user by that id" in await page.inner_text("#user_not_found")


async def test_input_is_shown_as_text(page: Page) -> None:
    await _submit(page, "/openacctest", **_opening("u1", userName=NASTY))
    await _submit(page, "/queryacctest", userId="u1")
    assert NASTY.replace('"', '\\"') in await page.inner_text("#reply pre")
    assert await page.locator("#exchange img").count() == 0


async def test_a_new_order_id_is_offered(page: Page) -> None:
    await page.goto("/transfertest")
    ids = set()
    for _ in range(3):
        await page.click(".fresh")
        ids.add(await page.input_value("input[name=orderId]"))
    assert len(ids - {""}) == 3


async def test_the_pages_work_without_javascript(browser: Browser, client: Client) -> None:
    context = await browser.new_context(java_script_enabled=False, base_url=str(client.make_url("/")))
    page = await context.new_page()
    await page.goto("/")
    await page.click("main a[href='/openacctest']")
    assert not await page.is_visible("#exchange")
    for name, value in _opening("u1").items():
        await page.fill(f"input[name={name}]", value)
    await page.click("button[type=submit]")
    assert json.loads(await page.inner_text("body")) == {"result": 1}
    await context.close()


async def test_the_front_page_leads_to_every_page_in_both_languages(page: Page) -> None:
    await page.goto("/")
    links = await page.eval_on_selector_all("main li a", "links => links.map(a => a.getAttribute('href'))")
    assert links == [each.paths[0] for each in PAGES]
    for link in links:
        await page.goto(link)
        for label in await page.locator("label").all_inner_texts():
            assert any("\u4e00" <= character <= "\u9fff" for character in label), label
            assert any("a" <= character <= "z" for character in label), label


async def test_for_an_unknown_user_the_page_says_so(page: Page) -> None:
    status, reply = await _submit(page, "/queryacctest", userId="nobody")
    assert (status, reply) == ("200 OK", {"result": []})
    assert "There is no user with this id." in await page.inner_text("#reply")
    await _submit(page, "/openacctest", **_opening("u1"))
    await _submit(page, "/queryacctest", userId="u1")
    assert "There is no user" not in await page.inner_text("#reply")


async def test_the_pages_check_the_characters_that_the_service_checks(page: Page) -> None:
    await page.goto("/openacctest")
    for name, values in {
        "userId": {"u1": True, "张-1😀": True, "a b": False, "a\u200bb": False, "a\u00adb": False,
                   "a\u3164": False, "a\ue000": False, "a\u2800": False, "a\ufe0f": False},
        "userName": {"张三": True, "O'Brien (1)": True, "می\u200cخواهم": True, " ": False, "\u3164": False,
                     "\u200d": False, "\u0301": False},
    }.items():  # fmt: skip
        for value, valid in values.items():
            await page.fill(f"input[name={name}]", value)
            assert await page.eval_on_selector(f"input[name={name}]", "input => input.checkValidity()") == valid, (
                value
            )


async def test_on_a_phone_nothing_is_cut_off_and_the_header_keeps_its_height(page: Page) -> None:
    await page.set_viewport_size({"width": 320, "height": 640})
    heights = set()
    for path in ("/", "/messagestest", "/errors", "/transfertest", "/freezetest", "/limittest", "/nowhere"):
        await page.goto(path)
        for name in await page.eval_on_selector_all("form[action] input[required]", "all => all.map(i => i.name)"):
            await page.fill(f"input[name={name}]", {"amount": "1", "floor": "-1"}.get(name, "1" * 45))
        if path == "/transfertest":
            await page.click("button[type=submit]")
            await page.wait_for_selector("#reply pre")
        cut = """() => [...document.querySelectorAll("html, main *:not(.spoken, input)")]
            .filter(e => e.clientWidth && e.scrollWidth > e.clientWidth).map(e => e.outerHTML)"""
        assert await page.evaluate(cut) == [], path
    for path in ("/openacctest", "/rechargetest", "/transfertest", "/queryacctest", "/ordertest", "/errors"):
        await page.goto(path)
        heights.add(await page.evaluate("document.querySelector('header').offsetHeight"))
    assert len(heights) == 1


async def test_a_repeated_opening_is_no_fault(page: Page) -> None:
    await _submit(page, "/openacctest", **_opening("u1"))
    assert (await _submit(page, "/openacctest", **_opening("u1")))[0] == "409 Conflict"
    assert await page.locator("#reply .outcome.success").count() == 1
    assert "nothing is left to do" in await page.inner_text("#reply")
    assert await page.locator("[aria-invalid]").count() == 0
    await _submit(page, "/openacctest", **_opening("u1", userName="Other"))
    assert await page.locator("#reply .outcome.refusal").count() == 1


async def test_a_field_that_the_browser_refuses_clears_the_earlier_reply(page: Page) -> None:
    await _submit(page, "/rechargetest", orderId="r1", userId="nobody", amount="1")
    await page.fill("input[name=amount]", "1.23456")
    await page.click("button[type=submit]")
    await page.wait_for_selector("text=It appears here once you send.")
    assert not await page.is_visible("#request")
    assert await page.locator("#reply .outcome").count() == 0


async def test_an_unknown_address_is_a_page(page: Page) -> None:
    response = await page.goto("/nowhere")
    assert response is not None
    assert response.status == 404
    assert "There is nothing at this address" in await page.inner_text("h1")
    await page.click("main a")
    assert page.url.endswith("/")


async def test_pages_load_nothing_from_elsewhere(browser: Browser, client: Client) -> None:
    page = await browser.new_page(base_url=str(client.make_url("/")))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in ("/", "/errors", "/transfertest"):
        response = await page.goto(path)
        assert response is not None
        assert "default-src 'none'" in response.headers["content-security-policy"]
    assert asked
    assert all(url.startswith(str(client.make_url("/"))) for url in asked)
    await page.context.close()
