"""The keys of everything that is stored on the application and on requests."""

from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection

    from aiohttp.web_protocol import RequestHandler

    from .access.authentication import Authenticator
    from .access.callers import Caller
    from .access.operators.sessions import Session, Sessions
    from .access.operators.sign_in import SignIn
    from .access.proxies import Proxies
    from .accounts.balances import UserAccounts
    from .database.coalescing import Coalescer
    from .database.database import Database
    from .inbox.catch_up import CatchUp
    from .inbox.feed import MessageFeed
    from .inbox.known_pages import PageQueries
    from .inbox.reading import Marker
    from .journal.order_query import AskedOrder, OrderDescription
    from .journal.writer import Journal
    from .listener.live_notifications import LiveNotifications
    from .listener.queues import EventQueue
    from .observability.refusal_log import Refusals
    from .readiness import Health
    from .settings.schema import Config

config_key: Final[web.AppKey["Config"]] = web.AppKey("config")
# Of a service with `access: keys`.
authenticator_key: Final[web.AppKey["Authenticator"]] = web.AppKey("authenticator")
sessions_key: Final[web.AppKey["Sessions"]] = web.AppKey("sessions")
sign_in_key: Final[web.AppKey["SignIn"]] = web.AppKey("sign_in")
proxies_key: Final[web.AppKey["Proxies"]] = web.AppKey("proxies")
# The scopes of each route, any of which lets a caller in; empty for any caller, None for everybody.
scopes_key: Final[web.AppKey["dict[web.AbstractResource, Collection[str] | None]"]] = web.AppKey("scopes")
database_key: Final[web.AppKey["Database"]] = web.AppKey("database")
account_queries_key: Final[web.AppKey["Coalescer[str, UserAccounts]"]] = web.AppKey("account_queries")
order_queries_key: Final[web.AppKey["Coalescer[AskedOrder, OrderDescription]"]] = web.AppKey("order_queries")
page_queries_key: Final[web.AppKey["PageQueries"]] = web.AppKey("page_queries")
marker_key: Final[web.AppKey["Marker"]] = web.AppKey("marker")
journal_key: Final[web.AppKey["Journal"]] = web.AppKey("journal")
queue_key: Final[web.AppKey["EventQueue"]] = web.AppKey("queue")
catch_up_key: Final[web.AppKey["CatchUp"]] = web.AppKey("catch_up")
feed_key: Final[web.AppKey["MessageFeed"]] = web.AppKey("feed")
health_key: Final[web.AppKey["Health"]] = web.AppKey("health")
notifications_key: Final[web.AppKey["LiveNotifications"]] = web.AppKey("notifications")
# Returns the page that browsers get for an unknown address.
not_found_page_key: Final[web.AppKey["Callable[[web.Request], web.Response]"]] = web.AppKey("not_found_page")
refusals_key: Final[web.AppKey["Refusals"]] = web.AppKey("refusals")
# Set when shutdown begins. From then on, replies close their connections, so that clients open others elsewhere.
ending_key: Final[web.AppKey["asyncio.Event"]] = web.AppKey("ending")
# Makes the connection of a client, where that is no Connection of protocol.py.
connection_key: Final[web.AppKey["Callable[..., RequestHandler]"]] = web.AppKey("connection")

# The parser's error, for a request that is not valid HTTP.
malformed_key: Final[web.RequestKey[BaseException]] = web.RequestKey("malformed", BaseException)

# Set if the client waits for "100 Continue" before it sends its body.
expects_body_key: Final[web.RequestKey[bool]] = web.RequestKey("expects_body", bool)

# Who sends the request. An open service does not ask.
caller_key: Final[web.RequestKey["Caller"]] = web.RequestKey("caller")

# The operator's session by which the request came in, if it did.
session_key: Final[web.RequestKey["Session"]] = web.RequestKey("session")

# Set by a handler that repeats the reply of an earlier request (Idempotent-Replayed).
replayed_key: Final[web.RequestKey[bool]] = web.RequestKey("replayed", bool)
