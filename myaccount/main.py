"""create_app: the only place where the rooms are put together."""

if __name__ == "__main__":
    # Run as a file, as an IDE's Run button does: the package is then not on the path, but this folder is,
    # where our modules' names would hide others.
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from myaccount.cli import main

    sys.exit(main())

from collections.abc import AsyncIterator

import aiohttp_jinja2
import jinja2
from aiohttp import web

from .configuration import Config
from .keys import announce_key, database_key, journal_key
from .listener.callback import open_handlers
from .listener.listener import Listener, run_listener
from .listener.queues import open_queue
from .middlewares import MIDDLEWARES
from .resources import resource, working_path
from .routes import setup_routes
from .store.database import open_database
from .store.journal import Journal
from .store.schema import prepare_schema

BODY_LIMIT_BYTES = 16 * 1024


def create_app(config: Config) -> web.Application:
    """Return the service, ready to be run; its resources open when it starts and close when it ends."""
    app = web.Application(middlewares=MIDDLEWARES, client_max_size=BODY_LIMIT_BYTES)
    aiohttp_jinja2.setup(app, loader=jinja2.FileSystemLoader(resource("templates")), autoescape=True)
    setup_routes(app)

    async def resources(app: web.Application) -> AsyncIterator[None]:
        # Closed in the opposite order: first the listener, and the database last.
        async with (
            open_database(config, working_path(config["sqlite_file"])) as database,
            open_queue(config) as queue,
            open_handlers(config) as handlers,
        ):
            await prepare_schema(database, embedded="mysql" not in config)
            app[database_key] = database
            app[announce_key] = queue.announce
            async with Journal(database) as journal, run_listener(Listener(database, queue, handlers)):
                app[journal_key] = journal
                yield

    app.cleanup_ctx.append(resources)
    return app
