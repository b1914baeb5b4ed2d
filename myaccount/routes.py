"""All routes of the service. The path of an operation stands in its definition."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, NamedTuple

from aiohttp import web

from .access.callers import Caller, caller_of
from .appkeys import scopes_key
from .controller import (
    account_settings,
    accounts,
    audit_page,
    bulk,
    bulk_orders,
    holds,
    messages,
    orders,
    stream,
    teams,
    user_tokens,
)
from .controller.monitoring import healthz, metrics, readyz
from .controller.operation import Operation
from .controller.operator_pages import (
    account,
    change_password,
    end_other_sessions,
    sign_in,
    sign_in_page,
    sign_out,
)
from .controller.pages import FILES, ICON, PAGES, errors, file, form, index, messagestest
from .controller.submitting import More, made_by_caller, sent_now, submit, submit_change
from .settings.loading import LISTENER_TEST_PATH

# Those of a route: a caller needs one of them.
Scopes = tuple[str, ...] | None


def _as_found(made: object, caller: Caller, found: bytes) -> bytes:
    return found


class Query(NamedTuple):
    """How a query is answered: `find` is awaited, and `text` makes the reply of what was found.

    Both take what the operation makes of the fields, and the caller. A page is found as its text.
    """

    find: Callable[[Any, Caller, web.Application], Awaitable[Any]]
    text: Callable[[Any, Caller, Any], bytes] = _as_found


class Route(NamedTuple):
    """How clients reach an operation."""

    operation: Operation[Any]
    # It takes the request.
    handler: Any
    methods: tuple[str, ...] = ("POST",)


def _change(operation: Operation[Any]) -> Route:
    return Route(operation, partial(submit_change, operation))


def _command(operation: Operation[Any]) -> Route:
    return Route(operation, partial(submit, operation, COMMANDS[operation]))


def _query(operation: Operation[Any], *methods: str) -> Route:
    return Route(operation, partial(_reply_to_query, operation), methods or ("POST",))


async def _reply_to_query(operation: Operation[Any], request: web.Request) -> bytes:
    query, made, caller = QUERIES[operation], await operation.read(request), caller_of(request)
    return query.text(made, caller, await query.find(made, caller, request.app))


# Any known caller: a page has nothing of anybody, but it shows what the service is.
ANY: Final = ()
# Everybody: these reply nothing of anybody.
EVERYBODY: Final = None

ORDERS: Final[tuple[Operation[Any], ...]] = (
    orders.RECHARGE,
    orders.TRANSFER,
    orders.WITHDRAW,
    orders.REFUND,
    holds.HOLD,
    holds.CAPTURE,
    holds.RELEASE,
    holds.EXTEND,
)
# These and the queries below may take the fast path: they need nothing of HTTP.
COMMANDS: Final[dict[Operation[Any], More]] = {
    accounts.OPEN_ACCOUNT: sent_now,
    accounts.ADD_ACCOUNT: sent_now,
    **dict.fromkeys(ORDERS, made_by_caller),
}
QUERIES: Final[dict[Operation[Any], Query]] = {
    accounts.QUERY_ACCOUNTS: Query(accounts.find_accounts, accounts.accounts_text),
    orders.QUERY_ORDER: Query(orders.find_order, orders.order_text),
    messages.LIST_MESSAGES: Query(messages.messages),
    messages.LIST_TEAM_MESSAGES: Query(messages.teammessages),
}
ROUTES: Final = (
    _command(accounts.OPEN_ACCOUNT),
    _command(accounts.ADD_ACCOUNT),
    _query(accounts.QUERY_ACCOUNTS),
    _change(account_settings.FREEZE),
    _change(account_settings.CLOSE),
    _change(account_settings.LIMIT),
    Route(account_settings.ACCOUNT_LOG, account_settings.accountlog, ("POST", "GET")),
    *map(_command, ORDERS),
    Route(bulk_orders.BULK, bulk.bulk),
    _query(orders.QUERY_ORDER),
    _query(messages.LIST_MESSAGES, "POST", "GET"),
    _query(messages.LIST_TEAM_MESSAGES, "POST", "GET"),
    Route(messages.MARK_MESSAGES, messages.mark_read),
    Route(stream.FOLLOW_MESSAGES, stream.stream, ("GET",)),
    Route(teams.CHANGE_TEAM, teams.team),
    Route(teams.WRITE_NOTE, teams.teammessage),
    Route(user_tokens.USER_TOKEN, user_tokens.usertoken),
    Route(audit_page.AUDIT, audit_page.audit, ("POST", "GET")),
)
# Each operation of the service once.
OPERATIONS: Final = tuple(route.operation for route in ROUTES)


def setup_routes(app: web.Application) -> None:
    app[scopes_key] = {}
    for route in ROUTES:
        for method in route.methods:
            add = _get if method == "GET" else _post
            add(app, route.operation.path, route.handler, route.operation.scopes)
    _post(app, LISTENER_TEST_PATH, accounts.opeacclistentest, EVERYBODY)
    _get(app, LISTENER_TEST_PATH, accounts.opeacclistentest, EVERYBODY)
    _get(app, "/healthz", healthz, EVERYBODY)
    _get(app, "/readyz", readyz, EVERYBODY)
    _get(app, "/", index, ANY)
    _get(app, "/errors", errors, ANY)
    _get(app, "/messagestest", messagestest, ANY)
    for page in PAGES:
        for address in page.paths:
            _get(app, address, partial(form, page), ANY)
    # Browsers request the icon by themselves, also for replies that are no pages.
    _get(app, "/favicon.ico", partial(file, ICON), EVERYBODY)
    for name in FILES:
        _get(app, f"/static/{name}", partial(file, name), EVERYBODY)


def setup_sign_in_routes(app: web.Application) -> None:
    """Add the routes by which operators sign in, and those of their own accounts."""
    _get(app, "/signin", sign_in_page, EVERYBODY)
    _post(app, "/signin", sign_in, EVERYBODY)
    _post(app, "/signout", sign_out, ANY)
    _get(app, "/account", account, ANY)
    _post(app, "/account/password", change_password, ANY)
    _post(app, "/account/sessions", end_other_sessions, ANY)


def setup_operations_routes(app: web.Application) -> None:
    """Add the routes of the operations port: metrics and health."""
    app[scopes_key] = {}
    _get(app, "/healthz", healthz, EVERYBODY)
    _get(app, "/readyz", readyz, EVERYBODY)
    _get(app, "/metrics", metrics, ("operate",))


# Handlers return what render_replies turns into a response. aiohttp's types allow responses only.
def _post(app: web.Application, path: str, handler: Any, scopes: Scopes) -> None:
    _note(app, app.router.add_post(path, handler), scopes)


def _get(app: web.Application, path: str, handler: Any, scopes: Scopes) -> None:
    _note(app, app.router.add_get(path, handler), scopes)


def _note(app: web.Application, route: web.AbstractRoute, scopes: Scopes) -> None:
    # All methods of a path have one resource.
    assert route.resource is not None  # noqa: S101 - for its type
    app[scopes_key][route.resource] = scopes
