"""Users' own tokens: signed, and not stored."""

from collections.abc import Set
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from itsdangerous import BadData, URLSafeSerializer

from .callers import Caller
from .scopes import OWN
from .signing import Signing

# What else is signed with the same secret does not pass for a token.
_PURPOSE: Final = "user token"
_OWN: Final[Set[str]] = frozenset((OWN,))


def make_token(user_id: str, expires_at: datetime, signing: Signing) -> str:
    """Return a token of that user. It expires at a whole second."""
    token: str = _serializer(signing).dumps([user_id, _seconds(expires_at)])
    return token


def owner_of_token(token: str, signing: Signing) -> Caller | None:
    """Return whose token it is, or None if it is wrong or has expired."""
    try:
        user_id, expires_at = _serializer(signing).loads(token)
    except (BadData, UnicodeError):
        # A header may have bytes that are no text.
        return None
    return Caller("user", user_id, _OWN) if expires_at > _seconds(signing.clock.now()) else None


def _serializer(signing: Signing) -> URLSafeSerializer:
    return URLSafeSerializer(signing.secret, _PURPOSE, signer_kwargs={"digest_method": sha256})


def _seconds(time: datetime) -> int:
    return int(time.replace(tzinfo=UTC).timestamp())
