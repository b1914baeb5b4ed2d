"""What hangs on the application and on a request: nothing else does."""

from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from .accounts.holdings import Holding
    from .database.coalescing import Coalescer
    from .database.database import Database
    from .inbox.feed import MessageFeed
    from .journal.writer import Journal
    from .listener.live_notifications import LiveNotifications
    from .listener.queues import EventQueue
    from .observability.refusal_log import Refusals
    from .readiness import Health
    from .settings.schema import Config

config_key: Final[web.AppKey["Config"]] = web.AppKey("config")
database_key: Final[web.AppKey["Database"]] = web.AppKey("database")
account_queries_key: Final[web.AppKey["Coalescer[str, Holding]"]] = web.AppKey("account_queries")
journal_key: Final[web.AppKey["Journal"]] = web.AppKey("journal")
queue_key: Final[web.AppKey["EventQueue"]] = web.AppKey("queue")
feed_key: Final[web.AppKey["MessageFeed"]] = web.AppKey("feed")
health_key: Final[web.AppKey["Health"]] = web.AppKey("health")
notifications_key: Final[web.AppKey["LiveNotifications"]] = web.AppKey("notifications")
# Returns the page that browsers get for an address that there is not.
not_found_page_key: Final[web.AppKey["Callable[[web.Request], web.Response]"]] = web.AppKey("not_found_page")
refusals_key: Final[web.AppKey["Refusals"]] = web.AppKey("refusals")
# Set once the service is ending: whoever is answered from then on is told to come back on another connection.
ending_key: Final[web.AppKey["asyncio.Event"]] = web.AppKey("ending")

# Set for a request that the parser refused: why.
malformed_key: Final[web.RequestKey[BaseException]] = web.RequestKey("malformed", BaseException)

# Set while the client waits for "100 Continue" before it sends its body.
expects_body_key: Final[web.RequestKey[bool]] = web.RequestKey("expects_body", bool)

# Set by a handler whose answer is that of an earlier request with the same order id.
replayed_key: Final[web.RequestKey[bool]] = web.RequestKey("replayed", bool)
