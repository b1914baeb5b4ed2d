"""create_app: the only place where the parts of the service are connected."""

if __name__ == "__main__":
    # Run as a file, as an IDE's Run button does. Python has put this folder on the path, where the names of its
    # modules would hide libraries; its parent belongs there.
    import runpy
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    runpy.run_module("myaccount", run_name="__main__", alter_sys=True)

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, nullcontext
from functools import partial
from typing import Final

import aiohttp_jinja2
from aiohttp import web

from .access.authentication import Authenticator
from .access.authorisation import authentication
from .access.guard import guard
from .access.operators.sessions import Sessions
from .access.operators.sign_in import SignIn
from .access.proxies import Proxies
from .access.rates import Rates, Take, take_all
from .accounts.balances import account_queries
from .appkeys import (
    account_queries_key,
    authenticator_key,
    catch_up_key,
    config_key,
    database_key,
    ending_key,
    feed_key,
    health_key,
    journal_key,
    marker_key,
    not_found_page_key,
    notifications_key,
    order_queries_key,
    page_queries_key,
    proxies_key,
    queue_key,
    refusals_key,
    sessions_key,
    sign_in_key,
)
from .controller.messages import page_text
from .controller.pages import not_found
from .database.database import Database, open_database
from .database.embedded_file import serve_lock
from .database.start_errors import DatabaseAway
from .fast_path import fast_path_context
from .inbox.catch_up import CatchUp
from .inbox.feed import MessageFeed
from .inbox.known_pages import PageQueries
from .inbox.reading import Marker
from .journal.order_query import order_queries
from .journal.writer import Journal
from .listener.hold_sweeper import HoldSweeper
from .listener.live_notifications import LiveNotifications
from .listener.queues import MemoryQueue
from .listener.relay import Relay
from .middlewares import MIDDLEWARES
from .migrations.startup import find_schema_time, prepare_schema
from .observability.log_setup import protocol_logger
from .observability.refusal_log import Refusals
from .operations_port import operations_context
from .readiness import Health
from .replies import complete_headers
from .routes import setup_routes, setup_sign_in_routes
from .serving import end_process
from .settings.loading import callbacks_of
from .settings.paths import template_loader, working_path
from .settings.schema import Config
from .webhooks.endpoint import open_endpoints

_logger = logging.getLogger(__name__)

# Hundreds of concurrent orders are many young objects. With Python's default of 700 the garbage collector scans
# them again and again and frees next to nothing, for 8% of the processor time and a third of the 99th percentile.
YOUNG_OBJECTS_LIMIT: Final = 10_000


def create_app(config: Config, *, database_needed: bool = True) -> web.Application:
    """Return the service. Its resources open when it starts, and close when it ends.

    Without its database it does not start or, if `database_needed` is false, answers with a 503 until it is back.
    """
    gc.set_threshold(YOUNG_OBJECTS_LIMIT)
    # No body is decompressed, not even one that is discarded: a small one could become huge.
    protocol = {"logger": protocol_logger, "auto_decompress": False}
    middlewares = (*MIDDLEWARES, guard(config), *authentication(config))
    app = web.Application(middlewares=middlewares, handler_args=protocol)
    app[config_key] = config
    app[proxies_key] = Proxies(config["trusted_proxies"])
    app[ending_key] = asyncio.Event()
    app.on_response_prepare.append(complete_headers)
    aiohttp_jinja2.setup(app, loader=template_loader("templates"), autoescape=True)
    app[not_found_page_key] = not_found
    setup_routes(app)
    if config.get("access") == "keys":
        setup_sign_in_routes(app)
    # Each needs the ones before it. They close in reverse order.
    database = partial(database_context, needed=database_needed)
    app.cleanup_ctx.extend(
        [
            sole_process_context,
            refusals_context,
            database,
            gate_context,
            operators_context,
            queue_context,
            notifications_context,
            journal_context,
            health_context,
        ]
    )
    if config["listener"]["enabled"]:
        app.cleanup_ctx.append(listener_context)
    if "metrics" in config:
        app.cleanup_ctx.append(operations_context)
    if config["fast_path"]:
        app.cleanup_ctx.append(fast_path_context)
    # Runs before open connections are waited for, because a stream never ends by itself.
    app.on_shutdown.append(close_streams)
    return app


def create_listener(config: Config) -> web.Application:
    """Return a process that only listens: an application with resources, but without routes or a port."""
    app = web.Application()
    app[config_key] = config
    app[ending_key] = asyncio.Event()
    app.cleanup_ctx.extend(
        [database_context, gate_context, queue_context, notifications_context, health_context, listener_context]
    )
    if "metrics" in config:
        app.cleanup_ctx.append(operations_context)
    return app


async def refusals_context(app: web.Application) -> AsyncIterator[None]:
    app[refusals_key] = Refusals()
    yield
    app[refusals_key].close()


