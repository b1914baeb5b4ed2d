"""What hangs on the application and on a request: nothing else does."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from .store.database import Database
    from .store.journal import Journal

database_key: Final[web.AppKey["Database"]] = web.AppKey("database")
journal_key: Final[web.AppKey["Journal"]] = web.AppKey("journal")
announce_key: Final[web.AppKey[Callable[[int], None]]] = web.AppKey("announce")

# Set by a handler whose answer is that of an earlier request with the same order id.
replayed_key: Final[web.RequestKey[bool]] = web.RequestKey("replayed", bool)
