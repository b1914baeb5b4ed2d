"""create_app: the only place where the rooms are put together."""

if __name__ == "__main__":
    # Run as a file, as an IDE's Run button does: the package is then not on the path, but this folder is,
    # where our modules' names would hide others.
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from myaccount.cli import main

    sys.exit(main())

import gc
from collections.abc import AsyncIterator
from typing import Final

import aiohttp_jinja2
import jinja2
from aiohttp import web

from .configuration import Config
from .keys import account_queries_key, config_key, database_key, journal_key, listener_key, queue_key
from .listener.callback import open_handlers
from .listener.listener import Listener
from .listener.queues import MemoryQueue
from .logsetup import protocol_logger
from .middlewares import MIDDLEWARES
from .resources import resource, working_path
from .routes import setup_routes
from .service.accounts import account_queries
from .store.database import open_database
from .store.journal import Journal
from .store.schema import prepare_schema

BODY_LIMIT_BYTES: Final = 16 * 1024
# Hundreds of orders under way are many young objects: at Python's own 700 the collector goes through them again
# and again, and finds next to nothing (a twelfth of the processor time, a third of the 99th percentile's latency).
YOUNG_OBJECTS_LIMIT: Final = 10_000


def create_app(config: Config) -> web.Application:
    """Return the service, ready to be run; its resources open when it starts and close when it ends."""
    gc.set_threshold(YOUNG_OBJECTS_LIMIT)
    # Bodies are taken as they are, so none is unpacked, not even to be thrown away.
    protocol = {"logger": protocol_logger, "auto_decompress": False}
    app = web.Application(middlewares=MIDDLEWARES, client_max_size=BODY_LIMIT_BYTES, handler_args=protocol)
    app[config_key] = config
    aiohttp_jinja2.setup(app, loader=jinja2.FileSystemLoader(resource("templates")), autoescape=True)
    setup_routes(app)
    # Each needs those before it; they are closed in the opposite order.
    app.cleanup_ctx.extend([database_context, queue_context, journal_context, listener_context])
    # Before the last requests are waited for, or the listener's calls to ourselves would keep them coming.
    app.on_shutdown.append(stop_listener)
    return app


async def database_context(app: web.Application) -> AsyncIterator[None]:
    config = app[config_key]
    async with open_database(config, working_path(config["sqlite_file"])) as database:
        await prepare_schema(database, embedded="mysql" not in config)
        app[database_key] = database
        app[account_queries_key] = account_queries(database)
        yield


async def queue_context(app: web.Application) -> AsyncIterator[None]:
    config = app[config_key]
    if "redis" not in config:
        app[queue_key] = MemoryQueue()
        yield
        return
    # Loaded only where it is used: it is a part of the embedded service's start and memory worth sparing.
    from .listener.redis_queue import RedisQueue

    # Services that share a Redis each have a database of their own, and so a stream of their own.
    async with RedisQueue(config["redis"], f"myaccount:{app[database_key].name}:events") as queue:
        app[queue_key] = queue
        yield


async def journal_context(app: web.Application) -> AsyncIterator[None]:
    async with Journal(app[database_key], **app[config_key]["journal"]) as journal:
        app[journal_key] = journal
        yield


async def listener_context(app: web.Application) -> AsyncIterator[None]:
    async with (
        open_handlers(app[config_key]) as handlers,
        Listener(app[database_key], app[queue_key], handlers) as listener,
    ):
        app[listener_key] = listener
        yield


async def stop_listener(app: web.Application) -> None:
    await app[listener_key].stop()
