"""All routes of the service. The path of an operation stands in its definition."""

from functools import partial
from typing import Any, Final, NamedTuple

from aiohttp import web

from .controller import account_settings, accounts, bulk, bulk_orders, holds, messages, orders, stream, teams
from .controller.monitoring import healthz, metrics, readyz
from .controller.operation import Operation
from .controller.pages import FILES, ICON, PAGES, errors, file, form, index, messagestest
from .controller.submitting import submit
from .settings.loading import LISTENER_TEST_PATH


class Route(NamedTuple):
    """How clients reach an operation."""

    operation: Operation[Any]
    # It takes the request.
    handler: Any
    methods: tuple[str, ...] = ("POST",)


def _submitted(operation: Operation[Any]) -> Route:
    """Return the route of an operation whose command the journal decides."""
    return Route(operation, partial(submit, operation))


ROUTES: Final = (
    Route(accounts.OPEN_ACCOUNT, accounts.openacc),
    Route(accounts.ADD_ACCOUNT, accounts.addaccount),
    Route(accounts.QUERY_ACCOUNTS, accounts.queryacc),
    _submitted(account_settings.FREEZE),
    _submitted(account_settings.CLOSE),
    _submitted(account_settings.LIMIT),
    Route(account_settings.ACCOUNT_LOG, account_settings.accountlog, ("POST", "GET")),
    _submitted(orders.RECHARGE),
    _submitted(orders.TRANSFER),
    _submitted(orders.WITHDRAW),
    _submitted(orders.REFUND),
    _submitted(holds.HOLD),
    _submitted(holds.CAPTURE),
    _submitted(holds.RELEASE),
    _submitted(holds.EXTEND),
    Route(bulk_orders.BULK, bulk.bulk),
    Route(orders.QUERY_ORDER, orders.querorder),
    Route(messages.LIST_MESSAGES, messages.messages, ("POST", "GET")),
    Route(messages.LIST_TEAM_MESSAGES, messages.teammessages, ("POST", "GET")),
    Route(messages.MARK_MESSAGES, messages.mark_read),
    Route(stream.FOLLOW_MESSAGES, stream.stream, ("GET",)),
    Route(teams.CHANGE_TEAM, teams.team),
    Route(teams.WRITE_NOTE, teams.teammessage),
)
# Each operation of the service once.
OPERATIONS: Final = tuple(route.operation for route in ROUTES)


def setup_routes(app: web.Application) -> None:
    for route in ROUTES:
        for method in route.methods:
            (_get if method == "GET" else _post)(app, route.operation.path, route.handler)
    _post(app, LISTENER_TEST_PATH, accounts.opeacclistentest)
    _get(app, LISTENER_TEST_PATH, accounts.opeacclistentest)
    _get(app, "/healthz", healthz)
    _get(app, "/readyz", readyz)
    _get(app, "/", index)
    _get(app, "/errors", errors)
    _get(app, "/messagestest", messagestest)
    for page in PAGES:
        for address in page.paths:
            _get(app, address, partial(form, page))
    # Browsers request the icon by themselves, also for replies that are no pages.
    _get(app, "/favicon.ico", partial(file, ICON))
    for name in FILES:
        _get(app, f"/static/{name}", partial(file, name))


def setup_operations_routes(app: web.Application) -> None:
    """Add the routes of the operations port: metrics and health."""
    _get(app, "/healthz", healthz)
    _get(app, "/readyz", readyz)
    _get(app, "/metrics", metrics)


# Handlers return what render_replies turns into a response. aiohttp's types allow responses only.
def _post(app: web.Application, path: str, handler: Any) -> None:
    app.router.add_post(path, handler)


def _get(app: web.Application, path: str, handler: Any) -> None:
    app.router.add_get(path, handler)
