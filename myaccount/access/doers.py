"""Who makes a change by a request."""

from typing import Final

from aiohttp import web

from ..appkeys import proxies_key
from ..ledger.makers import Doer
from ..observability.log_setup import request_id
from .callers import caller_of

# Of a Unix socket.
NO_ADDRESS: Final = "unknown"


def doer_of(request: web.Request) -> Doer:
    """Return who sends the request. Nobody in particular is called by the address."""
    caller, address = caller_of(request), request.app[proxies_key].client_address(request)
    id_ = caller.id if caller.kind != "nobody" else address or NO_ADDRESS
    return Doer(caller.kind, id_, address, request_id.get())
