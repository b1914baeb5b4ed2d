"""aiohttp's ceiling: the form of a transfer parsed, and a constant answered."""

from aiohttp import web


async def transfer(request: web.Request) -> web.Response:
    form = await request.post()
    assert len(form) == 4  # noqa: S101 - the parsing is what is measured
    return web.json_response({"result": 1})


async def application() -> web.Application:
    app = web.Application()
    app.router.add_post("/transfer", transfer)
    return app