async def sole_process_context(app: web.Application) -> AsyncIterator[None]:
    """Lock the embedded file against other services. `myaccount listen` may run beside this one."""
    config = app[config_key]
    with nullcontext() if "mysql" in config else serve_lock(working_path(config["sqlite_file"])):
        yield


async def database_context(app: web.Application, *, needed: bool = True) -> AsyncIterator[None]:
    config = app[config_key]
    async with open_database(config, working_path(config["sqlite_file"])) as database:
        try:
            await prepare_schema(database)
        except DatabaseAway as error:
            if needed:
                raise
            _logger.error("The database is away. The service starts without it and waits for it: %s", error)
        app[database_key] = database
        app[account_queries_key] = account_queries(database)
        app[order_queries_key] = order_queries(database)
        app[marker_key] = Marker(database)
        app[catch_up_key] = CatchUp(database)
        app[page_queries_key] = PageQueries(database, app[catch_up_key], page_text)
        app[feed_key] = MessageFeed(database, app[catch_up_key])
        yield
        await app[account_queries_key].close()
        await app[order_queries_key].close()
        await app[page_queries_key].close()
        await app[feed_key].close()
        await app[catch_up_key].close()


async def gate_context(app: web.Application) -> AsyncIterator[None]:
    config, database = app[config_key], app[database_key]
    async with AsyncExitStack() as stack:
        take: Take = take_all
        has_keys = config.get("access") == "keys"
        if has_keys and "redis" in config:
            from .access.shared_counts import SharedCounts

            find_name = partial(redis_name, database, "rates")
            take = (await stack.enter_async_context(SharedCounts(config["redis"], find_name))).take
        app[authenticator_key] = Authenticator(database, Rates(take))
        if has_keys:
            app[authenticator_key].keep_time()
        yield
        await app[authenticator_key].close()


async def operators_context(app: web.Application) -> AsyncIterator[None]:
    app[sessions_key] = Sessions(app[database_key], app[authenticator_key])
    app[sign_in_key] = SignIn(app[database_key], app[authenticator_key])
    yield
    app[sign_in_key].close()
    await app[sessions_key].close()


async def queue_context(app: web.Application) -> AsyncIterator[None]:
    config = app[config_key]
    if "redis" not in config:
        app[queue_key] = MemoryQueue()
        yield
        return
    # Imported only where it is used, which saves start time and memory of the embedded service.
    from .listener.redis_queue import RedisQueue

    async with RedisQueue(config["redis"], partial(redis_name, app[database_key], "events")) as queue:
        app[queue_key] = queue
        yield


async def notifications_context(app: web.Application) -> AsyncIterator[None]:
    config = app[config_key]
    if "redis" not in config:
        async with LiveNotifications() as app[notifications_key]:
            yield
        return
    from .listener.redis_notifications import RedisLiveNotifications

    find_name = partial(redis_name, app[database_key], "live")
    async with RedisLiveNotifications(config["redis"], find_name) as app[notifications_key]:
        yield


async def journal_context(app: web.Application) -> AsyncIterator[None]:
    await app[database_key].open_batch_connection()
    config = app[config_key]
    async with Journal(
        app[database_key],
        app[queue_key].announce,
        app[notifications_key].publish,
        callback_types=frozenset(type_ for callback in callbacks_of(config) for type_ in callback["events"]),
        broken=end_process,
        **config["journal"],
    ) as journal:
        app[journal_key] = journal
        async with HoldSweeper(app[database_key], journal, app[queue_key].announce):
            yield


async def health_context(app: web.Application) -> AsyncIterator[None]:
    callbacks = callbacks_of(app[config_key])
    app[health_key] = Health(app[database_key], app.get(journal_key), app[queue_key].redis_state, callbacks)
    yield
    await app[health_key].close()


async def listener_context(app: web.Application) -> AsyncIterator[None]:
    database = app[database_key]
    async with AsyncExitStack() as stack:
        endpoints = await stack.enter_async_context(open_endpoints(database, callbacks_of(app[config_key])))
        await stack.enter_async_context(Relay(database, app[queue_key], app[notifications_key], endpoints))

        # Its callbacks to this service would otherwise keep new requests coming, and connections open.
        async def stop(app: web.Application) -> None:
            await stack.aclose()

        app.on_shutdown.append(stop)
        yield


async def close_streams(app: web.Application) -> None:
    app[notifications_key].close()


async def redis_name(database: Database, what: str) -> str:
    """Return the name of a key or channel in Redis that only the services of this database share.

    It has the time at which the schema was made, because databases on different servers may have the same name.
    Raises Unavailable while the database is away.
    """
    made_at = await database.read(find_schema_time)
    return f"myaccount:{database.name}:{made_at:%Y%m%d%H%M%S%f}:{what}"
