"""What hangs on the application and on a request: nothing else does."""

from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    import asyncio

    from .listener.live import Live
    from .listener.queues import EventQueue
    from .service.health import Health
    from .service.messages import News
    from .settings import Config
    from .store.accounts import Holding
    from .store.database import Database
    from .store.journal import Journal
    from .store.together import Together

config_key: Final[web.AppKey["Config"]] = web.AppKey("config")
database_key: Final[web.AppKey["Database"]] = web.AppKey("database")
account_queries_key: Final[web.AppKey["Together[str, Holding]"]] = web.AppKey("account_queries")
journal_key: Final[web.AppKey["Journal"]] = web.AppKey("journal")
queue_key: Final[web.AppKey["EventQueue"]] = web.AppKey("queue")
news_key: Final[web.AppKey["News"]] = web.AppKey("news")
health_key: Final[web.AppKey["Health"]] = web.AppKey("health")
live_key: Final[web.AppKey["Live"]] = web.AppKey("live")
# Set once the service is ending: whoever is answered from then on is told to come back on another connection.
ending_key: Final[web.AppKey["asyncio.Event"]] = web.AppKey("ending")

# Set by a handler whose answer is that of an earlier request with the same order id.
replayed_key: Final[web.RequestKey[bool]] = web.RequestKey("replayed", bool)
