"""All routes of the service. The path of an operation stands in its definition."""

from functools import partial
from typing import Any

from aiohttp import web

from .controller import accounts, messages, orders, stream, teams
from .controller.monitoring import healthz, metrics, readyz
from .controller.pages import FILES, ICON, PAGES, errors, file, form, index, messagestest
from .settings.loading import LISTENER_TEST_PATH


def setup_routes(app: web.Application) -> None:
    _post(app, accounts.OPEN_ACCOUNT.path, accounts.openacc)
    _post(app, accounts.QUERY_ACCOUNTS.path, accounts.queryacc)
    _post(app, orders.RECHARGE.path, orders.recharge)
    _post(app, orders.TRANSFER.path, orders.transfer)
    _post(app, orders.QUERY_ORDER.path, orders.querorder)
    _post(app, teams.CHANGE_TEAM.path, teams.team)
    _post(app, teams.WRITE_NOTE.path, teams.teammessage)
    for operation, handler in (
        (messages.LIST_MESSAGES, messages.messages),
        (messages.LIST_TEAM_MESSAGES, messages.teammessages),
    ):
        _post(app, operation.path, handler)
        _get(app, operation.path, handler)
    _post(app, messages.MARK_MESSAGES.path, messages.mark_read)
    _get(app, stream.FOLLOW_MESSAGES.path, stream.stream)
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
