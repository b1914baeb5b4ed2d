"""Receives callbacks and answers at once: python -m bench.peers.receiver PORT."""

import sys

from aiohttp import web


async def receive(request: web.Request) -> web.Response:
    await request.read()
    return web.Response()


def main() -> None:
    application = web.Application(client_max_size=2**24)
    application.router.add_route("*", "/", receive)
    web.run_app(application, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)


if __name__ == "__main__":
    main()
