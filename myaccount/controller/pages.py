"""The browser pages: a form for each operation, an inbox, and the list of error codes."""

from collections.abc import Mapping
from mimetypes import MimeTypes
from typing import Any, Final, NamedTuple

import aiohttp_jinja2
from aiohttp import web

from ..appkeys import session_key
from ..problems import PROBLEMS
from ..settings.paths import resource_files
from . import account_settings, accounts, holds, orders
from .common_fields import USER_ID
from .operation import REQUIRED, Field, Operation

# The pages load only their own files, so an escaping mistake in a template cannot run foreign scripts.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
    "img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"
)


# Python's own table. On Windows, mimetypes.guess_type reads the registry, which any program may have changed.
TYPES: Final = MimeTypes()

# The files that the pages load.
FILES: Final = resource_files("templates/static")
ICON: Final = "icon.svg"
# Short, so that the pages of a new version soon load its files.
FILE_AGE_SECONDS: Final = 60


class Page(NamedTuple):
    """A page with a form for an operation, at one or more paths."""

    paths: tuple[str, ...]
    operation: Operation[Any]

    @property
    def fields(self) -> Mapping[str, Field]:
        """The required fields: the form has these."""
        return {name: field for name, field in self.sendable.items() if field.default is REQUIRED}

    @property
    def optional(self) -> tuple[str, ...]:
        """The names of the optional fields: the page only lists them."""
        return tuple(name for name in self.sendable if name not in self.fields)

    @property
    def sendable(self) -> Mapping[str, Field]:
        """The fields that may be sent together: of each pair only the first."""
        seconds = {second for _, second in self.operation.either}
        return {name: field for name, field in self.operation.fields.items() if name not in seconds}


class Group(NamedTuple):
    """Pages that belong together."""

    chinese: str
    english: str
    pages: tuple[Page, ...]


# In the order in which a new user tries them. Every page has links to these.
FIRST_PAGES: Final = (
    Page(("/openacctest",), accounts.OPEN_ACCOUNT),
    Page(("/rechargetest",), orders.RECHARGE),
    Page(("/transfertest",), orders.TRANSFER),
    Page(("/queryacctest",), accounts.QUERY_ACCOUNTS),
    Page(("/orderquerytest", "/ordertest"), orders.QUERY_ORDER),
)
GROUPS: Final = (
    Group(
        "提现与退款",
        "Paying out, giving back",
        (Page(("/withdrawtest",), orders.WITHDRAW), Page(("/refundtest",), orders.REFUND)),
    ),
    Group(
        "预授权",
        "Holds",
        (
            Page(("/holdtest",), holds.HOLD),
            Page(("/capturetest",), holds.CAPTURE),
            Page(("/releasetest",), holds.RELEASE),
            Page(("/extendtest",), holds.EXTEND),
        ),
    ),
    Group(
        "账户管理",
        "Accounts",
        (
            Page(("/addaccounttest",), accounts.ADD_ACCOUNT),
            Page(("/freezetest",), account_settings.FREEZE),
            Page(("/limittest",), account_settings.LIMIT),
            Page(("/closetest",), account_settings.CLOSE),
            Page(("/accountlogtest",), account_settings.ACCOUNT_LOG),
        ),
    ),
)
PAGES: Final = (*FIRST_PAGES, *[page for group in GROUPS for page in group.pages])


async def index(request: web.Request) -> web.Response:
    return render(request, "index.html", groups=GROUPS, origin=_origin(request))


async def form(page: Page, request: web.Request) -> web.Response:
    return render(request, "form.html", page=page, operation=page.operation, texts=page.operation.texts)


async def file(name: str, request: web.Request) -> web.Response:
    headers = {"Cache-Control": f"max-age={FILE_AGE_SECONDS}"}
    return web.Response(body=FILES[name], content_type=TYPES.guess_type(name)[0] or "", headers=headers)


async def messagestest(request: web.Request) -> web.Response:
    return render(request, "messages.html", origin=_origin(request), user_id=USER_ID)


async def errors(request: web.Request) -> web.Response:
    return render(request, "errors.html", problems=PROBLEMS)


def not_found(request: web.Request) -> web.Response:
    """Return the page for an unknown address."""
    response = render(request, "not_found.html")
    response.set_status(404)
    return response


def _origin(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def render(request: web.Request, template: str, **context: object) -> web.Response:
    """Return a page. Its header has the operator who is signed in."""
    known = {"pages": FIRST_PAGES, "path": request.path, "session": request.get(session_key)}
    response = aiohttp_jinja2.render_template(template, request, {**known, **context})
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response
