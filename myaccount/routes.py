"""Every address of the service."""

from functools import partial
from typing import Any

from aiohttp import web

from .controller.accounts import opeacclistentest, openacc, queryacc
from .controller.messages import messages, read, teammessages
from .controller.operations import healthz, metrics, readyz
from .controller.orders import querorder, recharge, transfer
from .controller.pages import FILES, ICON, PAGES, errors, file, form, index, messagestest
from .controller.stream import stream
from .controller.teams import team, teammessage


def setup_routes(app: web.Application) -> None:
    _post(app, "/openacc", openacc)
    _post(app, "/queryacc", queryacc)
    _post(app, "/recharge", recharge)
    _post(app, "/transfer", transfer)
    _post(app, "/querorder", querorder)
    _post(app, "/team", team)
    _post(app, "/teammessage", teammessage)
    for path, handler in (("/messages", messages), ("/teammessages", teammessages)):
        _post(app, path, handler)
        _get(app, path, handler)
    _post(app, "/messages/read", read)
    _get(app, "/messages/stream", stream)
    _post(app, "/opeacclistentest", opeacclistentest)
    _get(app, "/opeacclistentest", opeacclistentest)
    _get(app, "/healthz", healthz)
    _get(app, "/readyz", readyz)
    _get(app, "/", index)
    _get(app, "/errors", errors)
    _get(app, "/messagestest", messagestest)
    for page in PAGES:
        for address in page.paths:
            _get(app, address, partial(form, page))
    # Browsers ask for it by themselves, with JSON or text in the window as well.
    _get(app, "/favicon.ico", partial(file, ICON))
    for static in FILES:
        _get(app, f"/static/{static.name}", partial(file, static))


def setup_operations_routes(app: web.Application) -> None:
    """Set up what is for those who watch over the service, and not for its clients."""
    _get(app, "/healthz", healthz)
    _get(app, "/readyz", readyz)
    _get(app, "/metrics", metrics)


# The handlers return what the middleware renders, which aiohttp's types do not know.
def _post(app: web.Application, path: str, handler: Any) -> None:
    app.router.add_post(path, handler)


def _get(app: web.Application, path: str, handler: Any) -> None:
    app.router.add_get(path, handler)
