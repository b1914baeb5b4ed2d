"""The cookie of an operator's session: its secret and its end, signed, so that a forged one costs no query."""

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from aiohttp import web
from itsdangerous import BadData, URLSafeSerializer

from ..signing import Signing

# Browsers take this name only with TLS, from this host itself, for all its paths.
SECURE_NAME: Final = "__Host-myaccount"
PLAIN_NAME: Final = "myaccount"
_PURPOSE: Final = "operator session"


def make_cookie(secret: str, expires_at: datetime, signing: Signing) -> str:
    cookie: str = _serializer(signing).dumps([secret, _seconds(expires_at)])
    return cookie


def secret_of(cookie: str, signing: Signing) -> str | None:
    """Return the session's secret, or None if the cookie is forged or has expired."""
    try:
        secret, expires_at = _serializer(signing).loads(cookie)
    except (BadData, UnicodeError):
        # A header may have bytes that are no text.
        return None
    return str(secret) if expires_at > _seconds(signing.clock.now()) else None


def find_cookie(headers: Iterable[str], *, secure: bool) -> str | None:
    """Return the value of the session's cookie in the Cookie headers, or None if it is not there just once.

    The headers are split only where browsers join cookies. aiohttp also splits at spaces, and drops any white
    space of Unicode. Then a page of a sibling name could choose the session: it may set
    `a=b __Host-myaccount=...`, whose name is another one to the browser.
    """
    # Never the other one: without TLS, anybody on the way could have set it.
    start = f"{SECURE_NAME if secure else PLAIN_NAME}="
    cookies = (part.strip(" \t") for header in headers for part in header.split(";"))
    # A browser has one cookie of the secure name. With two, nobody knows which is the service's own.
    values = [cookie.removeprefix(start) for cookie in cookies if cookie.startswith(start)]
    return values[0] if len(values) == 1 else None


def set_cookie(response: web.StreamResponse, cookie: str, lifetime_seconds: int, *, secure: bool) -> None:
    name = SECURE_NAME if secure else PLAIN_NAME
    response.set_cookie(
        name, cookie, max_age=lifetime_seconds, path="/", secure=secure, httponly=True, samesite="Strict"
    )


def drop_cookie(response: web.StreamResponse, *, secure: bool) -> None:
    name = SECURE_NAME if secure else PLAIN_NAME
    response.del_cookie(name, path="/", secure=secure, httponly=True, samesite="Strict")


def _serializer(signing: Signing) -> URLSafeSerializer:
    return URLSafeSerializer(signing.secret, _PURPOSE, signer_kwargs={"digest_method": sha256})


def _seconds(time: datetime) -> int:
    return int(time.replace(tzinfo=UTC).timestamp())
