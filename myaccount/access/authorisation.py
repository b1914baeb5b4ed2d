"""Authorisation: a request comes in if its key, token or session works and has a scope of the route."""

import re
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Final, cast

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from ..appkeys import authenticator_key, caller_key, proxies_key, scopes_key, session_key, sessions_key
from ..errors import NotAllowed, RateLimited, RequestError, Unauthenticated
from ..middlewares import Handler, Reply
from ..settings.schema import Config
from .authentication import Authenticator
from .callers import Caller
from .key_cache import KEY_HEADER
from .operators.cookies import find_cookie
from .scopes import OWN

_TOKEN: Final = re.compile(r"(?i:bearer) +([A-Za-z0-9._-]+)")
# Browsers follow it without headers of their own, so it takes a user's token in the address as well.
STREAM_PATH: Final = "/messages/stream"


def authentication(config: Config) -> tuple[Middleware, ...]:
    """Return the middleware, if the service has keys."""
    # aiohttp's types allow only handlers that return responses.
    return (cast("Middleware", _authenticate),) if config.get("access") == "keys" else ()


@web.middleware
async def _authenticate(request: web.Request, handler: Handler) -> Reply:
    """Refuse callers whose route wants another scope; callers that are not known on most routes.

    Raises Unauthenticated, NotAllowed, RateLimited, and Unavailable if the keys cannot be read.
    """
    resource = request.match_info.route.resource
    # There is nothing to protect at an unknown address.
    scopes = None if resource is None else request.app[scopes_key][resource]
    if scopes is not None:
        caller = await _find_caller(request)
        if caller is None and not scopes and "text/html" in request.headers.get(hdrs.ACCEPT, ""):
            # A person with a browser, who wants a page.
            return _to_sign_in(request)
        if caller is None:
            # The same for each fault, so that nobody learns which ids there are.
            raise Unauthenticated(
                "Send a valid API key in the header: Authorization: Bearer mak_... People sign in at /signin."
            )
        if caller.rate is not None and not await request.app[authenticator_key].rates.allow(caller.rate):
            raise RateLimited(f"This key may send {caller.rate.per_second} requests a second.")
        if scopes and caller.scopes.isdisjoint(scopes):
            raise NotAllowed(f"This needs the scope {_listed(scopes)}.")
        request[caller_key] = caller
        if session_key in request:
            await request.app[sessions_key].note_use(request[session_key])
        # A stream stays, and has a limit of its own.
        if caller.kind == "user" and resource is not None and resource.canonical != STREAM_PATH:
            async with request.app[authenticator_key].turns.turn(caller.id):
                return await handler(request)
    return await handler(request)


def known_caller(
    headers: Mapping[str, str], scopes: Collection[str], authenticator: Authenticator
) -> Caller | None:
    """Return who sends a request by a key that has one of the scopes, or None if only the middleware can tell."""
    caller = authenticator.known_owner_of_key(headers.get(hdrs.AUTHORIZATION, ""))
    return None if caller is None or caller.scopes.isdisjoint(scopes) else caller


async def is_known_still(request: web.Request) -> bool:
    """Whether the key or the token with which the request came in works now."""
    try:
        return caller_key not in request or await _find_caller(request) is not None
    except RequestError:
        return False


async def _find_caller(request: web.Request) -> Caller | None:
    header = request.headers.get(hdrs.AUTHORIZATION, "")
    if KEY_HEADER.fullmatch(header):
        return await request.app[authenticator_key].owner_of_key(header)
    if token := _TOKEN.fullmatch(header):
        return await request.app[authenticator_key].owner_of_token(token[1])
    if not header and request.rel_url.raw_path == STREAM_PATH and "token" in request.query:
        return await request.app[authenticator_key].owner_of_token(request.query["token"])
    return None if header else await _find_operator(request)


async def _find_operator(request: web.Request) -> Caller | None:
    """Return the operator whose session's cookie the request has. The operations port takes no cookies."""
    sessions = request.app.get(sessions_key)
    if sessions is None:
        return None
    headers = request.headers.getall(hdrs.COOKIE, ())
    cookie = find_cookie(headers, secure=request.app[proxies_key].is_https(request))
    found = await sessions.find(cookie) if cookie else None
    if found is None:
        return None
    request[session_key] = found
    return found.caller


def _to_sign_in(request: web.Request) -> web.Response:
    page = request.rel_url.raw_path if request.method in (hdrs.METH_GET, hdrs.METH_HEAD) else "/"
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={hdrs.LOCATION: f"/signin?next={page}"})


def _listed(scopes: Collection[str]) -> str:
    return " or ".join(scope for scope in scopes if scope != OWN)
