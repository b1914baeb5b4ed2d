"""The pages by which operators sign in and out, and look after their own accounts. They need no JavaScript."""

import re
from http import HTTPStatus
from typing import Final, NamedTuple

from aiohttp import hdrs, web

from ..access.doers import doer_of
from ..access.operators.cookies import drop_cookie, set_cookie
from ..access.operators.operator_rows import OperatorRefused, end_sessions
from ..access.operators.passwords import LEAST_LENGTH, LENGTH_LIMIT, PasswordRefused, check_new
from ..access.operators.sessions import LIFETIME, Session
from ..access.proxies import is_direct
from ..appkeys import authenticator_key, database_key, proxies_key, session_key, sessions_key, sign_in_key
from ..errors import InvalidRequest, NotAllowed, RequestError, Unauthenticated
from ..problems import STATUS_BY_CODE
from ..replies import note_refusal
from ..system.host_names import is_local, requested_host
from .field_kinds import Kind, PageRule, text
from .operation import Field, Operation, Texts
from .pages import render

# Those of this service that a person may come back to.
_OWN_PAGE: Final = re.compile("/[a-z]*")
# While the request was on its way.
_REMOVED: Final = "The operator was removed."
# The errors that a person may meet on these pages.
_CHINESE: Final = {
    "invalid_request": "填写有误。",
    "unauthenticated": "名称或密码错误。",
    "not_allowed": "请通过 HTTPS 登录，或在本机经 localhost 登录。",
    "rate_limited": "密码错误次数过多，请稍后再试。",
    "overloaded": "同时登录的人过多，请稍后再试。",
    "unavailable": "数据库暂时不可用，请稍后再试。",
}
# What the page says after a change.
_DONE: Final = {
    "password": ("密码已修改，其他会话已结束。", "The password is changed, and all other sessions have ended."),
    "sessions": ("其他会话已结束。", "All other sessions have ended."),
}


class Credentials(NamedTuple):
    """What a person signs in with, and the page to go on to."""

    name: str
    password: str
    next: str


class NewPassword(NamedTuple):
    """An operator's password so far, and the new one, twice."""

    password: str
    new_password: str
    again: str


def _password(value: str) -> str:
    if not value:
        raise ValueError("must not be empty")
    if len(value) > LENGTH_LIMIT:
        raise ValueError(f"must be at most {LENGTH_LIMIT} characters long")
    return value


def _new_password(value: str) -> str:
    try:
        check_new(value)
    except PasswordRefused as error:
        raise ValueError(f"is refused: {str(error).removesuffix('.')}") from None
    return value


def _page(value: str) -> str:
    # Another address could lead to another site.
    return value if _OWN_PAGE.fullmatch(value) else "/"


_PASSWORD: Final = Field(Kind(_password), "密码", "Password", "correct horse battery staple")
_NEW: Final = Kind(
    _new_password,
    rule=PageRule(
        f".{{{LEAST_LENGTH},}}", "text", f"至少 {LEAST_LENGTH} 个字符 At least {LEAST_LENGTH} characters"
    ),
)
SIGN_IN: Final = Operation(
    "/signin",
    Credentials,
    {
        "name": Field(text(), "操作员", "Operator", "alice"),
        "password": _PASSWORD,
        "next": Field(Kind(_page), "下一页", "Next page", "/", default="/"),
    },
    Texts("登录", "Sign in", "操作员登录。", "For operators."),
    scopes=(),
)
CHANGE_PASSWORD: Final = Operation(
    "/account/password",
    NewPassword,
    {
        "password": _PASSWORD._replace(chinese="当前密码", english="Password so far"),
        "newPassword": Field(_NEW, "新密码", "New password", _PASSWORD.example),
        "again": Field(_NEW, "再次输入新密码", "New password again", _PASSWORD.example),
    },
    Texts("修改密码", "Change the password", "修改密码并结束其他会话。", "Ends all other sessions as well."),
    scopes=(),
)


async def sign_in_page(request: web.Request) -> web.Response:
    wanted = _page(request.rel_url.query.get("next", "/"))
    try:
        _is_secure(request)
    except RequestError as error:
        return _refused(request, error, "signin.html", next=wanted)
    return render(request, "signin.html", next=wanted)


async def sign_in(request: web.Request) -> web.Response:
    """Begin a session, and go on to the page that was wanted."""
    wanted = "/"
    try:
        secure = _is_secure(request)
        name, password, wanted = await SIGN_IN.read(request)
        cookie = await request.app[sign_in_key].begin(name, password, doer_of(request))
    except RequestError as error:
        return _refused(request, error, "signin.html", next=wanted)
    response = _go_to(wanted)
    set_cookie(response, cookie, int(LIFETIME.total_seconds()), secure=secure)
    return response


async def sign_out(request: web.Request) -> web.Response:
    """End the session by which the request came."""
    await request.app[sessions_key].end(_session(request), doer_of(request))
    response = _go_to("/signin")
    drop_cookie(response, secure=request.app[proxies_key].is_https(request))
    return response


async def account(request: web.Request) -> web.Response:
    done = _DONE.get(request.rel_url.query.get("done", ""))
    return render(request, "account.html", done=done, **await _shown(request))


async def change_password(request: web.Request) -> web.Response:
    """Change one's own password. The session goes on, and all others end."""
    own = _session(request)
    try:
        password, new, again = await CHANGE_PASSWORD.read(request)
        if new != again:
            raise InvalidRequest("The new password was not written the same way twice.", field="again")
        await request.app[sign_in_key].change_password(own.name, password, new, doer_of(request), keep=own.id)
    except OperatorRefused:
        raise Unauthenticated(_REMOVED) from None
    except RequestError as error:
        return _refused(request, error, "account.html", **await _shown(request))
    return _go_to("/account?done=password")


async def end_other_sessions(request: web.Request) -> web.Response:
    own, now = _session(request), (await request.app[authenticator_key].signing()).clock.now()
    try:
        await end_sessions(request.app[database_key], own.name, now, doer_of(request), keep=own.id)
    except OperatorRefused:
        raise Unauthenticated(_REMOVED) from None
    return _go_to("/account?done=sessions")


async def _shown(request: web.Request) -> dict[str, object]:
    """Return what the page of one's own account shows."""
    own = _session(request)
    others = await request.app[sessions_key].count_others(own)
    return {"own": own, "scopes": sorted(own.caller.scopes), "others": others, "operation": CHANGE_PASSWORD}


def _session(request: web.Request) -> Session:
    own: Session | None = request.get(session_key)
    if own is None:
        raise NotAllowed("This is for operators who have signed in.")
    return own


def _is_secure(request: web.Request) -> bool:
    """Whether the browser uses TLS. Raises NotAllowed if it must: others on the way could read the password."""
    if request.app[proxies_key].is_https(request):
        return True
    try:
        host = requested_host(request.host)
    except ValueError:
        host = ""
    if not is_direct(request) or not is_local(host):
        raise NotAllowed("Sign in over HTTPS, or on this machine at localhost.")
    return False


def _refused(request: web.Request, error: RequestError, template: str, **context: object) -> web.Response:
    """Show a browser the error on the page. Others get the error, which is raised."""
    if "text/html" not in request.headers.get(hdrs.ACCEPT, ""):
        raise error
    note_refusal(request.app, error)
    response = render(request, template, problem=error, chinese=_CHINESE.get(error.code, ""), **context)
    response.set_status(STATUS_BY_CODE[error.code])
    response.headers.update(error.headers)
    return response


def _go_to(address: str) -> web.Response:
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={hdrs.LOCATION: address})
