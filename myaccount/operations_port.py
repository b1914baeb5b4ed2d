"""The operations port: metrics and health. It serves no other route, and the public port does not serve metrics.

Each process opens it, so that it exists however the service is started. The workers of one gunicorn share it, and
the system spreads its connections over them.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from .access.authorisation import authentication
from .access.guard import guard
from .appkeys import authenticator_key, config_key, database_key, ending_key, health_key, journal_key
from .middlewares import OPERATIONS_MIDDLEWARES
from .observability.metrics import (
    CONNECTIONS,
    CONNECTIONS_LIMIT,
    PROCESSES,
    STARTS,
    WAITING_AGE,
    WAITING_COMMANDS,
    count_noted,
)
from .observability.slot_values import MULTIPROCESS
from .protocol import Runner
from .replies import complete_headers
from .routes import setup_operations_routes
from .serving import open_site

_logger: Final = logging.getLogger(__name__)

SAMPLE_SECONDS: Final = 1
# The longest that a reply of this port takes.
SHUTDOWN_SECONDS: Final = 1


async def operations_context(app: web.Application) -> AsyncIterator[None]:
    """Serve the port. Raises OSError if it is in use."""
    config = app[config_key]
    operations = web.Application(middlewares=(*OPERATIONS_MIDDLEWARES, guard(config), *authentication(config)))
    operations.on_response_prepare.append(complete_headers)
    operations[ending_key] = app[ending_key]
    operations[health_key] = app[health_key]
    operations[authenticator_key] = app[authenticator_key]
    setup_operations_routes(operations)
    runner = Runner(operations, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    address = config["metrics"]
    try:
        await open_site(runner, "metrics.", address["host"], address["port"], reuse_port=MULTIPROCESS)
        sampling = asyncio.create_task(_sample(app), name="metrics sampler")
        STARTS.inc()
        PROCESSES.set(1)
        yield
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
    finally:
        count_noted()
        await runner.cleanup()


async def _sample(app: web.Application) -> None:
    """Update, once a second and for ever, the metrics that are too expensive to update with each request."""
    journal, database = app.get(journal_key), app[database_key]
    while True:
        try:
            count_noted()
            if journal is not None:
                WAITING_COMMANDS.set(journal.waiting)
                WAITING_AGE.set(journal.oldest_seconds)
            used, limit = database.connections()
            CONNECTIONS.set(used)
            CONNECTIONS_LIMIT.set(limit)
        except Exception:
            _logger.exception("The metrics could not be sampled. They are sampled again in a second.")
        await asyncio.sleep(SAMPLE_SECONDS)
