"""The guard before every route: by which names clients reach the service, and which requests of browsers it takes.

A page of another site can make a browser send requests to this machine, and can have its own name lead here (DNS
rebinding), which makes the replies readable to it. The browser then still names that site. A proxy that somebody
put before the service may name the service's own address instead of that site, but most tell that they forward.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final, cast

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware
from multidict import istr

from ..appkeys import scopes_key
from ..errors import CrossSite, UnknownHost
from ..middlewares import Handler, Reply
from ..problems import DETAIL_BY_CODE
from ..settings.loading import LISTENER_TEST_PATH
from ..settings.schema import Config
from ..system.host_names import is_local, requested_host
from .proxies import Head, Proxies, was_forwarded

# These answer anybody, by any name: load balancers send names of their own, and the service calls the last one at
# its configured address. Their replies hold nothing of a user.
OPEN_PATHS: Final = frozenset(("/healthz", "/readyz", LISTENER_TEST_PATH))
# These methods change nothing.
SAFE_METHODS: Final = frozenset((hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS))
# "none" means that the person did it, for example by an address or a bookmark.
OWN_SITES: Final = frozenset(("same-origin", "none"))
# Clients use few names. Others must not fill the memory.
REMEMBERED_HOSTS: Final = 256
# More than a chain of proxies needs. Each name costs much more than its characters.
FORWARDED_HOSTS_LIMIT: Final = 8

_SEC_FETCH_SITE: Final = istr("Sec-Fetch-Site")


def guard(config: Config) -> Middleware:
    """Return the middleware."""
    check = guard_check(config)

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> Reply:
        check(request)
        # Another site may have links to pages. A reply with data would tell it by its status what there is.
        if _has_data(request) and _is_of_other_site(request):
            raise CrossSite(DETAIL_BY_CODE[CrossSite.code])
        return await handler(request)

    # aiohttp's types allow only handlers that return responses.
    return cast("Middleware", guarded)


def is_checked_by_head(request: Head) -> bool:
    """Whether the outcome of the guard's check depends on the request's head alone, and not on its connection."""
    return not was_forwarded(request) and hdrs.ORIGIN not in request.headers


def guard_check(config: Config) -> Callable[[Head], None]:
    """Return the check of a request before its body is read.

    It raises UnknownHost and CrossSite.
    """
    named = frozenset(config["hosts"])
    # A key is proof enough: a browser cannot be made to send it by another name.
    any_name = config.get("access") == "keys"
    proxies = Proxies(config["trusted_proxies"])

    @lru_cache(REMEMBERED_HOSTS)
    def known(header: str, *, by_loopback: bool) -> bool:
        try:
            host = requested_host(header)
        except ValueError:
            return False
        return any_name or host in named or (by_loopback and is_local(host))

    def is_known(request: Head, hosts: list[str]) -> bool:
        if not hosts or not all(known(host, by_loopback=True) for host in hosts):
            return False
        # Clients of a proxy are on other machines, for which the service's own address is no name of it.
        if any_name or not was_forwarded(request) or proxies.is_client_local(request):
            return True
        return any(known(host, by_loopback=False) for host in hosts)

    def is_cross_site(request: Head, hosts: list[str]) -> bool:
        if _is_of_other_site(request):
            return True
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None:
            return False
        # An origin of `null` has no host.
        scheme, _, host = origin.partition("://")
        if host not in hosts:
            return True
        # With Sec-Fetch-Site the browser has compared the scheme, which proxies with TLS often do not tell.
        return _SEC_FETCH_SITE not in request.headers and scheme != proxies.scheme(request)

    def check(request: Head) -> None:
        hosts = _hosts(request)
        if not is_known(request, hosts) and request.rel_url.raw_path not in OPEN_PATHS:
            raise UnknownHost(DETAIL_BY_CODE[UnknownHost.code])
        if request.method not in SAFE_METHODS and is_cross_site(request, hosts):
            raise CrossSite(DETAIL_BY_CODE[CrossSite.code])

    return check


def _hosts(request: Head) -> list[str]:
    """Return each name, with its port, by which the request says that it reaches the service: none if too many.

    A proxy that replaces Host usually tells the original. The target of a request may name a host as well.
    """
    headers = request.headers
    # HTTP/1.0 needs no Host. The parser refuses two.
    hosts = [headers.get(hdrs.HOST, "")]
    if hdrs.X_FORWARDED_HOST in headers:
        forwarded = ",".join(headers.getall(hdrs.X_FORWARDED_HOST))
        if forwarded.count(",") >= FORWARDED_HOSTS_LIMIT:
            return []
        hosts += [host.strip(" \t") for host in forwarded.split(",")]
    target = request.raw_path
    if not target.startswith(("/", "*")):
        hosts.append(target.partition("://")[2].partition("/")[0])
    return hosts


def _is_of_other_site(request: Head | web.Request) -> bool:
    """Whether the browser says that another site caused the request."""
    return request.headers.get(_SEC_FETCH_SITE, "none") not in OWN_SITES


def _has_data(request: web.Request) -> bool:
    """Whether the route wants a scope: pages, files and health want none."""
    resource = request.match_info.route.resource
    return resource is not None and bool(request.app[scopes_key][resource])
