"""The browser pages: a form for each thing that the service does, an inbox, and a list of what it may refuse."""

from dataclasses import dataclass, replace
from mimetypes import MimeTypes
from pathlib import Path
from typing import Final

import aiohttp_jinja2
from aiohttp import web

from ..problems import ERRORS
from ..settings.paths import resource

# The pages need nothing but their own files, so a slip in a template cannot become a stranger's script.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
    "img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"
)


# Python's own table. On Windows, mimetypes.guess_type uses one that any program may have changed in the registry.
TYPES: Final = MimeTypes()

# All that the pages load.
FILES: Final = tuple(resource("templates/static").iterdir())
ICON: Final = resource("templates/static/icon.svg")
# Short, so that a new version's pages soon have its files.
FILE_AGE_SECONDS: Final = 60


@dataclass(frozen=True)
class Rule:
    """What the browser checks before it sends a field; the service checks whatever arrives."""

    pattern: str
    keyboard: str
    explanation: str


# The same characters as the service takes (characters.py): an id shows all of its characters, a name at least one.
TEXT: Final = Rule(r".*[^\s\p{M}\p{Cf}\p{DI}\u2800].*", "text", "必填 Required")
IDENTIFIER: Final = Rule(
    r"[^\s\p{C}\p{DI}\u2800]+", "text", "不能有空白或不可见字符 No white space or invisible characters"
)
MONEY: Final = Rule(r"[0-9]{1,12}(\.[0-9]{1,2})?", "decimal", "数字，最多两位小数 Digits, at most two decimals")


@dataclass(frozen=True)
class Field:
    """One input, sent as `name`; `fresh` offers a random value, because each order wants a new one."""

    name: str
    chinese: str
    english: str
    example: str
    rule: Rule
    length: int = 45
    fresh: bool = False


@dataclass(frozen=True)
class Page:
    """A page with one form, which goes to `action`."""

    paths: tuple[str, ...]
    action: str
    chinese: str
    english: str
    chinese_purpose: str
    english_purpose: str
    fields: tuple[Field, ...]
    # What a reply without any rows means.
    chinese_nothing: str = ""
    english_nothing: str = ""


ORDER_ID: Final = Field("orderId", "订单编号", "Order id", "r1", IDENTIFIER)
USER_ID: Final = Field("userId", "用户编号", "User id", "u1", IDENTIFIER)
AMOUNT: Final = Field("amount", "金额", "Amount", "100.00", MONEY)

# In the order in which a newcomer would try them.
PAGES: Final = (
    Page(
        paths=("/openacctest",),
        action="/openacc",
        chinese="开户",
        english="Open an account",
        chinese_purpose="为新用户开立账户。不妨先开两位：u1 用账户 a1，u2 用 a2。",
        english_purpose="Makes a user and an account. Begin with two: u1 with account a1, u2 with a2.",
        fields=(
            USER_ID,
            Field("userName", "用户姓名", "User name", "Alice / 张三", TEXT),
            Field("sex", "性别", "Sex", "F, M / 男, 女", TEXT, length=2),
            Field("cardNum", "卡号", "Card number", "6222020001", TEXT),
            Field("accountId", "账户编号", "Account id", "a1", IDENTIFIER),
            Field("accountType", "账户类型", "Account type", "01", TEXT),
        ),
    ),
    Page(
        paths=("/rechargetest",),
        action="/recharge",
        chinese="充值",
        english="Recharge (top up)",
        chinese_purpose="把钱充入用户的账户。",
        english_purpose="Puts money into a user's account.",
        fields=(replace(ORDER_ID, fresh=True), USER_ID, AMOUNT),
    ),
    Page(
        paths=("/transfertest",),
        action="/transfer",
        chinese="转账",
        english="Transfer",
        chinese_purpose="从一位用户转给另一位用户；余额不足则拒绝。",
        english_purpose="Moves money from one user to another, if the balance covers it.",
        fields=(
            replace(ORDER_ID, example="t1", fresh=True),
            Field("fromuserId", "付款用户", "From user", "u1", IDENTIFIER),
            Field("touserId", "收款用户", "To user", "u2", IDENTIFIER),
            AMOUNT,
        ),
    ),
    Page(
        paths=("/queryacctest",),
        action="/queryacc",
        chinese="账户查询",
        english="Query accounts",
        chinese_purpose="查看用户的账户与余额。",
        english_purpose="Shows a user's accounts and balances.",
        fields=(USER_ID,),
        chinese_nothing="没有这个用户ID的用户。",
        english_nothing="There is no user with this id.",
    ),
    Page(
        paths=("/orderquerytest", "/ordertest"),
        action="/querorder",
        chinese="订单查询",
        english="Query an order",
        chinese_purpose="查看一笔充值或转账的结果。",
        english_purpose="Tells what became of a recharge or a transfer.",
        fields=(ORDER_ID,),
    ),
)


async def index(request: web.Request) -> web.Response:
    return _render(request, "index.html", origin=_origin(request))


async def form(page: Page, request: web.Request) -> web.Response:
    return _render(request, "form.html", page=page)


async def file(path: Path, request: web.Request) -> web.Response:
    # A few kilobytes, so read as they are asked for.
    body = path.read_bytes()  # noqa: ASYNC240
    headers = {"Cache-Control": f"max-age={FILE_AGE_SECONDS}"}
    return web.Response(body=body, content_type=TYPES.guess_type(path)[0] or "", headers=headers)


async def messagestest(request: web.Request) -> web.Response:
    return _render(request, "messages.html", origin=_origin(request), user_id=USER_ID)


async def errors(request: web.Request) -> web.Response:
    return _render(request, "errors.html", errors=ERRORS)


def not_found(request: web.Request) -> web.Response:
    """Return the page for an unknown address."""
    response = _render(request, "not_found.html")
    response.set_status(404)
    return response


def _origin(request: web.Request) -> str:
    # A Host header may hold bytes that no page can show.
    host = request.host.encode("ascii", "replace").decode()
    return f"{request.scheme}://{host}"


def _render(request: web.Request, template: str, **context: object) -> web.Response:
    response = aiohttp_jinja2.render_template(template, request, {"pages": PAGES, "path": request.path, **context})
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response
