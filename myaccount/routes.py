"""Every address of the service."""

from aiohttp import web

from .controller.accounts import opeacclistentest, openacc, queryacc
from .controller.orders import querorder, recharge, transfer
from .controller.pages import page_routes
from .resources import resource


def setup_routes(app: web.Application) -> None:
    # The middleware turns what a handler returns into a response, which aiohttp's types do not know.
    app.add_routes(
        [
            web.post("/openacc", openacc),  # type: ignore[arg-type]
            web.post("/queryacc", queryacc),  # type: ignore[arg-type]
            web.post("/recharge", recharge),  # type: ignore[arg-type]
            web.post("/transfer", transfer),  # type: ignore[arg-type]
            web.post("/querorder", querorder),  # type: ignore[arg-type]
            web.get("/opeacclistentest", opeacclistentest),  # type: ignore[arg-type]
            *page_routes(),
            web.static("/static", resource("templates/static")),
        ]
    )
