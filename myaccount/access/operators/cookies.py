"""The cookie of an operator's session: its secret and its end, signed, so that a forged one costs no query."""

from collections.abc import Mapping
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


def find_cookie(cookies: Mapping[str, str], *, secure: bool) -> str | None:
    # Never the other one: without TLS, anybody on the way could have set it.
    return cookies.get(SECURE_NAME if secure else PLAIN_NAME)


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
